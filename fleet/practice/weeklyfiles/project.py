"""What the files of a project say of a week: `rankings/`, `tickets/` and `harness/`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from fleet.errors import FleetError
from fleet.practice.harness.compare import Verdict, compare
from fleet.practice.harness.measured import measured
from fleet.practice.harness.report import HarnessReport
from fleet.practice.harness.store import read_run, runs_in
from fleet.practice.tickets.store import read_tickets
from fleet.practice.tickets.ticket import Ticket
from fleet.practice.weekly.answers import Answers
from fleet.practice.weekly.figures import FileAsked, Value
from fleet.practice.weekly.report import Section, Unmeasured
from fleet.practice.weekly.sections.part import Part
from fleet.practice.weeklyfiles.files import HARNESS, ProjectFiles
from fleet.practice.weeklyfiles.harness import harness_part, in_week
from fleet.practice.weeklyfiles.rankings import rankings_part
from fleet.traffic.budget.calendar import Week

_TICKETS = "tickets"


class WeeklyProject:
    """See make.Project. What cannot be read is not measured, and says why."""

    def __init__(self, root: Path, *, today: date) -> None:
        self._root = root
        self._today = today
        self._files = ProjectFiles(root)

    def files(self, asked: FileAsked) -> Value:
        """A figure of a file."""
        return self._files(asked)

    def parts(self, answers: Answers, week: Week) -> Sequence[Part]:
        """Rankings and harness."""
        return (self._rankings(answers, week), self._harness(answers, week))

    def _rankings(self, answers: Answers, week: Week) -> Part:
        tickets: tuple[Ticket, ...] = ()
        try:
            tickets = read_tickets(self._root / _TICKETS)
            return rankings_part(answers, self._files, week, tickets, today=self._today)
        except FleetError as problem:
            return _unread("rankings", "Rankings", problem)

    def _harness(self, answers: Answers, week: Week) -> Part:
        """The newest run of the week, beside the newest one from before it."""
        reports = [found for name in runs_in(self._root / HARNESS) if (found := self._files.run(name)) is not None]
        now = next((one for one in reports if in_week(one, week)), None)
        earlier = [one for one in reports if one.started_milliseconds < week.starts]
        try:
            compared = () if now is None else self._compared(now)
        except FleetError as problem:
            return _unread("harness", "Harness", problem)
        return harness_part(answers, week, now, next(iter(earlier), None), compared)

    def _compared(self, report: HarnessReport) -> tuple[Verdict, ...]:
        """Every target against the first one that was measured."""
        run = read_run(self._root / HARNESS / report.run)
        names = [target.name for target in report.targets if target.measured]
        return tuple(compare(measured(run, names[0]), measured(run, name)) for name in names[1:])


def _unread(key: str, title: str, problem: FleetError) -> Part:
    section = Section(id=key, title=title, lead="Not measured.")
    return Part(section=section, unmeasured=(Unmeasured(what=key, why=problem.title),))
