"""A simulated OpenRouter in a thread of its own, for what asks it without a loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fleet.sim.upstreams.openrouter import SimulatedOpenRouter

_PATIENCE_SECONDS = 120.0


@contextmanager
def simulated_openrouter() -> Iterator[SimulatedOpenRouter]:
    """Listening while the context lasts."""
    loop, server = asyncio.new_event_loop(), SimulatedOpenRouter()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(_PATIENCE_SECONDS)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(_PATIENCE_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_PATIENCE_SECONDS)
        loop.close()
