"""kill -9 of a process that bills under load, again and again: no row is lost, and the sums are the provider's bill.

`make show-ledger-kill` does it 200 times.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from killed_driver import WORST_PICO, Spec

from fleet.node.gateway.ledger.reading import rows_since
from fleet.sim.upstreams.openrouter.server import KEY, SimulatedOpenRouter
from fleet.vocabulary.contracts.ledger import Adjustment, Reservation, Settlement

CYCLES = 200 if os.environ.get("FLEET_SHOW") else 10
pytestmark = pytest.mark.timeout(900)


class Driver:
    """Starts processes, kills them, and knows when they are gone."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def start(self, spec: Spec) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(spec) + b"\n")
        return int(await self._process.stdout.readline())


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def until(what: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.005)


@pytest.fixture
async def driver() -> AsyncIterator[Driver]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("killed_driver.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield Driver(process)
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


async def test_a_front_killed_under_load_loses_no_row_and_its_sums_are_the_bill(tmp_path: Path, driver: Driver) -> None:
    dice = random.Random(11)
    reserved = tmp_path / "reserved"
    reserved.touch()
    cap = 0
    async with SimulatedOpenRouter() as openrouter:
        spec = Spec(folder=str(tmp_path), url=openrouter.url, key=KEY)
        for cycle in range(CYCLES):
            cap += dice.randint(20, 60) * WORST_PICO  # each cycle may spend a little more, and wants much more
            billed, was = len(openrouter.bill.generations), reserved.stat().st_size
            pid = await driver.start(msgspec.structs.replace(spec, cap_pico=cap, seed=cycle + 1))
            await until(lambda was=was: reserved.stat().st_size > was)  # type: ignore[misc]
            some = billed + dice.choice((0, 1, 3, 10, 30))
            await until(lambda some=some, pid=pid: len(openrouter.bill.generations) > some or gone(pid))  # type: ignore[misc]
            await asyncio.sleep(dice.random() * 0.02)
            assert not gone(pid)
            os.kill(pid, signal.SIGKILL)
            await until(lambda pid=pid: gone(pid))  # type: ignore[misc]
            await until(lambda: all(one.ended_at is not None for one in openrouter.exchanges))
            assert openrouter.bill.total_pico <= cap

        pid = await driver.start(msgspec.structs.replace(spec, recover=True, hours=26))
        await until(lambda: gone(pid))
        rows = list(rows_since(tmp_path / "ledger.db"))
        bill = openrouter.bill

    held = {row.id: row.pico for row in rows if isinstance(row, Reservation)}
    settled = {row.id: row.pico for row in rows if isinstance(row, Settlement)}
    assert set(reserved.read_text().split()) <= set(held), "a reservation that was promised is gone"
    assert set(settled) == set(held)
    assert sum(settled.values()) == bill.total_pico > 0, (tmp_path / "said").read_text()
    assert [row for row in rows if isinstance(row, Adjustment)] == []
    assert len(held) >= len(bill.generations)
