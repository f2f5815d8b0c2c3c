"""One request of a client, what became of it, and who may look: the hooks of admission and accounting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from fleet.traffic.avoided import Avoided, avoided_header
from fleet.traffic.config import Route
from fleet.traffic.dialects.dialect import Asked, Dialect
from fleet.traffic.keyring import HashedKey
from fleet.traffic.openai_error import ApiError
from fleet.traffic.work import Shape

if TYPE_CHECKING:
    from fleet.node.gateway.policy.dossier import Dossier
    from fleet.node.gateway.upstreams import LiveUpstream


class Phase(StrEnum):
    """How far a request is: it has no place yet, an upstream has it and said nothing yet, its answer has begun."""

    QUEUED = "queued"
    WAITING = "waiting"
    ANSWERING = "answering"


class Call(msgspec.Struct, kw_only=True, eq=False):
    """A request on its way. `model` is what the client asked for, and what it is answered under.

    `notes` are headers of the answer that admission adds (`x-fleet-downgraded`). Times are monotonic seconds.
    `queued_seconds`: how long it waited for places, over all attempts. `avoided`: whom health kept it from.
    `suffix` is what stood behind the `@` of the model's name (a ticket), `size_bytes` what the client sent. `holder` is
    the key that was shown, `dossier` what policy knows of the request; None where nobody asks for policy. `outcome` is
    the word of its end, "" while it runs.
    """

    request_id: str
    key: str
    dialect: Dialect
    asked: Asked
    route: Route
    model: str
    shape: Shape
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    notes: dict[str, str] = msgspec.field(default_factory=dict)
    tried: list[str] = msgspec.field(default_factory=list)
    avoided: tuple[Avoided, ...] = ()
    upstream: str = ""
    node: str = ""
    served: str = ""
    phase: Phase = Phase.QUEUED
    started: float = msgspec.field(default_factory=time.monotonic)
    queued_seconds: float = 0.0
    first_token_at: float | None = None
    chunks: int = 0
    usage: Mapping[str, Any] | None = None
    size_bytes: int = 0
    suffix: str = ""
    holder: HashedKey | None = None
    dossier: Dossier | None = None
    outcome: str = ""

    def answer_headers(self) -> dict[str, str]:
        """What every answer says of itself."""
        found = {
            "x-fleet-request-id": self.request_id,
            "x-fleet-route": self.route.name,
            "x-fleet-track": self.route.track.value,
        }
        if self.upstream:
            found["x-fleet-upstream"] = self.upstream
            found["x-fleet-model"] = self.served
        if self.tried:
            found["x-fleet-attempts"] = str(len(self.tried))
        if self.avoided:
            found["x-fleet-avoided"] = avoided_header(self.avoided)
        if self.notes:
            found |= self.notes
        return found


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a request ended: ok, refused, failed, truncated, cancelled or ended (by us). No prompt, no answer.

    `cancel_seconds`: from the client's leaving until the upstream was let go.
    """

    call: Call
    word: str
    status: int
    seconds: float
    first_token_seconds: float | None = None
    usage: Mapping[str, Any] | None = None
    problem: str = ""
    malformed: int = 0
    cancel_seconds: float | None = None


class Admission(Protocol):
    """The policy of the gateway, asked at five points of every request."""

    async def admit(self, call: Call) -> None:
        """Before an upstream is chosen. May change `call.route` and add to `call.notes`. Raises Refused."""
        ...

    async def dispatch(self, call: Call, upstream: LiveUpstream) -> str | ApiError | None:
        """Before the first byte to `upstream` of each attempt (money is reserved here).

        None lets it go; a reason passes this upstream over, and the next is asked. A reason that is an error is what
        the client is told when nobody else was asked. May change `call.route`. Raises Refused.
        """
        ...

    def dressed(self, call: Call, upstream: LiveUpstream, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body as it goes to `upstream`, after its engine made it: what policy forces is in it. Must not wait."""
        ...

    def answered(self, call: Call, upstream: LiveUpstream, headers: Mapping[str, str]) -> None:
        """`upstream` sent 200 and these headers (names in lower case). Must not raise, and must not wait."""
        ...

    def gave_up(
        self, call: Call, upstream: LiveUpstream, *, sent: bool, refused: bool = False, gone: bool = False
    ) -> None:
        """The attempt that was dispatched to `upstream` ended before a first token, and another may follow.

        `sent`: whether any of it went out; what did may cost money. `refused`: it was answered, with an error and with
        nothing else; `gone`: its model is not to be had any more. Must not raise, and must not wait.
        """
        ...


class AdmitAll:
    """Refuses nothing: places on upstreams are all there is."""

    async def admit(self, call: Call) -> None:
        """See Admission."""

    async def dispatch(self, call: Call, upstream: LiveUpstream) -> str | ApiError | None:  # noqa: ARG002 (the protocol's)
        """See Admission."""
        return None

    def dressed(self, call: Call, upstream: LiveUpstream, request: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002 (the protocol's)
        """See Admission."""
        return request

    def answered(self, call: Call, upstream: LiveUpstream, headers: Mapping[str, str]) -> None:
        """See Admission."""

    def gave_up(
        self, call: Call, upstream: LiveUpstream, *, sent: bool, refused: bool = False, gone: bool = False
    ) -> None:
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


@dataclass(frozen=True)
class AllBooks:
    """Tells several."""

    books: tuple[Accounting, ...]

    def ended(self, outcome: Outcome) -> None:
        """See Accounting."""
        for book in self.books:
            book.ended(outcome)


def _nothing() -> None:
    return


@dataclass(eq=False, slots=True)
class LiveCall:
    """A request that is being answered. `ended_by` is why we ended it ourselves, when we did.

    `tell` books the pace of what has come of its answer so far.
    """

    call: Call
    task: asyncio.Task[Any]
    ended_by: ApiError | None = None
    tell: Callable[[], None] = _nothing


class LiveCalls:
    """All requests in flight. `end` stops one with an error to its client; a client that leaves needs no help."""

    def __init__(self) -> None:
        self._live: dict[LiveCall, None] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[LiveCall]:
        return iter(tuple(self._live))

    def enter(self, call: Call) -> LiveCall:
        """The current task answers `call`, until it leaves."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a call is answered by a task")
        live = LiveCall(call, task)
        self._live[live] = None
        self._idle.clear()
        return live

    def leave(self, live: LiveCall) -> None:
        """It is answered, one way or another."""
        del self._live[live]
        if not self._live:
            self._idle.set()

    def find(self, request_id: str) -> LiveCall | None:
        """The request of that id, when it is in flight."""
        return next((live for live in self._live if live.call.request_id == request_id), None)

    def end(self, live: LiveCall, error: ApiError) -> None:
        """Stop answering `live`; its client is told `error`."""
        if live.ended_by is None and not live.task.done():
            live.ended_by = error
            live.task.cancel()

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        await self._idle.wait()
