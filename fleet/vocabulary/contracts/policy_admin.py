"""What the admin door of a front says of money and policy. Version 1. A gateway without a policy answers 404.

GET `/admin/budget` -> BudgetReport · GET `/admin/gray` -> GrayReports · POST `/admin/gray` (GrayRequest) ->
GrayReports · GET `/admin/incidents` -> Incidents · POST `/admin/incidents` (IncidentRequest) -> Incidents.
Every front counts what it saw itself; who asks adds up. Amounts are pico-dollars, times UTC seconds; unknown is None.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fleet.vocabulary.names import Track


class BudgetKind(StrEnum):
    """What a line of the budget is about."""

    FLEET = "fleet"
    TRACK = "track"
    TEAM = "team"
    KEY = "key"
    TICKET = "ticket"


class DollarState(StrEnum):
    """How the dollar track stands: a pure function of the ledger (SPEC section 5.5)."""

    NORMAL = "normal"
    CAPPED = "capped"
    DOWNGRADED = "downgraded"


class BudgetLine(msgspec.Struct, frozen=True, kw_only=True):
    """One sum of this month on this front. `cap_pico` and `cap_tokens` are of the whole fleet; None = no cap.

    `share` (exact decimal text) is the part of the cap that this front admits. `reserved_pico` is held for what runs
    or is not settled yet.
    """

    kind: BudgetKind
    name: str
    spent_pico: int = 0
    reserved_pico: int = 0
    tokens: int = 0
    requests: int | None = None
    cap_pico: int | None = None
    cap_tokens: int | None = None


class BudgetReport(msgspec.Struct, frozen=True, kw_only=True):
    """The month so far. `ledger_problem` "" = paid routes are open. `unsettled`: attempts whose cost is not known yet.

    `days_pico`: what every day of the month cost (those to come 0), for the projection; `today` is the number of the
    running one (1 is the first); `track_days_pico` the same by track.
    """

    node: str
    month: str
    at_seconds: float
    month_begins_seconds: float
    month_ends_seconds: float
    budget_tz: str = "UTC"
    share: str = "1"
    lines: tuple[BudgetLine, ...] = ()
    today: int = 1
    days_pico: tuple[int, ...] = ()
    track_days_pico: dict[Track, tuple[int, ...]] = {}
    dollar: DollarState | None = None
    dollar_until_seconds: float | None = None
    dollar_reason: str = ""
    unsettled: int = 0
    ledger_problem: str = ""
    schema: int = 1


class GrayState(StrEnum):
    """Whether a gray route takes traffic, and what stopped it."""

    ON = "on"
    DISABLED = "disabled"
    ROLLED_BACK = "rolled_back"
    SUSPENDED = "suspended"
    NO_MODEL = "no_model"


class GrayReport(msgspec.Struct, frozen=True, kw_only=True):
    """One gray route on one front. `share` is its cap in exact decimal text, `feeds` the routes that feed it.

    `requests` and `gray` count what was committed in the ISO week so far over the routes that feed it, `eligible` those
    of them that could have gone gray. `calls` and `failures` are scored tool calls of the trailing week and of the
    one before (`..._before`); `verdict` is `ok`, `insufficient` or `worse`, `why` the sentence for it. `confounded`:
    the token track got worse as well.
    """

    route: str
    models: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()
    state: GrayState = GrayState.ON
    reason: str = ""
    since_seconds: float | None = None
    until_seconds: float | None = None
    by: str = ""
    share: str = "0"
    token_share: str | None = None
    requests: int = 0
    gray: int = 0
    eligible: int = 0
    tokens: int = 0
    gray_tokens: int = 0
    calls: int = 0
    failures: int = 0
    calls_before: int = 0
    failures_before: int = 0
    verdict: str = "insufficient"
    confounded: bool = False
    why: str = ""


class GrayReports(msgspec.Struct, frozen=True, kw_only=True):
    """All gray routes of a front."""

    node: str
    at_seconds: float
    routes: tuple[GrayReport, ...] = ()
    schema: int = 1


class HarnessFound(msgspec.Struct, frozen=True, kw_only=True):
    """What a harness run found of a model: of `scored` tool calls in `prompts` prompts `successes` were right.

    `begun_milliseconds`: when its first prompt was measured.
    """

    run: str
    model: str
    prompts: int
    successes: int
    scored: int
    begun_milliseconds: int


class GrayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Turn a gray route off, or on again. After a rollback `ticket` and `harness` must be there to turn it on."""

    route: str
    on: bool
    by: str = ""
    reason: str = ""
    ticket: str = ""
    harness: HarnessFound | None = None


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """An incident: while it is open, keys with the scope may spend between cap and ceiling under its name."""

    name: str
    opened_seconds: float
    until_seconds: float
    by: str = ""
    closed_seconds: float | None = None
    spent_pico: int = 0


class IncidentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Open an incident until a moment, or close it. To open one that is open changes its end."""

    name: str
    open: bool
    until_seconds: float | None = None
    by: str = ""


class Incidents(msgspec.Struct, frozen=True, kw_only=True):
    """The incidents of the last 90 days, the newest first."""

    node: str
    at_seconds: float
    incidents: tuple[Incident, ...] = ()
    schema: int = 1


BUDGETED_TRACKS = (Track.DOLLAR, Track.TOKEN, Track.GRAY)
"""Tracks that may cost money, in the order in which people are shown them."""
