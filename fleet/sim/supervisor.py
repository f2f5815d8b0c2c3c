"""The one background process of a simulation: `python -m fleet.sim.supervisor DIR READY_FD`.

It holds DIR/sim.lock as long as it lives; the lock's text is its pid and control port.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from fleet.errors import UsageError
from fleet.sim.api import OPENROUTER, SimulatedApi
from fleet.sim.control import ControlPort
from fleet.sim.faults import parse_fault
from fleet.sim.launchd.conditions import Conditions
from fleet.sim.node import SimNode
from fleet.sim.plan import SimPlan, read_plan
from fleet.sim.tree import make_tree

LOCK = "sim.lock"
PLAN = "sim.json"
OPEN_FILES = 10_240


class Supervisor:
    """All nodes of one simulation on one event loop, and the simulated OpenRouter beside them."""

    def __init__(self, folder: Path, plan: SimPlan) -> None:
        self._plan = plan
        self._stop = asyncio.Event()
        self._control = ControlPort(plan.token, self._handle)
        conditions = Conditions(
            throttle_scale=plan.throttle_scale, exit_scale=plan.exit_scale, enforce_root=plan.enforce_root
        )
        self._nodes = {
            node.name: SimNode(
                make_tree(folder / "nodes" / node.name, marker=plan.id),
                ssh_port=node.ssh_port,
                marker=plan.id,
                conditions=conditions,
                light=plan.light,
            )
            for node in plan.nodes
        }
        self._api = _openrouter(folder, plan) if plan.openrouter_port else None

    async def start(self) -> int:
        """Switch every node on; the control port. Raises OSError."""
        if self._api:
            await self._api.start()
        for node in self._nodes.values():
            await node.start()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        return await self._control.open()

    async def run(self) -> None:
        """Until somebody stops it; then every node is shut down in good order."""
        await self._stop.wait()
        self._control.close()
        ends = [node.stop() for node in self._nodes.values()] + ([self._api.stop()] if self._api else [])
        await asyncio.gather(*ends, return_exceptions=True)

    async def _handle(self, request: dict[str, Any]) -> dict[str, Any]:
        match request.get("verb"):
            case "status":
                nodes = {name: _status(node) for name, node in self._nodes.items()}
                return {"nodes": nodes, "upstreams": {OPENROUTER: self._api.status()} if self._api else {}}
            case "fault" if self._api and request.get("node") == OPENROUTER:
                await self._api.inject(str(request.get("fault")))
            case "clear" if self._api and request.get("node") == OPENROUTER:
                name = request.get("fault")
                await self._api.clear(str(name) if name else None)
            case "fault":
                await self._node(request).inject(parse_fault(str(request.get("fault"))))
            case "clear":
                name = request.get("fault")
                await self._node(request).clear(str(name) if name else None)
            case "stop":
                self._stop.set()
            case verb:
                raise UsageError(f"the simulation knows no {verb!r}")
        return {"ok": True}

    def _node(self, request: dict[str, Any]) -> SimNode:
        name = str(request.get("node"))
        if name not in self._nodes:
            raise UsageError(
                f"no simulated node is called {name!r}",
                hint=f"there are {', '.join([*self._nodes, *([OPENROUTER] if self._api else [])])}",
            )
        return self._nodes[name]


def _openrouter(folder: Path, plan: SimPlan) -> SimulatedApi:
    key_file = folder / "secrets" / f"{OPENROUTER}.key"
    return SimulatedApi(folder / "upstreams" / OPENROUTER, port=plan.openrouter_port, key_file=key_file)


def _status(node: SimNode) -> dict[str, Any]:
    services = {
        view.spec.label: {"state": view.state, "pid": view.pid, "runs": view.runs} for view in node.launchd.views()
    }
    return {"power": node.power, "faults": node.faults, "services": services}


async def supervise(folder: Path, lock: int, ready: int) -> None:
    """Bring the nodes up, say so, and keep them until the end."""
    plan = read_plan(folder / PLAN)
    if plan is None:
        raise UsageError(f"{folder}: no simulation in it")
    supervisor = Supervisor(folder, plan)
    port = await supervisor.start()
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()} {port}\n".encode(), 0)
    os.write(ready, b"ready\n")
    os.close(ready)
    await supervisor.run()


def main(folder: Path, ready: int) -> int:
    """Run the supervisor; 1 when another one has the folder."""
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    _raise_open_files()
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.write(ready, b"taken\n")
        return 1
    try:
        asyncio.run(supervise(folder, lock, ready))
    except OSError as error:
        os.write(ready, f"failed {error}\n".encode())
        return 1
    return 0


def _raise_open_files() -> None:
    """A door, a FIFO, and the pipes of every session: hundreds of nodes want more than the 256 or 1,024 of a shell."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
