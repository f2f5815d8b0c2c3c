"""The simulated OpenRouter of a simulation: one process below the supervisor, started again when it ends by itself."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from fleet.errors import FleetError, UsageError

OPENROUTER = "openrouter"
"""Its name beside the nodes: in `fleet sim status` and `fleet sim fault`."""
ADMIN = "/sim/faults"
_MODULE = "fleet.sim.upstreams.openrouter"
_AGAIN_SECONDS = 1.0
_LONGEST_SECONDS = 30.0
"""Between two starts of one that ends at once."""
_STOP_SECONDS = 3.0
_ASK_SECONDS = 5.0


class SimulatedApi:
    """It is up, down by a fault, or coming up again. Faults are remembered in DIR, as those of nodes are."""

    def __init__(self, folder: Path, *, port: int) -> None:
        self._folder = folder
        self._port = port
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._faults: dict[str, str] = self._remembered()

    async def start(self) -> None:
        """Start it, unless a fault says that it is down. Nobody waits until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if "down" not in self._faults and self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """Port, process, faults."""
        process = self._process
        alive = process is not None and process.returncode is None
        return {
            "simulated": True,
            "url": f"http://127.0.0.1:{self._port}/api",
            "state": "up" if alive else "down",
            "pid": process.pid if process is not None and alive else None,
            "faults": dict(self._faults),
        }

    async def inject(self, text: str) -> None:
        """`down`, or a switch of the server: `err=429`, `first=2000`, `cut=120`. Raises FleetError."""
        name, _, value = text.partition("=")
        if name != "down":
            known = _switches()
            if name not in known:
                raise UsageError(f"{OPENROUTER} has no fault {name!r}", hint=f"faults: down, {', '.join(known)}")
        await self._change({**self._faults, name: value or "1"})

    async def clear(self, name: str | None = None) -> None:
        """End one kind of trouble, or all."""
        await self._change({key: value for key, value in self._faults.items() if name is not None and key != name})

    async def _change(self, faults: dict[str, str]) -> None:
        self._faults = faults
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "faults.json").write_text(json.dumps(faults))
        if "down" in faults:
            await self.stop()
            return
        was_up = self._keeper is not None
        await self.start()
        if was_up:
            await asyncio.to_thread(self._tell)

    def _tell(self) -> None:
        """Lay the faults upon the running server; one that starts reads them by itself."""
        words = " ".join(f"{name}={value}" for name, value in self._faults.items())
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{ADMIN}", data=json.dumps({"faults": words}).encode(), method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=_ASK_SECONDS):  # noqa: S310 (our own server, on loopback)
                pass
        except (OSError, urllib.error.URLError) as error:
            raise FleetError(f"the simulated {OPENROUTER} does not take the fault: {error}") from error

    async def _keep(self) -> None:
        """Run it until cancelled."""
        pause = _AGAIN_SECONDS
        while True:
            began = time.monotonic()
            with (self._folder / "server.log").open("ab") as log:
                process = self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", _MODULE, "--port", str(self._port), "--state", str(self._folder),
                    stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                )  # fmt: skip
            try:
                await process.wait()
            except asyncio.CancelledError:
                await _end(process)
                raise
            pause = _AGAIN_SECONDS if time.monotonic() - began > _LONGEST_SECONDS else min(2 * pause, _LONGEST_SECONDS)
            await asyncio.sleep(pause)

    def _remembered(self) -> dict[str, str]:
        try:
            found = json.loads((self._folder / "faults.json").read_text())
        except (OSError, ValueError):
            return {}
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _switches() -> tuple[str, ...]:
    from dataclasses import fields

    from fleet.sim.upstreams.faults import Faults

    return tuple(one.name for one in fields(Faults))
