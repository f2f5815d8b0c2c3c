"""What the fronts told, each question asked once: every figure is read from here, and again when it is doubted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TypeVar

from fleet.practice.budget import Budget, summed
from fleet.practice.sources import Fronts, Told
from fleet.practice.weekly.figures import (
    Asked,
    Better,
    BudgetAsked,
    Figure,
    FileAsked,
    GrayAsked,
    Unit,
    UsageAsked,
    Value,
)
from fleet.practice.weekly.reading import of_budget, of_gray, of_usage
from fleet.vocabulary.contracts.policy_admin import BudgetReport, GrayReports
from fleet.vocabulary.contracts.usage import UsageLine, UsageQuery, UsageReport

Report = TypeVar("Report")


class Answers:
    """Asks the fronts, and remembers what they told. `away` grows with every answer that one of them owes.

    `files` answers for the files of the project; on a front there are none.
    """

    def __init__(self, fronts: Fronts, *, files: Callable[[FileAsked], Value] | None = None) -> None:
        self._fronts = fronts
        self._files = files
        self._usage: dict[UsageQuery, Told[UsageReport]] = {}
        self._noted = _Noted()

    @property
    def away(self) -> Mapping[str, str]:
        """The fronts that did not tell something, and why."""
        return self._noted.away

    @property
    def fronts(self) -> tuple[str, ...]:
        """Those that told all that was asked of their use."""
        told = set().union(*(answer.reports for answer in self._usage.values()))
        return tuple(sorted(told.difference(*(answer.away for answer in self._usage.values()))))

    @property
    def begins(self) -> Mapping[str, int]:
        """When the ledger of each front begins, in milliseconds."""
        return {
            name: report.oldest_milliseconds
            for answer in self._usage.values()
            for name, report in answer.reports.items()
            if report.oldest_milliseconds is not None
        }

    def usage(self, query: UsageQuery) -> tuple[UsageReport, ...]:
        """What each front told."""
        if query not in self._usage:
            self._usage[query] = self._noted(self._fronts.usage(query))
        return tuple(self._usage[query].reports.values())

    def lines(self, query: UsageQuery) -> dict[tuple[str, ...], tuple[UsageLine, ...]]:
        """The lines of all fronts by their names."""
        found: dict[tuple[str, ...], tuple[UsageLine, ...]] = {}
        for report in self.usage(query):
            for line in report.lines:
                found[line.names] = (*found.get(line.names, ()), line)
        return found

    @cached_property
    def budget_reports(self) -> tuple[BudgetReport, ...]:
        """The month of each front."""
        return tuple(self._noted(self._fronts.budget()).reports.values())

    @cached_property
    def month(self) -> Budget | None:
        """The month of all of them; None when no front has one."""
        return summed(self.budget_reports) if self.budget_reports else None

    @cached_property
    def gray(self) -> tuple[GrayReports, ...]:
        """What each front says of its gray routes."""
        return tuple(self._noted(self._fronts.gray()).reports.values())

    def value(self, asked: Asked) -> Value:
        """The answer to the question of a figure."""
        match asked:
            case UsageAsked():
                return of_usage(asked, self.usage(asked.query))
            case BudgetAsked():
                return of_budget(asked, self.month)
            case GrayAsked():
                return of_gray(asked, self.gray)
            case FileAsked():
                return None if self._files is None else self._files(asked)

    def figure(
        self,
        key: str,
        label: str,
        unit: Unit,
        asked: Asked,
        *,
        before: Asked | None = None,
        better: Better = Better.NEITHER,
        note: str = "",
    ) -> Figure:
        """A figure by its question, and by that of the week before."""
        return Figure(
            id=key,
            label=label,
            unit=unit,
            value=self.value(asked),
            asked=asked,
            before=None if before is None else self.value(before),
            asked_before=before,
            better=better,
            note=note,
        )


class _Noted:
    """Remembers who was away."""

    def __init__(self) -> None:
        self.away: dict[str, str] = {}

    def __call__(self, told: Told[Report]) -> Told[Report]:
        self.away.update(told.away)
        return told
