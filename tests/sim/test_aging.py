"""Days pass in a ledger of the simulation: whole requests, and nothing is lost."""

import sqlite3
from pathlib import Path

from fleet.sim.aging import age
from tests.practice.weekly.ground import FLASH, OPUS, WEEK, rows, write

_DAY = 86_400_000


def times(path: Path) -> dict[str, list[tuple[str, int]]]:
    with sqlite3.connect(path) as database:
        return {
            table: database.execute(f"SELECT {name}, at FROM {table} ORDER BY id").fetchall()
            for table, name in (("request", "id"), ("reservation", "request"), ("settlement", "id"))
        }


def test_rows_go_back_by_whole_days_and_all_of_a_request_together(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.sqlite", rows(WEEK, {FLASH: 60, OPUS: 20}))
    before = times(path)
    assert age(path, days=7, over=7) == 80
    after = times(path)
    back: dict[str, set[int]] = {}
    for table, some in before.items():
        for (name, at), (same, aged) in zip(some, after[table], strict=True):
            assert name == same
            back.setdefault(name.partition("/")[0], set()).add(at - aged)
    assert all(len(days) == 1 for days in back.values())
    found = {day for days in back.values() for day in days}
    assert found == {day * _DAY for day in range(7, 14)}


def test_what_is_older_stays(tmp_path: Path) -> None:
    some = [*rows(WEEK.previous, {FLASH: 30}), *rows(WEEK, {FLASH: 40})]
    path = write(tmp_path / "ledger.sqlite", some)
    assert age(path, days=1, since_milliseconds=WEEK.starts) == 40
