"""The keys that a gateway accepts, and what each may do: the content of `keys_file`. Schema 1.

A ring is written by deploy from the inventory's key and from the project's `keys.yml`, the same on every front: where
keys live is one place, under version control, and no front has to ask another. Only digests are in it.
"""

from __future__ import annotations

import msgspec

from fleet.vocabulary.names import Sensitivity


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one key (or team, or the like) may use; None = no bound of its own.

    Per minute: `requests` and `tokens` (prompt and completion). `concurrency`: requests at once. Per calendar month in
    the budget's time zone: `monthly_usd` (decimal text) and `monthly_tokens`.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    monthly_usd: str | None = None
    monthly_tokens: int | None = None


class HashedKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key by the SHA-256 (hex) of its text.

    `scopes`: `inference`, `node` (snapshot, metrics), `admin`, `care` (of the admin door pace and intent only),
    `incident` (may spend between cap and ceiling while an incident is open). `person` and `team` own it; `app` names
    the client ("openclaw", "ide"). `sensitivity`: the least label of what it sends. `gray`: its traffic may go to the
    gray pool. `tracks`: those it may use; empty = all. From `expires_at_seconds` (UTC) on it is unknown. Several
    entries may carry one name: a key that is rotated has two texts until the old one expires.
    """

    name: str
    sha256: str
    scopes: tuple[str, ...] = ("inference",)
    person: str = ""
    team: str = ""
    app: str = ""
    sensitivity: Sensitivity | None = None
    gray: bool = False
    tracks: tuple[str, ...] = ()
    expires_at_seconds: int | None = None
    limits: KeyLimits = KeyLimits()


class KeyRing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys that a gateway accepts: the content of `keys_file`."""

    keys: tuple[HashedKey, ...] = ()
    schema: int = 1
