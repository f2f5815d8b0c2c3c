"""The interface of an inference server, as pure values: nothing here opens a socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from fleet.engines.spec import EngineCommand, SidecarSpec
from fleet.traffic.work import Work


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a server can do.

    `works` is what it may be asked for. `cancel_nonstream`: it notices that the client of a non-streamed request is
    gone; one that does not is always asked to stream. `passes` are the client's headers (names in lower case) that
    go along.
    """

    works: tuple[Work, ...] = (Work.CHAT,)
    batching: bool = False
    seed: bool = False
    tools: bool = False
    structured: bool = False
    metrics: bool = False
    cancel_nonstream: bool = False
    distributed: bool = False
    passes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class UpstreamFacts:
    """What `normalize` must know of the upstream.

    `model` is what the upstream is asked for. `context_tokens` bounds prompt and answer together, `default_max_tokens`
    is sent when the client says nothing, `max_max_tokens` clamps what it says; None = no bound.
    """

    model: str
    context_tokens: int | None = None
    default_max_tokens: int = 4096
    max_max_tokens: int | None = None


class ErrorKind(StrEnum):
    """What an upstream's failure means to the client, whatever the upstream calls it."""

    BAD_REQUEST = "bad_request"
    """The request is at fault: 400, nobody is asked again."""
    BUSY = "busy"
    """429 or a full queue: another upstream may do."""
    UNAVAILABLE = "unavailable"
    """It cannot serve now: 503, another upstream may do."""
    MISCONFIGURED = "misconfigured"
    """fleet set it up wrongly (its key, its model, its path): 502, another upstream may do."""
    BROKEN = "broken"
    """It failed while it worked, or said something that is no answer: 502."""
    TIMEOUT = "timeout"
    """It said nothing for too long: 504."""


@dataclass(frozen=True, kw_only=True)
class UpstreamError:
    """A failure of an upstream. `message` is fit for a client: no key, no path of the node.

    `retryable`: another upstream may be asked (before the commit point). `eject`: this one serves nothing until a
    probe says otherwise. `detail` is the upstream's own text. `param` and `code` are OpenAI's.
    `status` is what the client is told where its kind's is too coarse: 403, 413 or 422 of a BAD_REQUEST. `gone`: it has
    the model no more, and never said when it will.
    """

    kind: ErrorKind
    message: str
    retryable: bool
    eject: bool = False
    detail: str = ""
    retry_after_seconds: float | None = None
    param: str | None = None
    code: str | None = None
    status: int | None = None
    gone: bool = False

    @property
    def discreet(self) -> str:
        """`message` for everybody but the client that asked: an upstream's own text may quote the request."""
        if not self.detail or self.detail not in self.message:
            return self.message
        code = self.code if self.code and self.code.isidentifier() else self.kind.value
        if self.kind is ErrorKind.BAD_REQUEST:
            return f"the upstream refused the request ({code})"
        return f"the upstream failed, in words of its own ({code})"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A request that proves something: `live` that the process works, `ready` that it can answer."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None


class RequestRefused(ValueError):
    """The request asks for what the engine must not be asked for. `param` names the field."""

    def __init__(self, message: str, *, param: str, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class Engine(Protocol):
    """One kind of inference server."""

    @property
    def name(self) -> str:
        """How inventory and gateway configuration call it."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def pooled(self) -> bool:
        """Whether a connection may carry several requests."""
        ...

    @property
    def live(self) -> Probe:
        """A cheap request that answers 200 while the process works. It does not prove that a model answers."""
        ...

    def ready(self, model: str) -> Probe:
        """A request that proves an answer: a completion of one token."""
        ...

    def command(self, spec: SidecarSpec) -> EngineCommand:
        """How to start it. Raises ConfigError for an option that it does not know, and when it is not ours to start."""
        ...

    def normalize(
        self, request: Mapping[str, Any], upstream: UpstreamFacts, *, work: Work = Work.CHAT, stream: bool = True
    ) -> dict[str, Any]:
        """The request to send: a new dict, with usage when it is streamed. Raises RequestRefused.

        `stream`: the client wants one, or the server would not notice a client that left. An engine may insist: what
        counts is the `stream` of the result.
        """
        ...

    def map_error(self, status: int, body: bytes) -> UpstreamError:
        """What an answer other than 200 means, or one of 200 that carries an error. Total: any status, any body."""
        ...
