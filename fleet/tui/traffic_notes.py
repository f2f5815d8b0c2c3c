"""What fronts have to say beside their figures: that they are away, that paid routes are closed, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fleet.control.actions.traffic import Traffic
from fleet.control.watch.statewords import AWAY, HEALTH, Told, Tone
from fleet.practice.budget import Budget
from fleet.tui.traffic_cells import CRITICAL, WARN, Column, like, name_column
from fleet.tui.traffic_flow import clock_time
from fleet.vocabulary.contracts.policy_admin import DollarState
from fleet.vocabulary.names import Freshness, Health

_AWAY = like(AWAY[Freshness.OFFLINE], "away")
_FREE = Told("·", ".", "no policy", Tone.DIM)
_TOLD = like(HEALTH[Health.UNKNOWN], "not yet")


@dataclass(frozen=True)
class Note:
    """One thing to know. `name` tells it from the others; `do` is what helps."""

    name: str
    front: str
    state: Told
    text: str
    do: str = ""


NOTES = (
    name_column("FRONT", lambda one: one.front),
    Column("STATE", 13, lambda one, _, pen: pen.state(one.state)),
    Column("WHAT TO KNOW", 30, lambda one, *_: (one.text, Tone.PLAIN), most=200),
)


def notes_of(found: Traffic) -> Iterator[Note]:
    """What is wrong first, then what is only worth to be known."""
    away = {**found.sums.away, **found.flow.away}
    for name, why in away.items():
        known = name in found.flow.told or name in found.sums.told
        text = f"its figures here are from before: {why}" if known else f"its figures are missing here: {why}"
        yield Note(f"{name} away", name, _AWAY, text, f"fleet doctor {name}")
    if found.sums.budget is not None:
        yield from _money(found.sums.budget)
    if found.sums.free and len(found.sums.free) < len(found.fronts):
        for name in found.sums.free:
            yield Note(f"{name} free", name, _FREE, "it counts no money and no gray share")


def _money(budget: Budget) -> Iterator[Note]:
    for front in budget.fronts:
        if front.ledger_problem:
            text = f"paid routes are closed: {front.ledger_problem}"
            yield Note(f"{front.node} ledger", front.node, like(CRITICAL, "CLOSED"), text, f"fleet doctor {front.node}")
        if front.dollar in (DollarState.CAPPED, DollarState.DOWNGRADED):
            until = "" if front.dollar_until_seconds is None else f" until {clock_time(front.dollar_until_seconds)} UTC"
            text = f"the dollar track is {front.dollar}{until}: {front.dollar_reason}"
            yield Note(f"{front.node} dollar", front.node, like(WARN, front.dollar.value), text, "fleet budget")
        if front.unsettled:
            text = f"the cost of {front.unsettled} attempts is not known yet; it is held as reserved"
            yield Note(f"{front.node} unsettled", front.node, _TOLD, text)
    for warning in budget.warnings:
        yield Note(warning, "inventory", WARN, warning)
