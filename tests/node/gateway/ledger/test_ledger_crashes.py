"""kill -9 between any two statements, and any interleaving of writes and crashes: sums are those of the rows told of.

A crash is a copy of the file and its WAL as they are at that moment: what a killed process leaves behind.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from ledger_rows import dispatch, request, reservation, settlement

from fleet.node.gateway.ledger.reading import reading, rows_since
from fleet.node.gateway.ledger.store import LedgerFile
from fleet.node.gateway.ledger.tables import TABLES
from fleet.vocabulary.contracts.ledger import Adjustment, Row
from fleet.vocabulary.names import Track


class Dying(sqlite3.Connection):
    """After so many statements the process is dead: nothing more is done, the disk stays as it is."""

    left = 10**9

    def execute(self, *what: object) -> sqlite3.Cursor:
        """Counts the statement first."""
        Dying.left -= 1
        if Dying.left < 0:
            raise KeyboardInterrupt  # what no handler of the product catches
        return super().execute(*what)  # type: ignore[arg-type]


def dying(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Dying)


@contextmanager
def living() -> Iterator[None]:
    Dying.left = 10**9
    yield


def wreck(path: Path, to: Path) -> Path:
    """What is on the disk when the process is gone."""
    to.mkdir()
    for suffix in ("", "-wal"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            shutil.copy(part, to / part.name)
    return to / path.name


BATCHES: list[list[Row]] = [
    [reservation(f"r{number}", 100) for number in range(70)],
    [settlement("r1", 40), dispatch("r2"), reservation("s", 9), request("r1")],
    [Adjustment(id="adj", of="r1/1", at_milliseconds=1, pico=-3, track=Track.DOLLAR, note=""), settlement("r2", 7)],
]


def test_a_process_that_dies_between_any_two_statements_leaves_whole_batches_and_nothing_else(tmp_path: Path) -> None:
    died = 0
    for at in range(1, 200):
        Dying.left = at
        path = tmp_path / str(at) / "ledger.db"
        done = 0
        try:
            file = LedgerFile(path, connect=dying)
            for batch in BATCHES:
                file.put(batch)
                done += 1
        except KeyboardInterrupt:
            died += 1
        finished = Dying.left >= 0
        if path.exists():
            with living():
                again = LedgerFile(wreck(path, tmp_path / f"{at}-dead"))
                found = {(type(row).__name__, row.id) for row in rows_since(again.path)}
                again.close()
            whole = [
                {(type(row).__name__, row.id) for batch in BATCHES[:count] for row in batch}
                for count in (done, done + 1)
            ]
            assert found in whole
        if finished:
            break
    assert died > 15
    assert finished


def _unsynced(_: Row) -> bool:
    """A killed process loses nothing that was not synced."""
    return False


class CrashingLedger(RuleBasedStateMachine):
    """Writes of any kind, twice at times, and crashes between; a model of sets says what must be there."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.model: dict[tuple[str, str], Row] = {}

    @initialize()
    def begin(self) -> None:
        """An empty ledger."""
        Dying.left = 10**9
        self.home = tempfile.TemporaryDirectory()
        self.file = LedgerFile(Path(self.home.name) / "0/ledger.db", connect=dying, synced=_unsynced)

    @rule(
        names=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6),
        kinds=st.lists(st.sampled_from("rsda"), min_size=6, max_size=6),
        pico=st.integers(0, 10**15),
        statements=st.none() | st.integers(0, 8),
    )
    def put(self, names: list[str], kinds: list[str], pico: int, statements: int | None) -> None:
        """A batch, and perhaps a death in it."""
        rows: list[Row] = []
        for name, kind in zip(names, kinds, strict=False):
            match kind:
                case "r":
                    rows.append(reservation(name, pico))
                case "s":
                    rows.append(settlement(name, pico))
                case "d":
                    rows.append(dispatch(name))
                case _:
                    rows.append(
                        Adjustment(id=f"adj/{name}", of="", at_milliseconds=1, pico=pico, track=Track.DOLLAR, note="")
                    )
        Dying.left = 10**9 if statements is None else statements
        try:
            self.file.put(rows)
        except KeyboardInterrupt:
            self.die(rows)
        else:
            Dying.left = 10**9
            self._count(rows)

    @rule()
    def die(self, doubtful: list[Row] | None = None) -> None:
        """The process is gone; the next one opens what is left. A batch is there whole, or not at all."""
        Dying.left = 10**9
        self.number += 1
        path = wreck(self.file.path, Path(self.home.name) / str(self.number))
        self.file.close()
        self.file = LedgerFile(path, connect=dying, synced=_unsynced)
        there = set(self._found())
        if doubtful and {(type(row).__name__, row.id) for row in doubtful} <= there:
            self._count(doubtful)

    @invariant()
    def what_is_there_is_what_was_committed(self) -> None:
        """Every row once, the first of its id, and so every sum."""
        if hasattr(self, "file"):
            assert self._found() == self.model

    def teardown(self) -> None:
        """No file is left."""
        Dying.left = 10**9
        if hasattr(self, "file"):
            self.file.close()
            self.home.cleanup()

    def _count(self, rows: list[Row]) -> None:
        for row in rows:
            self.model.setdefault((type(row).__name__, row.id), row)

    def _found(self) -> dict[tuple[str, str], Row]:
        found: dict[tuple[str, str], Row] = {}
        with reading(self.file.path) as database:
            for table in TABLES:
                for values in database.execute(f"SELECT {table.listed} FROM {table.name}"):
                    row = table.row(values)
                    found[type(row).__name__, row.id] = row
        return found


TestCrashingLedger = CrashingLedger.TestCase
TestCrashingLedger.settings = settings(max_examples=10, stateful_step_count=12, deadline=None)
