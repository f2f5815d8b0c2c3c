"""A launchd with quick timers, plists to give it, and trees of simulated nodes."""

from __future__ import annotations

import asyncio
import os
import plistlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.sim.launchd.conditions import Conditions
from fleet.sim.launchd.disabled import DisabledStore
from fleet.sim.launchd.launchd import Launchd
from fleet.sim.launchd.spawn import Spawner
from fleet.sim.launchd.unified_log import UnifiedLog
from fleet.sim.processes import end_marked
from fleet.sim.tree import NodeTree, make_tree
from fleet.vocabulary.launchctl import PrintedService, parse_print

LABEL = "org.example.job"
TARGET = f"system/{LABEL}"
FAST = Conditions(throttle_scale=0.05, exit_scale=0.1)


class Lab:
    """A launchd and a folder of plists. `run` is launchctl as root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = UnifiedLog(folder / "launchd.log")
        self.launchd = Launchd(
            spawner=Spawner(marker=f"lab-{os.getpid()}", path_prefix="/nowhere"),
            disabled=DisabledStore(folder),
            log=self.log,
            conditions=FAST,
        )

    def plist(self, script: str = "exec sleep 600", label: str = LABEL, **keys: Any) -> Path:
        """A plist whose program is a line of sh."""
        path = self.folder / f"{label}.plist"
        data = {"Label": label, "ProgramArguments": ["/bin/sh", "-c", script], **keys}
        path.write_bytes(plistlib.dumps({key: value for key, value in data.items() if value is not None}))
        path.chmod(0o644)
        return path

    async def run(self, *words: object, root: bool = True, tty: bool = False) -> tuple[int, str, str]:
        answer = await self.launchd.call([str(word) for word in words], privileged=root, tty=tty)
        return answer.code, answer.out, answer.err

    async def code(self, *words: object, root: bool = True) -> int:
        return (await self.run(*words, root=root))[0]

    async def load(self, script: str = "exec sleep 600", label: str = LABEL, **keys: Any) -> None:
        assert await self.run("bootstrap", "system", self.plist(script, label, **keys)) == (0, "", "")

    async def printed(self, target: str = TARGET) -> PrintedService:
        return parse_print((await self.run("print", target))[1])

    async def pid(self) -> int:
        pid = (await self.printed()).pid
        assert pid is not None
        return pid

    async def until(self, true: Callable[[PrintedService], bool]) -> PrintedService:
        """The job, as soon as something is true of it."""
        found = await self.printed()

        async def is_so() -> bool:
            nonlocal found
            found = await self.printed()
            return true(found)

        await eventually(is_so)
        return found


async def eventually(true: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(60):
        while True:
            answer = true()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


def real(path: Path | str) -> str:
    """The path with its symbolic links resolved, as `pwd` prints it."""
    return os.path.realpath(path)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return sys.platform != "linux"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    room = Lab(tmp_path)
    yield room
    await room.launchd.lose_power()
    end_marked(f"lab-{os.getpid()}")


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[NodeTree]:
    marker = f"tree-{os.getpid()}-{tmp_path.name}"
    yield make_tree(tmp_path / "mac-1", marker=marker)
    end_marked(marker)
