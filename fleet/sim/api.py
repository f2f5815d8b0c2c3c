"""The simulated OpenRouter of a simulation: one process below the supervisor, started again when it ends by itself."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from fleet.errors import FleetError, UsageError
from fleet.sim.upstreams.faults import Faults, parse_faults

OPENROUTER = "openrouter"
"""Its name beside the nodes: in `fleet sim status` and `fleet sim fault`."""
DOWN = "down"
SWITCHES = tuple(one.name for one in dataclasses.fields(Faults))
_MODULE = "fleet.sim.upstreams.openrouter"
_AGAIN_SECONDS = 1.0
_LONGEST_SECONDS = 30.0
"""Between two starts of one that ends at once."""
_STOP_SECONDS = 3.0
_READY_SECONDS = 15.0
_ASK_SECONDS = 5.0


def check_fault(text: str) -> None:
    """`down`, or a switch of the server: `err=429`, `first=2000`, `cut=120`. Raises UsageError."""
    name, _, value = text.partition("=")
    if name == DOWN and not value:
        return
    if name not in SWITCHES:
        raise UsageError(f"{OPENROUTER} has no fault {name!r}", hint=f"faults: {DOWN}, {', '.join(SWITCHES)}")
    if parse_faults(text) == Faults():
        raise UsageError(f"{text!r} is not a fault", hint="like err=429, first=2000 (ms), cut=120 (bytes), hang")


class SimulatedApi:
    """It is up, down by a fault, or coming up again. Faults are remembered in its folder, as those of nodes are."""

    def __init__(self, folder: Path, *, port: int, key_file: Path) -> None:
        self._folder = folder
        self._port = port
        self._key_file = key_file
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._faults: dict[str, str] = self._remembered()

    async def start(self) -> None:
        """Start it, unless a fault says that it is down. Nobody waits until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if DOWN not in self._faults and self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """Address, process, faults."""
        process = self._process if self._ready.is_set() else None
        return {
            "simulated": True,
            "url": f"http://127.0.0.1:{self._port}/api",
            "state": "up" if process else "down",
            "pid": process.pid if process else None,
            "faults": dict(self._faults),
        }

    async def inject(self, text: str) -> None:
        """Bring trouble. Raises UsageError, FleetError."""
        check_fault(text)
        name, _, value = text.partition("=")
        await self._change({**self._faults, name: value or "1"})

    async def clear(self, name: str | None = None) -> None:
        """End one kind of trouble, or all."""
        await self._change({key: value for key, value in self._faults.items() if name is not None and key != name})

    async def _change(self, faults: dict[str, str]) -> None:
        self._faults = faults
        (self._folder / "faults.json").write_text(json.dumps(faults))
        if DOWN in faults:
            await self.stop()
            return
        await self.start()
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._ready.wait()
        except TimeoutError:
            raise FleetError(
                f"the simulated {OPENROUTER} does not come up", hint=f"see {self._folder}/server.log"
            ) from None
        await asyncio.to_thread(self._tell)

    async def _keep(self) -> None:
        """Run it until cancelled."""
        pause = _AGAIN_SECONDS
        while True:
            began = time.monotonic()
            with (self._folder / "server.log").open("ab") as log:
                process = self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", _MODULE, "--port", str(self._port), "--state", str(self._folder),
                    "--key-file", str(self._key_file),
                    stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log,
                )  # fmt: skip
            try:
                await self._until_ready(process)
                await process.wait()
            finally:
                self._ready.clear()
                await _end(process)
            short = time.monotonic() - began < _LONGEST_SECONDS
            pause = min(2 * pause, _LONGEST_SECONDS) if short else _AGAIN_SECONDS
            await asyncio.sleep(pause)

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        """It says where it listens; then it is told its faults."""
        assert process.stdout is not None
        if await process.stdout.readline():
            if self._faults:
                await asyncio.to_thread(self._tell)
            self._ready.set()

    def _tell(self) -> None:
        """Lay the faults of the moment upon the running server. Raises FleetError."""
        words = ",".join(f"{name}={value}" for name, value in self._faults.items())
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/_sim/faults",
            data=json.dumps({"faults": words}).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=_ASK_SECONDS):  # noqa: S310 (our own server, on loopback)
                pass
        except OSError as error:
            raise FleetError(f"the simulated {OPENROUTER} does not take its faults: {error}") from error

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
