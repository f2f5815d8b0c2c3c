"""Money and gray routes as rows: what was spent of what may be, and how much goes to models nobody has proven. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fleet.control.actions.graypool import Pool
from fleet.control.watch.statewords import AWAY, INTENT, Told, Tone
from fleet.practice.budget import Budget
from fleet.traffic.budget.projection import Projection
from fleet.tui.traffic_cells import (
    CRITICAL,
    NOTHING,
    OK,
    WARN,
    Column,
    Pen,
    count,
    dollars,
    interval,
    like,
    name_column,
    percent,
    span_of,
)
from fleet.vocabulary.contracts.policy_admin import BudgetKind, BudgetLine, DollarState, GrayState
from fleet.vocabulary.names import Freshness, Intent, Track

WARN_RATIO, FULL_RATIO = 0.8, 1.0
_SILENT_FROM = 100
"""So many requests that could have gone gray, and none did."""
_TRACKS = (BudgetKind.FLEET, BudgetKind.TRACK)
_OFFLINE = AWAY[Freshness.OFFLINE]
_GRAY: Mapping[GrayState, Told] = MappingProxyType(
    {
        GrayState.ON: like(OK, "on"),
        GrayState.DISABLED: like(INTENT[Intent.DRAINED], "disabled"),
        GrayState.ROLLED_BACK: like(CRITICAL, "ROLLED BACK"),
        GrayState.SUSPENDED: like(WARN, "suspended"),
        GrayState.NO_MODEL: Told(_OFFLINE.shape, _OFFLINE.ascii_shape, "no model", Tone.WARN),
    }
)
_SILENT = like(WARN, "silent")
_VERDICTS = MappingProxyType(
    {"ok": OK, "insufficient": Told("?", "?", "too few", Tone.UNKNOWN), "worse": like(CRITICAL, "worse")}
)
_DOLLAR = MappingProxyType(
    {DollarState.DOWNGRADED: like(WARN, "downgraded"), DollarState.CAPPED: like(CRITICAL, "CAPPED")}
)


@dataclass(frozen=True)
class Spent:
    """One budget of the month. `dollar` is how the dollar track stands, on its own row."""

    line: BudgetLine
    month_end: Projection | None = None
    dollar: DollarState | None = None

    @property
    def ratio(self) -> float | None:
        """How much of its cap is used or held, the fuller of money and tokens; None without a cap."""
        line = self.line
        parts = ((line.spent_pico + line.reserved_pico, line.cap_pico), (line.tokens, line.cap_tokens))
        return max(((used / cap if cap else float(used > 0)) for used, cap in parts if cap is not None), default=None)

    @property
    def cap_ahead(self) -> bool:
        """Whether the days so far tell that the month would go beyond the cap."""
        cap = self.line.cap_pico
        return cap is not None and self.month_end is not None and self.month_end.expected > cap

    @property
    def state(self) -> Told | None:
        """None = it has no cap."""
        if self.dollar is not None and self.dollar in _DOLLAR:
            return _DOLLAR[self.dollar]
        ratio = self.ratio
        if ratio is None:
            return None
        if ratio >= FULL_RATIO:
            return like(CRITICAL, "FULL")
        return WARN if ratio >= WARN_RATIO else like(WARN, "cap ahead") if self.cap_ahead else OK

    @property
    def name(self) -> str:
        """What it is called in `fleet budget`."""
        kind = self.line.kind
        return "fleet" if kind is BudgetKind.FLEET else f"{kind} {self.line.name}"


def tracks_of(budget: Budget) -> list[Spent]:
    """The whole fleet, and every track."""
    return [
        Spent(line, budget.month_end(line), budget.dollar if line.name == Track.DOLLAR else None)
        for line in budget.lines
        if line.kind in _TRACKS
    ]


def budgets_of(budget: Budget) -> list[Spent]:
    """Teams, keys and tickets that have a cap or spent something, the fullest first of each kind."""
    found = [Spent(line) for line in budget.lines if line.kind not in _TRACKS]
    worth = [one for one in found if one.ratio is not None or one.line.spent_pico or one.line.reserved_pico]
    order = list(BudgetKind)
    return sorted(worth, key=lambda one: (order.index(one.line.kind), -(one.ratio or 0.0), -one.line.spent_pico))


def gray_state(pool: Pool) -> Told:
    """How a gray route stands, at the worst front."""
    silent = pool.state is GrayState.ON and pool.eligible >= _SILENT_FROM and not pool.gray
    return _SILENT if silent else _GRAY[pool.state]


def gray_verdict(pool: Pool) -> Told:
    """What its tool calls tell, at the worst front."""
    words = list(_VERDICTS)
    found = [one.verdict if one.verdict in _VERDICTS else "insufficient" for one in pool.fronts.values()]
    return _VERDICTS[max(found, key=words.index, default="insufficient")]


def cap_of(pool: Pool) -> float | None:
    """Its cap as a part of 1; None where fronts differ."""
    return None if pool.share is None else float(pool.share)


def _gray_bar(pool: Pool, width: int, pen: Pen) -> tuple[str, Tone]:
    observed, cap = pool.observed, cap_of(pool)
    if observed is None or not cap:
        return NOTHING
    return pen.bar(observed / cap, width), gray_state(pool).tone


def _gray_cap(pool: Pool, *_: object) -> tuple[str, Tone]:
    cap = cap_of(pool)
    return ("differ", Tone.WARN) if cap is None else (f"{cap * 100:g} %", Tone.DIM)


def _used(one: Spent, width: int, pen: Pen) -> tuple[str, Tone]:
    ratio, state = one.ratio, one.state
    if ratio is None or state is None:
        return NOTHING
    return f"{pen.bar(ratio, width - 6)} {ratio * 100:3.0f} %", state.tone


def _end(one: Spent, *_: object) -> tuple[str, Tone]:
    return span_of(one.month_end), Tone.DIM if one.month_end is None else Tone.WARN if one.cap_ahead else Tone.PLAIN


def _cap(one: Spent, *_: object) -> tuple[str, Tone]:
    cap = one.line.cap_pico
    return ("none" if cap is None and one.line.cap_tokens is None else dollars(cap)), Tone.DIM


def _tokens(one: Spent, *_: object) -> tuple[str, Tone]:
    cap = one.line.cap_tokens
    if one.line.kind is BudgetKind.TICKET:  # a front counts money by ticket, and nothing else
        return NOTHING
    return count(one.line.tokens) + ("" if cap is None else f"/{count(cap)}"), Tone.PLAIN


BUDGET = (
    name_column("MONTH", lambda one: one.name),
    Column("STATE", 13, lambda one, _, pen: pen.state(one.state)),
    Column("SPENT", 8, lambda one, *_: (dollars(one.line.spent_pico), Tone.PLAIN), right=True),
    Column("CAP", 7, _cap, right=True),
    Column("USED", 13, _used, most=22),
    Column("MONTH END", 12, _end, right=True),
    Column("HELD", 7, lambda one, *_: (dollars(one.line.reserved_pico or None), Tone.DIM), right=True, spare=True),
    Column("TOKENS", 11, _tokens, right=True, spare=True),
)
GRAY = (
    name_column("GRAY", lambda pool: pool.route),
    Column("STATE", 13, lambda pool, _, pen: pen.state(gray_state(pool))),
    Column("SHARE", 8, lambda pool, *_: (percent(pool.observed, 2), Tone.PLAIN), right=True),
    Column("CAP", 7, _gray_cap, right=True),
    Column("OF CAP", 7, _gray_bar, most=16),
    Column("ELIGIBLE", 8, lambda pool, *_: (f"{pool.eligible:,}", Tone.PLAIN), right=True),
    Column("TOOL CALLS", 10, lambda pool, _, pen: pen.state(gray_verdict(pool))),
    Column("95 % OF ELIGIBLE", 16, lambda pool, *_: (interval(pool.interval), Tone.PLAIN), right=True, spare=True),
)
