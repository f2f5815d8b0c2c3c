"""One request of a client, what became of it, and who may look: the hooks of admission and accounting."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from fleet.traffic.config import Route
from fleet.traffic.openai_error import ApiError


@dataclass(kw_only=True)
class ChatCall:
    """A chat request on its way. `model` is what the client asked for, and what it is answered under."""

    request_id: str
    key: str
    request: Mapping[str, Any]
    route: Route
    model: str
    stream: bool
    wants_usage: bool
    tried: list[str] = field(default_factory=list)
    upstream: str = ""
    served: str = ""

    def headers(self) -> dict[str, str]:
        """What every answer says of itself."""
        found = {
            "x-fleet-request-id": self.request_id,
            "x-fleet-route": self.route.name,
            "x-fleet-track": self.route.track.value,
        }
        if self.upstream:
            found |= {"x-fleet-upstream": self.upstream, "x-fleet-model": self.served}
        if self.tried:
            found["x-fleet-attempts"] = str(len(self.tried))
        return found


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a request ended: ok, refused, failed, truncated, cancelled or ended (by us). No prompt, no answer."""

    call: ChatCall
    word: str
    status: int
    seconds: float
    first_token_seconds: float | None = None
    usage: Mapping[str, Any] | None = None
    problem: str = ""
    malformed: int = 0


class Admission(Protocol):
    """May refuse a request, or lead it to another route, before an upstream is chosen."""

    async def admit(self, call: ChatCall) -> None:
        """Returns, after changing `call.route` or not. Raises Refused."""
        ...


class AdmitAll:
    """Refuses nothing: the cap of requests in flight per upstream is all there is."""

    async def admit(self, call: ChatCall) -> None:
        """See Admission."""


class Accounting(Protocol):
    """Is told how every request ended."""

    def ended(self, outcome: Outcome) -> None:
        """Called exactly once per request. Must not raise, and must not wait."""
        ...


class NoAccounting:
    """Keeps no books."""

    def ended(self, outcome: Outcome) -> None:
        """See Accounting."""


@dataclass(eq=False)
class LiveCall:
    """A request that is being answered. `ended_by` is why we ended it ourselves, when we did."""

    call: ChatCall
    task: asyncio.Task[Any]
    ended_by: ApiError | None = None


class LiveCalls:
    """All requests in flight. `end` stops one with an error to its client; a client that leaves needs no help."""

    def __init__(self) -> None:
        self._live: set[LiveCall] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[LiveCall]:
        return iter(tuple(self._live))

    @contextmanager
    def enter(self, call: ChatCall) -> Iterator[LiveCall]:
        """The current task answers `call` until the context is left."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a call is answered by a task")
        live = LiveCall(call, task)
        self._live.add(live)
        self._idle.clear()
        try:
            yield live
        finally:
            self._live.discard(live)
            if not self._live:
                self._idle.set()

    def end(self, live: LiveCall, error: ApiError) -> None:
        """Stop answering `live`; its client is told `error`."""
        if live.ended_by is None and not live.task.done():
            live.ended_by = error
            live.task.cancel()

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        await self._idle.wait()
