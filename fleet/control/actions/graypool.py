"""`fleet gray`: the gray routes of all fronts, added up; turned on and off at every one. Pure but for the asking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from fleet.control.actions.gateways import GatewayNode, Gateways, answered, problems
from fleet.control.inventory.nearest import did_you_mean
from fleet.errors import FleetError, UsageError
from fleet.traffic.gray.observed import wilson
from fleet.vocabulary.contracts.policy_admin import GrayReport, GrayReports, GrayRequest, GrayState
from fleet.vocabulary.names import NodeName


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One gray route over all fronts. `fronts` are their own words; sums are over them."""

    route: str
    fronts: Mapping[NodeName, GrayReport]

    @property
    def requests(self) -> int:
        """Committed requests of the routes that feed it, this ISO week."""
        return sum(one.requests for one in self.fronts.values())

    @property
    def gray(self) -> int:
        """Those of them that went gray."""
        return sum(one.gray for one in self.fronts.values())

    @property
    def eligible(self) -> int:
        """Those of them that could have."""
        return sum(one.eligible for one in self.fronts.values())

    @property
    def share(self) -> Fraction | None:
        """The cap; None where fronts differ or say nonsense."""
        try:
            found = {Fraction(one.share) for one in self.fronts.values()}
        except (ValueError, ZeroDivisionError):
            return None
        return found.pop() if len(found) == 1 else None

    @property
    def observed(self) -> float | None:
        """Gray of all; None while nothing was committed."""
        return self.gray / self.requests if self.requests else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the share of what could go gray lies, with 95 %: of the eligible, since the others never could."""
        return wilson(min(self.gray, self.eligible), self.eligible)

    @property
    def state(self) -> GrayState:
        """The worst of the fronts."""
        order = list(GrayState)
        return max((one.state for one in self.fronts.values()), key=order.index)


def pools_of(reports: Iterable[GrayReports]) -> tuple[Pool, ...]:
    """The gray routes by name, in the order in which fronts told them."""
    found: dict[str, dict[NodeName, GrayReport]] = {}
    for report in reports:
        for one in report.routes:
            found.setdefault(one.route, {})[NodeName(report.node)] = one
    return tuple(Pool(route=route, fronts=fronts) for route, fronts in found.items())


def fronts_among(gateways: Sequence[GatewayNode]) -> list[GatewayNode]:
    """The fronts. Raises UsageError when there is none."""
    fronts = [gateway for gateway in gateways if gateway.is_front]
    if not fronts:
        raise UsageError("there is no front", hint="a task `daemon: {service: gateway, role: front}` makes one")
    return fronts


def gray_pools(
    gateways: Sequence[GatewayNode], doors: Gateways
) -> tuple[tuple[Pool, ...], Mapping[NodeName, FleetError]]:
    """All gray routes, and the fronts that did not say."""
    reports, errors = gray_reports(gateways, doors)
    return pools_of(reports), errors


def gray_reports(
    gateways: Sequence[GatewayNode], doors: Gateways
) -> tuple[tuple[GrayReports, ...], Mapping[NodeName, FleetError]]:
    """What each front says of its gray routes, and the fronts that did not say."""
    answers = doors.each(fronts_among(gateways), lambda door: door.gray())
    return tuple(answered(answers).values()), problems(answers)


def turn_gray(
    gateways: Sequence[GatewayNode], doors: Gateways, asked: GrayRequest
) -> tuple[Pool, Mapping[NodeName, FleetError]]:
    """Turn one on or off at every front; how it stands then. Raises UsageError for a route that no front has.

    A front that is away keeps its own state: it is among the errors, and the caller says so.
    """
    before, lost = gray_pools(gateways, doors)
    known = [pool.route for pool in before]
    if asked.route not in known and not (lost and not known):
        raise UsageError(
            f"there is no gray route {asked.route!r}",
            hint=did_you_mean(asked.route, known) or f"gray routes: {', '.join(known) or 'none'}",
        )
    reached = [gateway for gateway in fronts_among(gateways) if gateway.name not in lost]
    answers = doors.each(reached, lambda door: door.gray(asked))
    after = pools_of(answered(answers).values())
    found = next((pool for pool in after if pool.route == asked.route), None)
    errors = {**lost, **problems(answers)}
    if found is None:
        found = next((pool for pool in before if pool.route == asked.route), Pool(route=asked.route, fronts={}))
    return found, errors
