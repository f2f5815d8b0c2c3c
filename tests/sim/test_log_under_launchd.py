"""Logs that launchd holds open: why a rename does not bound them, and that the agent's way does."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fleet.node.agent.logs import Logs
from tests.sim.conftest import Lab, eventually

CHATTY = "n=0; while :; do echo line $n >&2; n=$((n + 1)); done"
LIMIT = 20_000


async def chat(lab: Lab) -> Path:
    """The log of a job that never stops writing to stderr, once it has begun."""
    log = lab.folder / "sidecar.log"
    await lab.load(CHATTY, KeepAlive=True, StandardErrorPath=str(log))
    await eventually(lambda: log.exists() and log.stat().st_size > 0)
    return log


async def test_a_renamed_log_is_written_on_and_no_new_one_begins(lab: Lab) -> None:
    """What newsyslog does: the disk fills all the same (FACTS section 1.7)."""
    log = await chat(lab)
    aside = log.rename(log.with_suffix(".0"))
    size = aside.stat().st_size
    await eventually(lambda: aside.stat().st_size > size)
    assert not log.exists()


async def test_a_log_that_is_cut_stays_bounded_while_the_same_process_writes_on(lab: Lab) -> None:
    log = await chat(lab)
    pid, files, rounds = await lab.pid(), 3, 0
    keeper = Logs([str(log)], limit_bytes=LIMIT, files=files)
    async with asyncio.timeout(60):
        while rounds < 12:
            rounds += keeper.bound()
            aside = sum(path.stat().st_size for path in lab.folder.glob("sidecar.log.*"))
            assert aside <= files * 2 * LIMIT
            await asyncio.sleep(0.005)
    assert await lab.pid() == pid
    assert {path.name for path in lab.folder.glob("sidecar.log*")} == {
        "sidecar.log",
        *map("sidecar.log.{}".format, (1, 2, 3)),
    }
    for path in lab.folder.glob("sidecar.log.*"):
        numbers = [int(line.split()[1]) for line in path.read_text().splitlines()[1:-1]]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "a line is lost in the middle"
