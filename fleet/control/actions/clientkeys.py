"""`fleet key`: making, changing and taking back the keys that clients show to fronts. Decisions are pure."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from fleet.control.inventory.clientkeys import problem_of
from fleet.control.inventory.nearest import did_you_mean
from fleet.errors import UsageError
from fleet.traffic.keyring import HashedKey, KeyRing
from fleet.vocabulary.secret import Secret

_PREFIX = "sk-fleet-"
_BYTES = 32


def new_text() -> Secret:
    """The text of a new key: 256 random bits. Many clients insist on `sk-`."""
    return Secret(_PREFIX + secrets.token_urlsafe(_BYTES))


def digest_of_key(text: Secret) -> str:
    """What is kept of a key."""
    return hashlib.sha256(text.reveal().encode()).hexdigest()


def created(ring: KeyRing, key: HashedKey) -> KeyRing:
    """`ring` with a new key. Raises UsageError for a name that is taken, or a key that says nonsense."""
    problem = problem_of(key)
    if problem:
        raise UsageError(f"key {key.name!r}: {problem}")
    if any(one.name == key.name for one in ring.keys):
        raise UsageError(
            f"there is a key {key.name!r} already",
            hint=f"fleet key rotate {key.name} gives it a new text; fleet key revoke {key.name} takes it back",
        )
    return msgspec.structs.replace(ring, keys=(*ring.keys, key))


def rotated(ring: KeyRing, name: str, sha256: str, *, now_seconds: int, grace_seconds: int) -> KeyRing:
    """`ring` where `name` has a new text, and its old ones end after `grace_seconds` (0: they are gone at once).

    One that ends sooner anyhow keeps its end; what has ended is left out. Raises UsageError.
    """
    own = _of(ring, name)
    until = now_seconds + grace_seconds
    kept = [
        msgspec.structs.replace(key, expires_at_seconds=min(until, key.expires_at_seconds or until))
        for key in own
        if grace_seconds > 0 and not _over(key, now_seconds)
    ]
    newest = own[-1]
    if _over(newest, now_seconds):
        raise UsageError(f"the key {name!r} has ended", hint=f"fleet key revoke {name}, then fleet key create {name}")
    fresh = msgspec.structs.replace(newest, sha256=sha256)
    return msgspec.structs.replace(ring, keys=_instead(ring, name, [*kept, fresh]))


def revoked(ring: KeyRing, name: str) -> KeyRing:
    """`ring` without any text of `name`. Raises UsageError."""
    _of(ring, name)
    return msgspec.structs.replace(ring, keys=_instead(ring, name, []))


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A key by name. `newest` says what it may; `ends_seconds` is when its last text ends, None = never.

    `also_until_seconds`: until when an older text is taken, too.
    """

    newest: HashedKey
    ends_seconds: int | None
    also_until_seconds: int | None
    over: bool


def listed(ring: KeyRing, *, now_seconds: int) -> tuple[Listed, ...]:
    """The keys by name, in the order of the file."""
    return tuple(_listed(_of(ring, name), now_seconds) for name in dict.fromkeys(key.name for key in ring.keys))


def _listed(own: list[HashedKey], now_seconds: int) -> Listed:
    newest, older = own[-1], [key for key in own[:-1] if not _over(key, now_seconds)]
    return Listed(
        newest=newest,
        ends_seconds=newest.expires_at_seconds,
        also_until_seconds=max((key.expires_at_seconds or 0 for key in older), default=None),
        over=_over(newest, now_seconds),
    )


def _of(ring: KeyRing, name: str) -> list[HashedKey]:
    own = [key for key in ring.keys if key.name == name]
    if not own:
        near = did_you_mean(name, {key.name for key in ring.keys})
        raise UsageError(f"there is no key {name!r}", hint=near or "fleet key list shows every key")
    return own


def _over(key: HashedKey, now_seconds: int) -> bool:
    return key.expires_at_seconds is not None and key.expires_at_seconds <= now_seconds


def _instead(ring: KeyRing, name: str, keys: Iterable[HashedKey]) -> tuple[HashedKey, ...]:
    """The ring's keys with those of `name` replaced in place."""
    found: list[HashedKey] = []
    waiting = list(keys)
    for key in ring.keys:
        if key.name != name:
            found.append(key)
        elif waiting:
            found += waiting
            waiting = []
    return tuple(found)
