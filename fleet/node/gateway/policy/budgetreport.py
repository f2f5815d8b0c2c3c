"""The month so far, as the admin door tells it."""

from __future__ import annotations

from fleet.node.gateway.policy.desk import Desk
from fleet.traffic.budget.calendar import Month
from fleet.traffic.budget.dollar import DollarWord, dollar_state
from fleet.traffic.budget.limits import Kind, Scope, Sum
from fleet.vocabulary.contracts.policy_admin import (
    BUDGETED_TRACKS,
    BudgetKind,
    BudgetLine,
    BudgetReport,
    DollarState,
)
from fleet.vocabulary.money import NotMoney, pico, shown

_KINDS = {
    Kind.FLEET: BudgetKind.FLEET,
    Kind.TRACK: BudgetKind.TRACK,
    Kind.TEAM: BudgetKind.TEAM,
    Kind.KEY: BudgetKind.KEY,
    Kind.TICKET: BudgetKind.TICKET,
}
_STATES = {
    DollarWord.NORMAL: DollarState.NORMAL,
    DollarWord.CAPPED: DollarState.CAPPED,
    DollarWord.DOWNGRADED: DollarState.DOWNGRADED,
}


def budget_report(desk: Desk) -> BudgetReport:
    """What this front spent and promised."""
    treasury, rules = desk.treasury, desk.rules
    book, now = treasury.book, treasury.now
    calendar = book.calendar
    month = calendar.month(now)
    state = dollar_state(book, rules.dollar.history, now) if rules.dollar is not None else None
    overrun = state.overrun if state is not None else None
    reason = ""
    if overrun is not None:
        reason = f"{overrun.week} cost {shown(overrun.spent_pico)} of {shown(overrun.allowed_pico)} USD"
    return BudgetReport(
        node=rules.loaded.config.node,
        month=str(month),
        at_seconds=now / 1000,
        month_begins_seconds=calendar.starts(month) / 1000,
        month_ends_seconds=calendar.ends(month) / 1000,
        budget_tz=rules.policy.budget_tz,
        share=rules.policy.budget_share,
        lines=tuple(_lines(desk, month)),
        today=calendar.day(now),
        days_pico=book.daily_pico(month),
        track_days_pico={track: book.daily_pico(month, (track,)) for track in BUDGETED_TRACKS},
        dollar=None if state is None else _STATES[state.word],
        dollar_until_seconds=None if state is None or state.until is None else state.until / 1000,
        dollar_reason=reason,
        unsettled=len(book.unsettled()),
        ledger_problem=treasury.closed,
    )


def _lines(desk: Desk, month: Month) -> list[BudgetLine]:
    """Everything that has a sum this month or a cap, the whole fleet first."""
    caps = _caps(desk)
    found = {scope: total for scope, total in desk.treasury.book.scopes(month) if scope.kind in _KINDS}
    scopes = sorted({*found, *caps}, key=lambda scope: (list(_KINDS).index(scope.kind), scope.name))
    lines = []
    for scope in scopes:
        total, (usd, tokens) = found.get(scope, Sum()), caps.get(scope, (None, None))
        lines.append(
            BudgetLine(
                kind=_KINDS[scope.kind],
                name=scope.name or "fleet",
                spent_pico=total.spent,
                reserved_pico=total.reserved,
                tokens=total.tokens,
                cap_pico=usd,
                cap_tokens=tokens,
            )
        )
    return lines


def _caps(desk: Desk) -> dict[Scope, tuple[int | None, int | None]]:
    """The caps of the whole fleet, by what they are about."""
    policy = desk.rules.policy
    said = [(Scope(Kind.FLEET), policy.fleet.monthly_usd, policy.fleet.monthly_tokens)]
    said += [
        (Scope(Kind.TRACK, name), terms.monthly_usd, terms.monthly_tokens) for name, terms in policy.tracks.items()
    ]
    if policy.dollar is not None:
        said.append((Scope(Kind.TRACK, "dollar"), policy.dollar.monthly_usd, None))
    said += [
        (Scope(Kind.TEAM, team.name), team.limits.monthly_usd, team.limits.monthly_tokens) for team in policy.teams
    ]
    said += [
        (Scope(Kind.KEY, key.name), key.limits.monthly_usd, key.limits.monthly_tokens)
        for key in desk.rules.loaded.keys.keys
    ]
    found: dict[Scope, tuple[int | None, int | None]] = {}
    for scope, usd, tokens in said:
        if usd is not None or tokens is not None:
            found[scope] = (_amount(usd), tokens)
    return found


def _amount(usd: str | None) -> int | None:
    try:
        return None if usd is None else pico(usd)
    except NotMoney:
        return None
