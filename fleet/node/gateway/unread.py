"""Answers that were written and are not read: who takes nothing for so long is cut, and their bytes let go.

The web server waits for such a client for ever, and even closing waits for it: what was written stays in memory.
"""

from __future__ import annotations

import asyncio

_SMALL_BYTES = 64 * 1024
_LOOKS = 4


class Unread:
    """Looks after clients' connections until they have taken all that was written to them. One timer for each."""

    def __init__(self) -> None:
        self._watched: set[asyncio.Transport] = set()

    def watch(self, transport: asyncio.BaseTransport | None, *, seconds: float, size_bytes: int | None = None) -> None:
        """Cut `transport` when it takes nothing for `seconds`. `size_bytes` are about to be written; None: all is.

        What is small goes into the system's own buffers, and needs no watch.
        """
        if not isinstance(transport, asyncio.Transport) or transport in self._watched:
            return
        if not transport.get_write_buffer_size() if size_bytes is None else size_bytes < _SMALL_BYTES:
            return
        self._watched.add(transport)
        self._later(transport, seconds, before=-1, still=0)

    def _later(self, transport: asyncio.Transport, seconds: float, *, before: int, still: int) -> None:
        asyncio.get_running_loop().call_later(seconds / _LOOKS, self._look, transport, seconds, before, still)

    def _look(self, transport: asyncio.Transport, seconds: float, before: int, still: int) -> None:
        """More than before means that somebody writes, who has a limit of his own."""
        left = transport.get_write_buffer_size()
        still = still + 1 if left == before else 0
        if left and still < _LOOKS:
            self._later(transport, seconds, before=left, still=still)
            return
        self._watched.discard(transport)
        if left:
            transport.abort()
