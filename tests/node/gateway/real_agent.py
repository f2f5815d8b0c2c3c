"""A real agent of a simulated Mac, as a process: readings from files, which a test makes better and worse."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet.node.agent.agent import HISTORY_NAME
from fleet.node.agent.baseline import Key, Usual
from fleet.node.agent.baselinefile import BaselineFile
from fleet.node.agent.history import History
from fleet.sim.hardware import Hardware
from fleet.sim.readings import WIRED_LIMIT, Readings
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.agent import AgentConfig, AgentSidecar, Care

FAST_SECONDS = 0.25
_NO_CARE = Care(restart_after_seconds=None, quarantine=False, cure_pended=False)
_SWAP_STEP_SECONDS = 0.05


@dataclass(eq=False)
class RealAgent:
    """The agent of one node: where it listens, and what it reads."""

    port: int
    readings: Readings

    def headroom(self, left_bytes: int | None) -> None:
        """So much is left under the GPU wired limit; None = as much as at rest."""
        self.readings.put_headroom(left_bytes)

    @contextmanager
    def swaps(self, bytes_per_second: int) -> Iterator[None]:
        """Memory is swapped out all the while, whatever the event loop does."""
        over = threading.Event()

        def storm() -> None:
            while not over.is_set():
                self.readings.move(swapped_bytes=int(bytes_per_second * _SWAP_STEP_SECONDS))
                over.wait(_SWAP_STEP_SECONDS)

        thread = threading.Thread(target=storm)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@asynccontextmanager
async def real_agent(
    folder: Path, node: str, *, port: int, token: str, admin_port: int, sidecar_port: int, usual: float
) -> AsyncIterator[RealAgent]:
    """Runs one until the context is left. It has learned that its model gives `usual` tokens a second."""
    mac = Hardware()
    readings = Readings(folder / "readings")
    readings.folder.mkdir(parents=True)
    (readings.folder / "sysctl.txt").write_text("".join(f"{key}: {value}\n" for key, value in mac.sysctl().items()))
    (readings.folder / "vm_stat.txt").write_text(mac.vm_stat())
    readings.put_thermal("0")
    readings.put_sysctl({WIRED_LIMIT: "18000"})
    token_file = folder / "agent.token"
    token_file.write_text(token)
    token_file.chmod(0o600)
    _teach(folder, node, os_version=mac.os_version, usual=usual)
    config = AgentConfig(
        node=node,
        port=port,
        token_file=str(token_file),
        readings=f"file:{readings.folder}",
        domain="system",
        launchctl="/nonexistent/launchctl",
        var_dir=str(folder),
        sidecars=(AgentSidecar(name="sidecar.smol", model="smol", port=sidecar_port, serves="smol", care=_NO_CARE),),
        fast_seconds=FAST_SECONDS,
        gateway_admin_port=admin_port,
    )
    file = folder / "agent.json"
    file.write_bytes(msgspec.json.encode(config))
    words = ("-s", "-m", "fleet.node.agent", "--config", str(file))
    with (folder / "agent.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(sys.executable, *words, stderr=log, env=dict(os.environ))
    try:
        yield RealAgent(port, readings)
    finally:
        ended = process.returncode
        if ended is None:
            process.terminate()
            await process.wait()
    assert ended is None, f"the agent ended by itself with {ended}: {(folder / 'agent.log').read_text()}"


def _teach(folder: Path, node: str, *, os_version: str, usual: float) -> None:
    """What it would learn within ten minutes."""
    history = History(folder / HISTORY_NAME, SystemClock(), node=node, pace_seconds=FAST_SECONDS)
    known = Usual(tokens_per_second=usual, best=usual, day_began_with=usual)
    keys = [Key(model="smol", os=os_version, engine="mlx_lm", at_once=1 << step) for step in range(6)]
    assert BaselineFile(history).save(dict.fromkeys(keys, known))
    history.close()
