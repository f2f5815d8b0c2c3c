"""An agent that says of its node what the test wants."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from fleet.vocabulary.contracts.snapshot import Memory, SidecarReading, Snapshot, Swap, Thermal
from fleet.vocabulary.units import GIB


def well(node: str = "mini-1", *, at_seconds: float = 1000.0, **changes: Any) -> Snapshot:
    """A sample of a node that wants for nothing."""
    values: dict[str, Any] = {
        "memory": Memory(pressure_level=1, wired_headroom_bytes=8 * GIB),
        "swap": Swap(swapout_bytes_per_second=0.0),
        "thermal": Thermal(pressure_level=0),
    }
    return Snapshot(node=node, at_seconds=at_seconds, agent_version="1", readings="file:x", **{**values, **changes})


def short_of_room(headroom_bytes: int = 0) -> dict[str, Any]:
    """Changes of a sample: so much is left under the GPU wired limit."""
    return {"memory": Memory(pressure_level=1, wired_headroom_bytes=headroom_bytes)}


def at_pace(ratio: float | None, *, model: str = "smol", port: int = 1, **changes: Any) -> dict[str, Any]:
    """Changes of a sample: so fast is its sidecar, as part of what is usual for it."""
    car = SidecarReading(
        name="sidecar.smol", model=model, port=port, pace_ratio=ratio, recent_pace_ratio=ratio, in_flight=1
    )
    return {"sidecars": (msgspec.structs.replace(car, **changes),)}


class FakeAgent:
    """Serves /v1/snapshot on loopback. `sample` makes a new one; `body` is what is said, whatever it is."""

    def __init__(self, node: str = "mini-1") -> None:
        self.node = node
        self.at_seconds = 1000.0
        self.asked = 0
        self.body = b""
        self.port = 0
        self.sample()

    def sample(self, **changes: Any) -> None:
        """The next sample, five seconds later by the agent's own clock."""
        self.at_seconds += 5.0
        self.body = msgspec.json.encode(well(self.node, at_seconds=self.at_seconds, **changes))

    async def start(self) -> FakeAgent:
        app = web.Application()
        app.router.add_get("/v1/snapshot", self._snapshot)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _snapshot(self, request: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(body=self.body, content_type="application/json")
