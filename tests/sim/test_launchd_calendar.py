"""Jobs by the calendar: when they are due, and that the simulated launchd starts them then."""

from dataclasses import replace
from datetime import datetime

import pytest

from fleet.sim.launchd.calendar import entries_of, next_time
from tests.sim.conftest import FAST, Lab


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


SUNDAY = at("2026-11-22 17:54:10")


@pytest.mark.parametrize(
    ("entry", "due"),
    [
        ({"Hour": 6, "Minute": 30}, at("2026-11-23 06:30:00")),
        ({"Hour": 17, "Minute": 54}, at("2026-11-23 17:54:00")),
        ({"Hour": 18, "Minute": 0}, at("2026-11-22 18:00:00")),
        ({"Minute": 55}, at("2026-11-22 17:55:00")),
        ({}, at("2026-11-22 17:55:00")),
        ({"Weekday": 1, "Hour": 6, "Minute": 30}, at("2026-11-23 06:30:00")),
        ({"Weekday": 0, "Hour": 6, "Minute": 30}, at("2026-11-29 06:30:00")),
        ({"Weekday": 7, "Hour": 6, "Minute": 30}, at("2026-11-29 06:30:00")),
        ({"Day": 1, "Weekday": 5, "Hour": 0, "Minute": 0}, at("2026-11-27 00:00:00")),
        ({"Month": 2, "Day": 29, "Hour": 0, "Minute": 0}, at("2028-02-29 00:00:00")),
        ({"Month": 2, "Day": 30}, None),
    ],
)
def test_a_job_is_due_at_the_next_minute_that_its_keys_name(entry: dict[str, int], due: datetime | None) -> None:
    assert next_time((entry,), SUNDAY) == due


def test_of_several_entries_the_first_is_next_and_none_is_never() -> None:
    entries = entries_of([{"Hour": 20, "Minute": 0}, {"Hour": 19, "Minute": 5}, "nonsense"])
    assert next_time(entries, SUNDAY) == at("2026-11-22 19:05:00")
    assert next_time((), SUNDAY) is None
    assert entries_of(None) == ()


async def test_a_job_that_is_due_is_started(lab: Lab) -> None:
    """Every minute, and the Mac's clock is half a second before the next one."""
    now = datetime.now()  # noqa: DTZ005 (a Mac's own time)
    ahead = 59.5 - (now.second + now.microsecond / 1_000_000)
    await lab.launchd.change(replace(FAST, clock_ahead_seconds=ahead))
    await lab.load("exit 0", StartCalendarInterval={})
    await lab.until(lambda job: (job.runs or 0) >= 1)
