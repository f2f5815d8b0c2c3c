"""The files of a project around week 2026-W21: the table of May, its tickets, two runs of the harness."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from fleet.practice.harness.store import RunBook, begin_run
from fleet.practice.rankings.diff import diff
from fleet.practice.rankings.ours import Ours
from fleet.practice.rankings.store import keep_week
from fleet.practice.tickets.store import file_tickets
from fleet.practice.tickets.ticket import tickets_of
from fleet.practice.weekly.weeks import parse_week
from tests.practice.harness.measured_kit import a_head, drawn
from tests.practice.maytable import W20, W21, ranking_of

MAY = parse_week("2026-W21")
MAY_NOW = datetime(2026, 5, 25, 6, 30, tzinfo=UTC)


def rankings_and_tickets(root: Path) -> None:
    """Both weeks of May, and the tickets of the second."""
    for week in (W20, W21):
        keep_week(root / "rankings", ranking_of(week))
    found = diff(ranking_of(W20), ranking_of(W21), ours=Ours(), today=date(2026, 5, 25))
    file_tickets(root / "tickets", tickets_of(found, ours=Ours()))


def a_run(root: Path, name: str, *, started: int, rates: dict[str, float]) -> None:
    """A complete run of so many targets as there are rates."""
    head = msgspec.structs.replace(a_head(*rates), run=name, started_milliseconds=started)
    folder = root / "harness" / name
    begin_run(folder, head)
    book = RunBook(folder)
    for number, (target, rate) in enumerate(rates.items()):
        for line in drawn(target, seed=number + started % 97, passing=rate, seconds=1.0 + number).results:
            book.write(line)
    book.close()
