"""Requests that are let go leave their sums, and no balance changes: money is kept for ever."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_rows import request, reservation, settlement

from fleet.node.gateway.ledger.ledger import Ledger
from fleet.node.gateway.ledger.queries import summed
from fleet.node.gateway.ledger.reading import rows_since
from fleet.node.gateway.ledger.retention import Keep
from fleet.node.gateway.ledger.store import LedgerFile
from fleet.vocabulary.contracts.ledger import Request
from fleet.vocabulary.contracts.ledger_admin import LedgerBy, LedgerLine, LedgerQuery

_NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
_ZONE = "Europe/Berlin"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def sums(path: Path) -> tuple[LedgerLine, ...]:
    return summed(path, LedgerQuery(by=(LedgerBy.MONTH, LedgerBy.MODEL, LedgerBy.KEY)), budget_tz=_ZONE)


@pytest.mark.parametrize(
    ("months", "zone", "begins"),
    [
        (0, "UTC", "2026-11-01T00:00"),
        (11, "UTC", "2025-12-01T00:00"),
        (25, "UTC", "2024-10-01T00:00"),
        (1, _ZONE, "2026-09-30T22:00"),
        (0, _ZONE, "2026-10-31T23:00"),
    ],
)
def test_whole_months_of_the_budgets_time_zone_are_kept(months: int, zone: str, begins: str) -> None:
    assert Keep(months, zone).before(_NOW) == at(begins)


@given(
    st.lists(
        st.tuples(
            st.integers(at("2026-07-30"), at("2026-11-22")), st.sampled_from(["kimi", "owl"]), st.integers(0, 99)
        ),
        max_size=30,
    )
)
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_sums_by_month_are_the_same_after_rows_were_let_go(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[int, str, int]]
) -> None:
    file = LedgerFile(
        tmp_path_factory.mktemp("old") / "ledger.db", keep=Keep(1, _ZONE), synced=lambda _: False, now=lambda: _NOW
    )
    file.put(
        [
            request(
                str(number),
                at=moment,
                model=model,
                prompt_tokens=tokens or None,
                outcome="ok" if tokens % 2 else "failed",
            )
            for number, (moment, model, tokens) in enumerate(asked)
        ]
        + [reservation("r", 50, at=at("2026-08-01")), settlement("r", 7)]
    )
    before = sums(file.path)

    gone = 0
    while step := file.let_go():
        gone += step

    old = [moment for moment, *_ in asked if moment < Keep(1, _ZONE).before(_NOW)]
    rows = list(rows_since(file.path))
    assert gone == len(old)
    assert sum(isinstance(row, Request) for row in rows) == len(asked) - len(old)
    assert sums(file.path) == before
    file.close()


def test_rows_go_in_small_steps_and_a_step_that_is_cut_changes_nothing(tmp_path: Path) -> None:
    class Cut(sqlite3.Connection):
        at = ""

        def execute(self, *what: object) -> sqlite3.Cursor:
            if Cut.at and str(what[0]).startswith(Cut.at):
                raise sqlite3.OperationalError("cut")
            return super().execute(*what)  # type: ignore[arg-type]

    file = LedgerFile(
        tmp_path / "ledger.db",
        keep=Keep(0),
        now=lambda: _NOW,
        connect=lambda path: sqlite3.connect(path, isolation_level=None, factory=Cut),
    )
    file.put([request(str(number), at=at("2026-09-01") + number) for number in range(1200)])
    before = sums(file.path)
    for word in ("INSERT INTO kept", "DELETE", "COMMIT"):
        Cut.at = word
        with pytest.raises(sqlite3.OperationalError, match="cut"):
            file.let_go()
        assert sums(file.path) == before
    Cut.at = ""

    assert [file.let_go() for _ in range(4)] == [500, 500, 200, 0]
    assert sums(file.path) == before
    file.close()


async def test_the_writer_lets_old_rows_go_by_itself(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", told=lambda _: None, keep=Keep(1))
    await ledger.open()
    ledger.write(request("old", at=at("2020-01-01")))
    ledger.write(request("new", at=at("2999-01-01")))
    async with asyncio.timeout(20):
        while "old" in (ids := {row.id for row in ledger.rows()}) or not ids:
            await asyncio.sleep(0.01)
    await ledger.close()

    assert [row.id for row in rows_since(ledger.path)] == ["new"]
