"""The ledger: durable when it returns, one commit for many, closed with a reason, open again by itself."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from ledger_rows import request, reservation, settlement

from fleet.node.gateway.ledger.ledger import Ledger
from fleet.node.gateway.ledger.store import LedgerFile, connect
from fleet.node.gateway.ledger.writer import LedgerClosed, OpenFile
from fleet.vocabulary.contracts.ledger import CostSource, Note, Request, Reservation, Row, Settlement


class Told(list[str]):
    """What the log would say."""


class Slow:
    """A real file whose commits wait for `go`, and are counted."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file
        self.go = threading.Event()
        self.go.set()
        self.commits: list[int] = []

    begun = property(lambda self: self._file.begun)

    def put(self, rows: Sequence[Row]) -> None:
        self.go.wait(10)
        self._file.put(rows)
        self.commits.append(len(rows))

    def probe(self) -> None:
        self._file.probe()

    def checkpoint(self) -> None:
        self._file.checkpoint()

    def let_go(self) -> int:
        return self._file.let_go()

    def close(self) -> None:
        self._file.close()


@asynccontextmanager
async def opened(
    path: Path, told: Callable[[str], None], open_file: Callable[[Path, str], OpenFile] | None = None
) -> AsyncIterator[Ledger]:
    ledger = Ledger(path, told=told, open_file=open_file, retry_seconds=0.02)
    await ledger.open()
    ledger.release()
    try:
        yield ledger
    finally:
        await ledger.close()


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not what():
            await asyncio.sleep(0.005)


async def test_a_reservation_is_on_the_disk_when_reserve_returns(tmp_path: Path) -> None:
    async with opened(tmp_path / "ledger.db", Told().append) as ledger:
        await ledger.reserve(reservation("a"))

        other = connect(ledger.path)
        assert other.execute("SELECT id, pico FROM reservation").fetchall() == [("a/1", 1000)]
        other.close()


async def test_rows_that_come_while_a_commit_runs_are_one_commit(tmp_path: Path) -> None:
    files: list[Slow] = []

    def slow(path: Path, damaged: str) -> Slow:
        files.append(Slow(LedgerFile(path, damaged=damaged)))
        return files[-1]

    async with opened(tmp_path / "ledger.db", Told().append, slow) as ledger:
        files[0].go.clear()
        first = asyncio.ensure_future(ledger.reserve(reservation("first")))
        await asyncio.sleep(0)
        await until(lambda: not ledger._writer._urgent)  # the writer has taken it
        others = [asyncio.ensure_future(ledger.reserve(reservation(f"r{number}"))) for number in range(50)]
        await asyncio.sleep(0)
        ledger.write(settlement("r1", 5))
        files[0].go.set()
        await asyncio.gather(first, *others)

    assert files[0].commits == [1, 50, 1]  # who waits goes before what nobody waits for


async def test_what_was_written_is_there_after_close(tmp_path: Path) -> None:
    async with opened(tmp_path / "ledger.db", Told().append) as ledger:
        for number in range(3000):
            ledger.write(request(f"r{number}"))

    async with opened(tmp_path / "ledger.db", Told().append) as again:
        assert sum(isinstance(row, Request) for row in again.rows()) == 3000


async def test_nobody_reserves_before_the_rows_are_counted_but_decisions_are_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", told=Told().append)
    await ledger.open()

    with pytest.raises(LedgerClosed, match="not been counted"):
        await ledger.reserve(reservation("a"))
    await ledger.commit(Note(id="n", kind="gray_disabled", subject="owl", at_milliseconds=1))
    ledger.release()
    await ledger.reserve(reservation("a"))

    assert [row.id for row in ledger.rows()] == ["n", "a/1"]
    await ledger.close()


class SmallDisk:
    """A disk that holds so many pages: SQLite itself says that it is full."""

    def __init__(self) -> None:
        self.connections: list[sqlite3.Connection] = []

    def open_file(self, path: Path, damaged: str) -> LedgerFile:
        def connected(path: Path) -> sqlite3.Connection:
            self.connections.append(connect(path))
            return self.connections[-1]

        return LedgerFile(path, damaged=damaged, connect=connected)

    def room(self, pages: int) -> None:
        for one in self.connections:
            one.execute(f"PRAGMA max_page_count = {pages}")


async def fill(ledger: Ledger) -> str:
    """Reserve until the disk is full; which request was refused."""
    for number in range(500):
        try:
            await ledger.reserve(reservation(f"r{number}"))
        except LedgerClosed:
            return f"r{number}"
    raise AssertionError("the disk never got full")


async def reserved(ledger: Ledger, name: str) -> None:
    """As soon as the ledger takes it."""
    async with asyncio.timeout(20):
        while True:
            try:
                await ledger.reserve(reservation(name))
            except LedgerClosed:
                await asyncio.sleep(0.01)
            else:
                return


async def test_a_full_disk_closes_the_ledger_and_room_opens_it_again_with_nothing_lost(tmp_path: Path) -> None:
    told, disk = Told(), SmallDisk()
    async with opened(tmp_path / "ledger.db", told.append, disk.open_file) as ledger:
        await ledger.reserve(reservation("before"))
        disk.room(1)  # SQLite raises that to what is used
        refused = await fill(ledger)
        await until(lambda: bool(ledger.closed))
        ledger.write(settlement("before", 42))
        with pytest.raises(LedgerClosed, match="full"):
            await ledger.commit(Note(id="n", kind="alert", subject="x", at_milliseconds=1))
        disk.room(2**30)
        await reserved(ledger, "after")

        rows = list(ledger.rows())

    settled = {row.id: row for row in rows if isinstance(row, Settlement)}
    assert settled["before/1"].pico == 42
    assert f"{refused}/1" not in {row.id for row in rows if isinstance(row, Reservation)} - set(settled)
    assert "full" in told[1]
    assert "the ledger is closed: the disk is full; paid routes wait" in told
    assert told[-1] == "the ledger is written again"


async def test_a_row_that_sqlite_cannot_hold_is_refused_alone(tmp_path: Path) -> None:
    told = Told()
    async with opened(tmp_path / "ledger.db", told.append) as ledger:
        good = [asyncio.ensure_future(ledger.reserve(reservation(f"r{number}"))) for number in range(9)]
        bad = asyncio.ensure_future(ledger.reserve(reservation("bad", pico=2**70)))
        odd = asyncio.ensure_future(ledger.reserve(reservation("odd", pico="many")))  # type: ignore[arg-type]
        await asyncio.gather(*good)
        with pytest.raises(LedgerClosed, match="cannot be kept"):
            await bad
        with pytest.raises(LedgerClosed, match="cannot be kept"):
            await odd
        assert ledger.closed == ""
        ledger.write(request("r", status=None))
        await ledger.reserve(reservation("last"))
        assert len(list(ledger.rows())) == 10
    await until(lambda: told[-1] == "the ledger lost 1 rows that could not be written")


async def test_a_locked_file_closes_the_ledger_until_it_is_let_go(tmp_path: Path) -> None:
    async def locked_by(other: sqlite3.Connection, ledger: Ledger) -> None:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerClosed, match="locked"):
            await ledger.reserve(reservation("a"))
        other.execute("ROLLBACK")

    def impatient(path: Path, damaged: str) -> LedgerFile:
        return LedgerFile(
            path,
            damaged=damaged,
            connect=lambda at: sqlite3.connect(at, 0.01, isolation_level=None, check_same_thread=False),
        )

    async with opened(tmp_path / "ledger.db", Told().append, impatient) as ledger:
        other = connect(ledger.path)
        await locked_by(other, ledger)
        await until(lambda: not ledger.closed)
        await ledger.reserve(reservation("b"))
        other.close()


async def test_a_file_that_breaks_while_it_is_used_is_set_aside_and_the_new_one_is_held(tmp_path: Path) -> None:
    class Breaking(Slow):
        broken = False

        def put(self, rows: Sequence[Row]) -> None:
            if self.broken:
                error = sqlite3.DatabaseError("database disk image is malformed")
                error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise error
            super().put(rows)

    files: list[Breaking] = []

    def breaking(path: Path, damaged: str) -> Breaking:
        files.append(Breaking(LedgerFile(path, damaged=damaged)))
        return files[-1]

    told = Told()
    async with opened(tmp_path / "ledger.db", told.append, breaking) as ledger:
        await ledger.reserve(reservation("a"))
        files[0].broken = True
        with pytest.raises(LedgerClosed, match="damaged"):
            await ledger.reserve(reservation("b"))
        await until(lambda: len(files) == 2 and "anew" in ledger.closed)
        with pytest.raises(LedgerClosed, match="begun anew"):
            await ledger.reserve(reservation("c"))
        ledger.release()
        await ledger.reserve(reservation("d"))

    assert len(list(tmp_path.glob("ledger.db.damaged-*"))) >= 1


async def test_a_reservation_whose_caller_left_is_settled_as_never_sent(tmp_path: Path) -> None:
    files: list[Slow] = []

    def slow(path: Path, damaged: str) -> Slow:
        files.append(Slow(LedgerFile(path, damaged=damaged)))
        return files[-1]

    async with opened(tmp_path / "ledger.db", Told().append, slow) as ledger:
        files[0].go.clear()
        waiting = asyncio.ensure_future(ledger.reserve(reservation("a")))
        await asyncio.sleep(0.01)
        waiting.cancel()
        files[0].go.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await until(lambda: any(isinstance(row, Settlement) for row in ledger.rows()))
        settled = [row for row in ledger.rows() if isinstance(row, Settlement)]

    assert [(row.id, row.pico, row.source) for row in settled] == [("a/1", 0, CostSource.UNSENT)]


async def test_requests_beyond_the_queue_are_lost_and_told_and_money_is_not(tmp_path: Path) -> None:
    told, disk = Told(), SmallDisk()
    async with opened(tmp_path / "ledger.db", told.append, disk.open_file) as ledger:
        ledger._writer._most_queued = 10
        disk.room(1)
        await fill(ledger)
        for number in range(100):
            ledger.write(request(f"q{number}"))
            ledger.write(settlement(f"r{number}", 1))
        disk.room(2**30)
        await reserved(ledger, "after")
        rows = list(ledger.rows())

    lost = 100 - sum(isinstance(row, Request) for row in rows)
    assert lost > 0
    assert f"the ledger lost {lost} rows that could not be written" in told


async def test_a_ledger_in_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = Told()
    ledger = Ledger(tmp_path / "file/ledger.db", told=told.append, retry_seconds=0.01)
    await ledger.open()
    ledger.release()

    assert ledger.closed.startswith("ledger.db: ")
    with pytest.raises(LedgerClosed):
        await ledger.reserve(reservation("a"))
    with pytest.raises(LedgerClosed):
        list(ledger.rows())
    await ledger.close()
