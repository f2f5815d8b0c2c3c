"""Where the weekly work gets its figures from: the admin doors of fronts, each answering for itself.

On a laptop these doors are reached over SSH, on a front its own over loopback. Who is away is missing in an answer and
is named in `away`: a figure of three fronts out of four says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from fleet.vocabulary.contracts.policy_admin import BudgetReport, GrayReports, Incidents
from fleet.vocabulary.contracts.usage import UsageQuery, UsageReport

Report = TypeVar("Report")


@dataclass(frozen=True, kw_only=True)
class Told(Generic[Report]):
    """What each front told, by its node, and why others did not."""

    reports: Mapping[str, Report] = field(default_factory=dict)
    away: Mapping[str, str] = field(default_factory=dict)


class Fronts(Protocol):
    """The admin doors of all fronts. No call raises for a front that is away."""

    def usage(self, query: UsageQuery) -> Told[UsageReport]:
        """Requests, tokens and money, added up as asked."""
        ...

    def budget(self) -> Told[BudgetReport]:
        """The month so far."""
        ...

    def gray(self) -> Told[GrayReports]:
        """All gray routes."""
        ...

    def incidents(self) -> Told[Incidents]:
        """The incidents of the last 90 days."""
        ...
