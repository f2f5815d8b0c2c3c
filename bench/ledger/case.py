"""One case in this process: `python -m bench.ledger.case CASE FOLDER SECONDS` prints its Row as JSON.

`many`: 512 coroutines, each reserves and settles as fast as it can. `alone`: one. `busy`: 1,000 requests a second at
random moments, each of which also takes from the loop what the relay takes for one (docs/performance.md: 146 µs, in
three pieces). `_full`: reservations are synced to the disk, as paid ones are. `naive`: sqlite3, one connection, one
transaction for each row, no thread, no loop.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from bench.ledger.rows import Row
from fleet.node.gateway.ledger.ledger import Ledger
from fleet.node.gateway.ledger.schema import migrate
from fleet.node.gateway.ledger.store import LedgerFile
from fleet.node.gateway.ledger.tables import RESERVATIONS, SETTLEMENTS, insert
from fleet.vocabulary.contracts.ledger import CostSource, Owner, Reservation, Settlement
from fleet.vocabulary.contracts.ledger import Row as LedgerRow
from fleet.vocabulary.names import Track

CASES = ("alone", "busy", "many", "alone_full", "busy_full", "many_full", "naive", "naive_full")
_OWNER = Owner(key="ada-laptop", person="ada", team="search", app="code")
_MANY = 512
_RATE = 1000.0
_PIECES, _PIECE_SECONDS = 2, 20e-6


def reservation() -> Reservation:
    """As the gateway writes them: the id is random."""
    name = f"req_{os.urandom(12).hex()}"
    return Reservation(
        id=f"{name}/1",
        request=name,
        at_milliseconds=time.time_ns() // 1_000_000,
        owner=_OWNER,
        route="code",
        track=Track.DOLLAR,
        upstream="openrouter.kimi",
        model="moonshotai/kimi-k2",
        pico=123_456_789,
    )


def settlement(row: Reservation) -> Settlement:
    """Its cost."""
    return Settlement(id=row.id, at_milliseconds=row.at_milliseconds, pico=4_200_000, source=CostSource.PROVIDER)


def _never(_: LedgerRow) -> bool:
    return False


class Counting(LedgerFile):
    """Knows how many commits there were."""

    commits = 0
    rows = 0

    def put(self, rows: object) -> None:
        """See LedgerFile."""
        super().put(rows)  # type: ignore[arg-type]
        self.commits += 1
        self.rows += len(rows)  # type: ignore[arg-type]


class Load:
    """Asks a real ledger, and remembers how long it waited."""

    def __init__(self, ledger: Ledger, seconds: float) -> None:
        self.ledger = ledger
        self.waits: list[float] = []
        self._seconds = seconds

    async def closed(self, coroutines: int) -> None:
        """So many at once, each as fast as it can."""
        end = time.perf_counter() + self._seconds

        async def one() -> None:
            while time.perf_counter() < end:
                row = reservation()
                await self.reserve(row)
                self.ledger.write(settlement(row))

        await asyncio.gather(*(one() for _ in range(coroutines)))

    async def busy(self) -> None:
        """Requests at random moments, with work of their own in the loop."""
        loop = asyncio.get_running_loop()
        due, end = loop.time(), loop.time() + self._seconds
        running: set[asyncio.Task[None]] = set()
        while due < end:
            due += random.expovariate(_RATE)
            if (left := due - loop.time()) > 0:
                await asyncio.sleep(left)
            task = asyncio.ensure_future(self._request())
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)

    async def reserve(self, row: Reservation) -> None:
        """Timed."""
        began = time.perf_counter()
        await self.ledger.reserve(row)
        self.waits.append(time.perf_counter() - began)

    async def _request(self) -> None:
        _work()
        row = reservation()
        await self.reserve(row)
        for _ in range(_PIECES):
            _work()
            await asyncio.sleep(0.002)
        self.ledger.write(settlement(row))


def _work() -> None:
    end = time.thread_time() + _PIECE_SECONDS
    while time.thread_time() < end:
        pass


async def measured(case: str, folder: Path, seconds: float) -> Row:
    """A case of the ledger."""
    files: list[Counting] = []

    def opened(path: Path, damaged: str) -> Counting:
        files.append(Counting(path, damaged=damaged, **({} if case.endswith("_full") else {"synced": _never})))
        return files[-1]

    ledger = Ledger(folder / "ledger.db", told=lambda text: sys.stderr.write(f"{text}\n"), open_file=opened)
    await ledger.open()
    ledger.release()
    load = Load(ledger, seconds)
    cpu, began = time.process_time(), time.perf_counter()
    kind = case.removesuffix("_full")
    await (load.busy() if kind == "busy" else load.closed(_MANY if kind == "many" else 1))
    await ledger.close()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    waits = sorted(load.waits)
    return Row(
        case=case,
        pairs=len(waits),
        pairs_per_second=len(waits) / took,
        cpu_us_per_pair=cpu / len(waits) * 1e6,
        wait_p50_us=waits[len(waits) // 2] * 1e6,
        wait_p90_us=waits[len(waits) * 9 // 10] * 1e6,
        wait_p99_us=waits[len(waits) * 99 // 100] * 1e6,
        rows_per_commit=files[0].rows / files[0].commits,
    )


def naive(case: str, folder: Path, seconds: float) -> Row:
    """What SQLite does when every row is a transaction."""
    database = sqlite3.connect(folder / "naive.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    migrate(database)
    database.execute(f"PRAGMA synchronous = {'FULL' if case.endswith('_full') else 'NORMAL'}")
    first, second = (insert(table.name, table.columns, 1) for table in (RESERVATIONS, SETTLEMENTS))
    pairs, cpu, began = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - began < seconds:
        row = reservation()
        database.execute(first, RESERVATIONS.values(row))
        database.execute(second, SETTLEMENTS.values(settlement(row)))
        pairs += 1
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    database.close()
    return Row(case=case, pairs=pairs, pairs_per_second=pairs / took, cpu_us_per_pair=cpu / pairs * 1e6)


def main() -> None:
    """Measure, and print."""
    case, folder, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    if case.startswith("naive"):
        row = naive(case, folder, seconds)
    else:
        row = uvloop.run(measured(case, folder, seconds))
    sys.stdout.write(msgspec.json.encode(row).decode() + "\n")


if __name__ == "__main__":
    main()
