"""The snapshot of the node's own agent, held for a moment: however many ask at once, the agent is asked once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec

FRESH_SECONDS = 0.5


class OwnSnapshot:
    """What `fetch` brings, at most `FRESH_SECONDS` old. A failure is told to those that wait for it, and not kept."""

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], *, now: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._now = now
        self._body = b""
        self._until = 0.0
        self._asking: asyncio.Task[bytes] | None = None

    async def get(self) -> bytes:
        """The snapshot as JSON text. Raises what `fetch` raises."""
        if self._now() < self._until:
            return self._body
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask())
            self._asking.add_done_callback(_seen)
        return await asyncio.shield(self._asking)  # one that leaves must not take the answer of the others with it

    async def _ask(self) -> bytes:
        try:
            self._body = body = await self._fetch()
            self._until = self._now() + FRESH_SECONDS
            return body
        finally:
            self._asking = None


def with_planned(snapshot: bytes, planned: tuple[str, ...]) -> bytes:
    """The snapshot, which also says what a deploy stops and starts just now. One that cannot be read stays."""
    if not planned:
        return snapshot
    try:
        told = msgspec.json.decode(snapshot, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return snapshot
    return msgspec.json.encode({**told, "planned": planned})


def _seen(asking: asyncio.Task[bytes]) -> None:
    """A failure that nobody waited for is nobody's."""
    if not asking.cancelled():
        asking.exception()
