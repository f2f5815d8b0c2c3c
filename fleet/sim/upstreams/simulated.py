"""What every simulated upstream is: a server on loopback, with trouble for its next requests."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Self

from fleet.sim.upstreams.faults import NONE, parse_faults
from fleet.sim.upstreams.http import Exchange, Handler, HttpServer


class SimulatedUpstream:
    """`async with` it, then ask its port. `exchanges` are all requests so far.

    `faults` hold for every request that does not say otherwise in its prompt; `times` of them are left.
    """

    def __init__(self, handle: Handler) -> None:
        self.faults = NONE
        self.times: int | None = None
        self.exchanges: list[Exchange] = []
        self._http = HttpServer(handle)

    async def start(self, port: int = 0) -> Self:
        """Listen. Raises OSError."""
        await self._http.start(port)
        return self

    async def stop(self) -> None:
        """End every connection."""
        await self._http.stop()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *raised: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """Where it listens, on loopback."""
        return self._http.port

    @property
    def url(self) -> str:
        """The base URL of an upstream."""
        return f"http://127.0.0.1:{self.port}"

    def trouble(self, switches: str, *, times: int | None = None) -> None:
        """Let the next requests fail; "" ends it."""
        self.faults, self.times = parse_faults(switches), times


async def serve(upstream: SimulatedUpstream, port: int, *, name: str) -> int:
    """Serve as a process until SIGTERM; its URL is the line that says so. The exit code: 1 when the port is taken."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await upstream.start(port)
    except OSError as error:
        print(f"{name}: port {port} cannot be had: {error.strerror}", file=sys.stderr)  # noqa: T201 (a process of its own)
        return 1
    print(upstream.url, flush=True)  # noqa: T201 (whoever started it waits for this line)
    await stop.wait()
    await upstream.stop()
    return 0
