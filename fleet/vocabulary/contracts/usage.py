"""What the admin door of a front says of how it is used: from rows without any prompt or answer. Version 1.

POST `/admin/usage` (UsageQuery) -> UsageReport. Every front tells its own rows; who asks adds up: sums by adding,
quantiles by adding the buckets of vocabulary/quantiles.py. Amounts are pico-dollars, times milliseconds of UTC. A
gateway without a policy answers 404.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fleet.vocabulary.contracts.ledger import ToolVerdict


class UsageBy(StrEnum):
    """What requests are added up by. Days and months are those of the policy's `budget_tz`, hours and weeks of UTC.

    `asked` is the route of the client's choice, `route` where it went. `tier` is `fleet` (a sidecar of any node) or
    `api`, "" = it went nowhere. `reasoning` is `yes`, `no` or "" (the answer did not tell).
    """

    ASKED = "asked"
    ROUTE = "route"
    TRACK = "track"
    KEY = "key"
    PERSON = "person"
    TEAM = "team"
    APP = "app"
    MODEL = "model"
    UPSTREAM = "upstream"
    NODE = "node"
    TIER = "tier"
    TICKET = "ticket"
    INCIDENT = "incident"
    SURFACE = "surface"
    REASONING = "reasoning"
    GRAY = "gray"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Measure(StrEnum):
    """What is told as a spread. `turns`: the requests of one session among those that were asked for."""

    SECONDS = "seconds"
    FIRST_TOKEN_SECONDS = "first_token_seconds"
    TOOLS_AT_SECONDS = "tools_at_seconds"
    PROMPT_TOKENS = "prompt_tokens"
    COMPLETION_TOKENS = "completion_tokens"
    TURNS = "turns"


class UsageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests that ended from `since` on and before `until`, added up by each combination of `by`.

    None = no bound. `measures` are the spreads that are wanted: they cost time, so none is told unasked.
    """

    by: tuple[UsageBy, ...]
    since_milliseconds: int | None = None
    until_milliseconds: int | None = None
    measures: tuple[Measure, ...] = ()


class UsageLine(msgspec.Struct, frozen=True, kw_only=True):
    """One combination: `names` in the order of `by`, "" = what has none.

    Money is that of `fleet ledger` (contracts/ledger_admin.py): it counts when and where it was reserved, by the
    attempt's own upstream, model and track; `spent_pico` is settled and corrected. What only its request knows
    (`route`, `surface`, `reasoning`) is asked of the request's row; a request that is not over has none yet, "".
    `reserved_pico` is held for what is not settled. `untold`: requests that ended well whose answer told no tokens.
    `broken`: of the `failed` those that no upstream answered, or whose answer broke; the others were refused, or ended
    by their client or by us.
    `reasoned`: those with reasoning tokens. `with_tools`: those that offered tools; `verdicts` what became of them.
    `sessions`: distinct ones on this front. `busy_seconds`: the sum of the requests' times.
    """

    names: tuple[str, ...]
    requests: int = 0
    failed: int = 0
    broken: int = 0
    untold: int = 0
    gray: int = 0
    eligible: int = 0
    streamed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    reasoned: int = 0
    with_tools: int = 0
    verdicts: dict[ToolVerdict, int] = {}
    sessions: int = 0
    busy_seconds: float = 0.0
    spent_pico: int = 0
    reserved_pico: int = 0
    spreads: dict[Measure, dict[int, int]] = {}


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of one front. `oldest_milliseconds`: its first request; None = it has none."""

    node: str
    lines: tuple[UsageLine, ...] = ()
    oldest_milliseconds: int | None = None
    schema: int = 1
