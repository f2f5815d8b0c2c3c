"""Work that is done again and again beside the event loop's other work, while somebody wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Rhythm:
    """Runs `beat`, which waits by itself, over and over from `start` to `stop`. A failing disk costs one beat."""

    def __init__(self, beat: Callable[[], Awaitable[None]]) -> None:
        self._beat = beat
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless it runs already."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """End it where it waits. Once more does nothing."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def _run(self) -> None:
        while True:
            try:
                await self._beat()
            except OSError:
                await asyncio.sleep(1)
