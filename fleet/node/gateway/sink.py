"""Where a streamed answer goes: the server's side of the relay, and the signs of life while there is none yet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol

from fleet.node.gateway.call import Call
from fleet.node.gateway.failures import ClientGone


class Sink(Protocol):
    """A client that reads a stream. Writing waits while the client is slow: that is the backpressure."""

    @property
    def begun(self) -> bool:
        """Whether the status has been sent."""
        ...

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Send 200 and the headers, once; later calls do nothing. Raises ClientGone."""
        ...

    async def write(self, data: bytes) -> None:
        """Send bytes of the body. Raises ClientGone."""
        ...


class SignsOfLife:
    """While its body runs for longer than `after` seconds: 200, then a comment every `every` seconds.

    It keeps clients patient through a long prefill, and another upstream can still be asked (SPEC section 3.1).
    """

    def __init__(self, sink: Sink, call: Call, *, after: float, every: float) -> None:
        self._sink = sink
        self._call = call
        self._after = after
        self._every = every
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._after, self._start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is None:
            return
        self._stop.set()
        if kind is not None and not issubclass(kind, Exception):
            self._task.cancel()
        await asyncio.wait((self._task,))  # never in the middle of a write

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._sink.begin(_early(self._call.answer_headers()))
            while not self._stop.is_set():
                await self._sink.write(self._call.dialect.keepalive())
                try:
                    async with asyncio.timeout(self._every):
                        await self._stop.wait()
                except TimeoutError:
                    continue
        except ClientGone:
            return


def _early(headers: dict[str, str]) -> dict[str, str]:
    """What is certain before an upstream has begun to answer: another one may still be asked."""
    return {name: value for name, value in headers.items() if name not in _LATE}


_LATE = frozenset(("x-fleet-upstream", "x-fleet-model", "x-fleet-attempts"))
