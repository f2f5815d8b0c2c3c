"""The admin doors of a fleet's fronts as the weekly work asks them (practice/sources.py), over SSH."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from fleet.control.actions.gateways import AdminDoor, GatewayNode, Gateways, answered, problems
from fleet.control.actions.graypool import fronts_among
from fleet.errors import FleetError
from fleet.practice.sources import Told
from fleet.vocabulary.contracts.policy_admin import BudgetReport, GrayReports, Incidents
from fleet.vocabulary.contracts.usage import UsageQuery, UsageReport
from fleet.vocabulary.names import NodeName

T = TypeVar("T")


class FleetFronts:
    """See Fronts. `errors` are those of whoever was away at any question, with what helps.

    Raises UsageError when there is no front.
    """

    def __init__(self, gateways: Sequence[GatewayNode], doors: Gateways) -> None:
        self._fronts = fronts_among(gateways)
        self._doors = doors
        self.errors: dict[NodeName, FleetError] = {}

    @property
    def count(self) -> int:
        """How many are asked."""
        return len(self._fronts)

    def usage(self, query: UsageQuery) -> Told[UsageReport]:
        """See Fronts."""
        return self._told(lambda door: door.usage(query))

    def budget(self) -> Told[BudgetReport]:
        """See Fronts."""
        return self._told(lambda door: door.budget())

    def gray(self) -> Told[GrayReports]:
        """See Fronts."""
        return self._told(lambda door: door.gray())

    def incidents(self) -> Told[Incidents]:
        """See Fronts."""
        return self._told(lambda door: door.incidents())

    def _told(self, ask: Callable[[AdminDoor], T]) -> Told[T]:
        answers = self._doors.each(self._fronts, ask)
        away = problems(answers)
        self.errors |= away
        reports = {str(name): report for name, report in answered(answers).items()}
        return Told(reports=reports, away={str(name): error.title for name, error in away.items()})
