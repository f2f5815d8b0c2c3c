"""What the admin door of a front says of its ledger. Version 1. A gateway without a policy answers 404.

POST `/admin/ledger` (LedgerQuery) -> LedgerReport · GET `/admin/ledger/copy` -> the file, gzipped · POST
`/admin/ledger/restore?told=WORDS&force=1` (such a file) -> RestoreReport; the gateway then restarts. Every front tells
its own rows; who asks adds up. No prompt, no answer, no session is in it. Amounts are pico-dollars, times milliseconds
of UTC.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class LedgerBy(StrEnum):
    """What rows are added up by. Days and months are those of the policy's `budget_tz`, weeks ISO weeks in UTC.

    `route` is the one that was asked for, wherever the request went.
    """

    ROUTE = "route"
    TRACK = "track"
    KEY = "key"
    PERSON = "person"
    TEAM = "team"
    APP = "app"
    MODEL = "model"
    UPSTREAM = "upstream"
    TICKET = "ticket"
    INCIDENT = "incident"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class LedgerQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows from `since` on and before `until`, added up by each combination of `by`; None = no bound."""

    by: tuple[LedgerBy, ...]
    since_milliseconds: int | None = None
    until_milliseconds: int | None = None


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One combination: `names` in the order of `by`, "" = what has none (a correction of a whole track has no key).

    A request counts where it ended, an attempt and its money where it was reserved. `spent_pico` is settled and
    corrected, `reserved_pico` held for what is not settled. Tokens of answers that did not tell them are not in the
    sums: `untold` requests that ended well lack theirs.
    """

    names: tuple[str, ...]
    requests: int = 0
    failed: int = 0
    untold: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    attempts: int = 0
    spent_pico: int = 0
    reserved_pico: int = 0


class LedgerReport(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of one front. `oldest_milliseconds`: its first row; None = it has none."""

    node: str
    lines: tuple[LedgerLine, ...] = ()
    oldest_milliseconds: int | None = None
    schema: int = 1


class RestoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """The file was checked and laid ready: the gateway's next start, which it begins by itself, takes it."""

    node: str
    schema: int = 1
