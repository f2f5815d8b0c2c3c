"""What the fronts say of traffic in one look: requests and upstreams now, and the sums of money, gray and use.

A front that is away is named beside what the others say. When nobody answers, what was known before stays, with the
time at which it was said. Pure but for the asking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from fleet.control.actions.gateways import AdminDoor, GatewayNode, Gateways, NodeRefusal, answered, problems
from fleet.control.actions.graypool import Pool, pools_of
from fleet.control.actions.incidents import Told, told
from fleet.control.actions.requests import Request, merged
from fleet.control.actions.upstreams import UpstreamNow, upstreams_of
from fleet.control.actions.uses import Use, uses_of
from fleet.errors import FleetError
from fleet.practice.budget import Budget, summed
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.gateway_admin import LiveRequests, RouteReports
from fleet.vocabulary.contracts.policy_admin import BudgetReport, GrayReports, Incidents
from fleet.vocabulary.contracts.usage import Measure, UsageBy, UsageQuery, UsageReport
from fleet.vocabulary.names import NodeName

_HOUR = 3_600_000
_SPREADS = (Measure.SECONDS, Measure.FIRST_TOKEN_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Part:
    """`at`: when it was said, None = never yet. `told`: the fronts that it is of; `away`: why others did not say."""

    at: datetime | None = None
    told: tuple[NodeName, ...] = ()
    away: Mapping[NodeName, str] = field(default_factory=dict)


P = TypeVar("P", bound=Part)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Flow(Part):
    """What runs now: requests that came in at a front, the oldest first, and where fronts can send them."""

    requests: tuple[Request, ...] = ()
    upstreams: tuple[UpstreamNow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sums(Part):
    """What was counted. `free`: fronts without a policy: they count nothing, and nothing of theirs is missing.

    `hour`: how every upstream was used in the last hour, `day` every model in the last 24; None = nobody said.
    """

    free: tuple[NodeName, ...] = ()
    budget: Budget | None = None
    pools: tuple[Pool, ...] = ()
    incidents: tuple[Told, ...] = ()
    hour: Mapping[str, Use] | None = None
    day: Mapping[str, Use] | None = None


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """All that is known. `fronts` are those that there are."""

    fronts: tuple[NodeName, ...]
    flow: Flow = Flow()
    sums: Sums = Sums()


@dataclass(frozen=True)
class Counted:
    """What one front counted. `hour` and `day` are None where it is of a release that does not say."""

    budget: BudgetReport
    gray: GrayReports
    incidents: Incidents
    hour: UsageReport | None = None
    day: UsageReport | None = None


class TrafficLook:
    """Looks at fronts again and again. `gateways` may have others among them: they are not asked."""

    def __init__(self, gateways: Sequence[GatewayNode], doors: Gateways, *, clock: Clock) -> None:
        self._fronts = [gateway for gateway in gateways if gateway.is_front]
        self._doors = doors
        self._clock = clock

    @property
    def nothing(self) -> Traffic:
        """Before the first look."""
        return Traffic(fronts=tuple(front.name for front in self._fronts))

    def look(self, before: Traffic | None = None, *, whole: bool = True) -> Traffic:
        """What runs now; with `whole` also the sums, which cost a front more. Raises nothing for a front."""
        known = before or self.nothing
        flow = kept(known.flow, self._flow())
        return replace(known, flow=flow, sums=kept(known.sums, self._sums()) if whole else known.sums)

    def _flow(self) -> Flow:
        answers = self._doors.each(self._fronts, lambda door: (door.requests(), door.routes()))
        return flow_of(answered(answers), _why(problems(answers)), at=self._clock.now())

    def _sums(self) -> Sums:
        now = self._clock.now()
        answers = self._doors.each(self._fronts, partial(_counted, now=now))
        return sums_of(answered(answers), _why(problems(answers)), at=now)


def kept(before: P, now: P) -> P:
    """What was said now; where nobody said anything, what was said before, and why there is nothing newer."""
    return now if now.told or not before.told else replace(before, away=now.away)


def flow_of(
    said: Mapping[NodeName, tuple[LiveRequests, RouteReports]], away: Mapping[NodeName, str], *, at: datetime
) -> Flow:
    """What runs now at the fronts that answered."""
    return Flow(
        at=at,
        told=tuple(said),
        away=away,
        requests=merged({name: live for name, (live, _) in said.items()}, frozenset(said)),
        upstreams=upstreams_of(routes for _, routes in said.values()),
    )


def sums_of(said: Mapping[NodeName, Counted | None], away: Mapping[NodeName, str], *, at: datetime) -> Sums:
    """What the fronts that answered counted; None = a front without a policy."""
    counted = {name: one for name, one in said.items() if one is not None}
    return Sums(
        at=at,
        told=tuple(said),
        away=away,
        free=tuple(name for name, one in said.items() if one is None),
        budget=summed(one.budget for one in counted.values()) if counted else None,
        pools=pools_of(one.gray for one in counted.values()),
        incidents=told(one.incidents for one in counted.values()),
        hour=_uses(one.hour for one in counted.values()),
        day=_uses(one.day for one in counted.values()),
    )


def _uses(reports: Iterable[UsageReport | None]) -> dict[str, Use] | None:
    said = [report for report in reports if report is not None]
    return uses_of(said) if said else None


def _counted(door: AdminDoor, now: datetime) -> Counted | None:
    budget = _unless_unknown(door.budget)
    if budget is None:  # it has no policy
        return None
    at = int(now.timestamp() * 1000)
    hour = UsageQuery(by=(UsageBy.UPSTREAM,), since_milliseconds=at - _HOUR, measures=_SPREADS)
    day = UsageQuery(by=(UsageBy.MODEL,), since_milliseconds=at - 24 * _HOUR)
    return Counted(
        budget,
        door.gray(),
        door.incidents(),
        hour=_unless_unknown(partial(door.usage, hour)),
        day=_unless_unknown(partial(door.usage, day)),
    )


def _unless_unknown(ask: Callable[[], T]) -> T | None:
    """None where the gateway does not know the question."""
    try:
        return ask()
    except NodeRefusal as refusal:
        if refusal.status == 404:
            return None
        raise


def _why(errors: Mapping[NodeName, FleetError]) -> dict[NodeName, str]:
    return {name: error.title for name, error in errors.items()}
