"""The hot path: a chat request to an upstream, its answer back. Knows nothing of the HTTP server in front of it.

The commit point is the first real delta (SPEC section 3.1): before it another upstream may be asked, after it the
client gets the rest of this answer or a clear error, never a splice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from fleet.engines import ErrorKind, RequestRefused
from fleet.node.gateway.call import Accounting, Admission, ChatCall, LiveCall, Outcome
from fleet.node.gateway.caller import Bytes, Caller
from fleet.node.gateway.failures import ClientGone, UpstreamFailure, broken, timed_out, told, told_refusal
from fleet.node.gateway.sink import SignsOfLife, Sink
from fleet.node.gateway.upstreams import LiveUpstream, Upstreams
from fleet.traffic import sse
from fleet.traffic.assemble import Assembler
from fleet.traffic.chat_stream import ChatStreamReader, Chunk, Done, Fault, Part
from fleet.traffic.choice import Choice
from fleet.traffic.config import GatewayConfig
from fleet.traffic.dress import StreamDress
from fleet.traffic.openai_error import ApiError, Refused, last_event

T = TypeVar("T")
_MOST_ATTEMPTS = 3


@dataclass(eq=False)
class _Answering:
    """An upstream that has begun to answer: what it said so far, and where the rest comes from."""

    upstream: LiveUpstream
    body: Bytes
    reader: ChatStreamReader
    parts: list[Part]


@dataclass(eq=False)
class _Progress:
    """What is known of a call while it is answered."""

    started: float = field(default_factory=time.monotonic)
    first_token_at: float | None = None
    reader: ChatStreamReader | None = None


class Relay:
    """Answers chat calls. `config` gives the configuration of the moment."""

    def __init__(
        self,
        *,
        caller: Caller,
        upstreams: Upstreams,
        admission: Admission,
        accounting: Accounting,
        config: Callable[[], GatewayConfig],
    ) -> None:
        self._caller = caller
        self._upstreams = upstreams
        self._admission = admission
        self._accounting = accounting
        self._config = config

    async def unary(self, live: LiveCall) -> bytes:
        """The whole answer as JSON. Raises Refused, and CancelledError when the client is gone."""
        progress = _Progress()
        try:
            answer = await self._within_total(self._unary(live.call, progress), live)
        except Refused as refused:
            self._ended(live.call, progress, _word(live, progress, refused.error), refused.error)
            raise
        except asyncio.CancelledError:
            self._ended(live.call, progress, "cancelled")
            raise
        self._ended(live.call, progress, "ok")
        return answer

    async def stream(self, live: LiveCall, sink: Sink) -> None:
        """The answer as it comes. Raises Refused while the status is still ours to choose.

        After that a failure is the last event of the stream, without [DONE].
        """
        progress = _Progress()
        try:
            await self._within_total(self._stream(live.call, progress, sink), live)
        except (ClientGone, asyncio.CancelledError):
            self._ended(live.call, progress, "cancelled")
            raise
        except Refused as refused:
            self._ended(live.call, progress, _word(live, progress, refused.error), refused.error)
            if not sink.begun:
                raise
            reader = progress.reader
            final = last_event(
                refused.error,
                stream_id=(reader.stream_id if reader else "") or live.call.request_id,
                created=(reader.created if reader else 0) or int(time.time()),
                model=live.call.model,
            )
            await sink.write(sse.event(final))
            return
        self._ended(live.call, progress, "ok")

    async def _within_total(self, work: Awaitable[T], live: LiveCall) -> T:
        """`work` within the total time. Ours to end: by the clock, and by `LiveCalls.end`. Raises Refused."""
        total = self._config().timeouts.total_seconds
        try:
            async with asyncio.timeout(total):
                return await work
        except TimeoutError:
            problem = f"the answer took more than {total:g} s"
            raise Refused(ApiError(status=504, message=problem, type="upstream_error", code="timeout")) from None
        except UpstreamFailure as failure:
            raise Refused(told(failure.error, upstream=live.call.upstream or live.call.route.name)) from failure
        except asyncio.CancelledError:
            if live.ended_by is None:
                raise
            live.task.uncancel()
            raise Refused(live.ended_by) from None

    async def _unary(self, call: ChatCall, progress: _Progress) -> bytes:
        assembler = Assembler()
        async with AsyncExitStack() as stack:
            answering = await self._commit(call, progress, stack, parse_all=True)
            idle_seconds = self._config().timeouts.idle_seconds
            try:
                async with asyncio.timeout(idle_seconds) as idle:
                    while not _assemble(assembler, answering.parts):
                        answering.parts = await _more(answering)
                        idle.reschedule(asyncio.get_running_loop().time() + idle_seconds)
            except TimeoutError:
                raise self._noted(answering, timed_out(f"said nothing for {idle_seconds:g} s")) from None
            except UpstreamFailure as failure:
                raise self._noted(answering, failure) from None
            answering.upstream.proved(time.monotonic())
            await answering.body.finish()
        return msgspec.json.encode(assembler.answer(model=call.model))

    async def _stream(self, call: ChatCall, progress: _Progress, sink: Sink) -> None:
        timeouts = self._config().timeouts
        async with AsyncExitStack() as stack:
            async with SignsOfLife(sink, call, after=timeouts.commit_seconds, every=timeouts.keepalive_seconds):
                answering = await self._commit(call, progress, stack, parse_all=False)
            dress = StreamDress(
                shown=call.model,
                sent=answering.upstream.spec.model,
                usage=call.wants_usage,
                role_once=call.request.get("n") in (None, 1),
            )
            await sink.begin(call.headers())
            try:
                async with asyncio.timeout(timeouts.idle_seconds) as idle:
                    while not await _pass_on(answering.parts, dress, sink):
                        answering.parts = await _more(answering)
                        idle.reschedule(asyncio.get_running_loop().time() + timeouts.idle_seconds)
            except TimeoutError:
                raise self._noted(answering, timed_out(f"said nothing for {timeouts.idle_seconds:g} s")) from None
            except UpstreamFailure as failure:
                raise self._noted(answering, failure) from None
            answering.upstream.proved(time.monotonic())
            await answering.body.finish()

    async def _commit(
        self, call: ChatCall, progress: _Progress, stack: AsyncExitStack, *, parse_all: bool
    ) -> _Answering:
        """The first upstream that begins to answer; `stack` holds its place and connection. Raises Refused."""
        await self._admission.admit(call)
        failures: list[UpstreamFailure] = []
        while True:
            upstream = await self._place(call, failures)
            call.tried.append(upstream.name)
            call.upstream, call.served = upstream.name, upstream.spec.serves
            async with AsyncExitStack() as attempt:
                attempt.callback(self._upstreams.leave, upstream)
                try:
                    answering = await self._begin(call, upstream, progress, attempt, parse_all=parse_all)
                except UpstreamFailure as failure:
                    self._note(upstream, failure)
                    if not failure.error.retryable:
                        raise Refused(told(failure.error, upstream=upstream.name)) from failure
                    failures.append(failure)
                    continue
                progress.first_token_at = time.monotonic()
                await stack.enter_async_context(attempt.pop_all())
                return answering

    async def _place(self, call: ChatCall, failures: list[UpstreamFailure]) -> LiveUpstream:
        """A place on the best upstream that was not tried yet. Raises Refused with what was tried and why not."""
        if len(failures) < _MOST_ATTEMPTS:
            wait = self._config().timeouts.queue_seconds
            found = await self._upstreams.take(call.route, without=frozenset(call.tried), wait_seconds=wait)
            if isinstance(found, LiveUpstream):
                return found
            if not failures:
                raise Refused(_nobody(call, found))
        error = failures[-1].error
        before = "".join(f"{name}: {failure}; " for name, failure in zip(call.tried, failures[:-1], strict=False))
        raise Refused(told(error, upstream=before + call.tried[-1]))

    async def _begin(
        self, call: ChatCall, upstream: LiveUpstream, progress: _Progress, attempt: AsyncExitStack, *, parse_all: bool
    ) -> _Answering:
        """Ask one upstream, and wait for its first real delta. Raises UpstreamFailure, Refused."""
        config = self._config()
        try:
            request = upstream.engine.normalize(call.request, upstream.facts(config.limits))
        except RequestRefused as refusal:
            raise Refused(told_refusal(refusal)) from refusal
        seconds = config.timeouts.first_token_seconds
        reader = progress.reader = ChatStreamReader(parse_all=parse_all)
        parts: list[Part] = []
        try:
            async with asyncio.timeout(seconds):
                body = await attempt.enter_async_context(
                    self._caller.stream(
                        upstream,
                        "/v1/chat/completions",
                        msgspec.json.encode(request),
                        request_id=call.request_id,
                        connect_seconds=config.timeouts.connect_seconds,
                    )
                )
                while True:
                    data = await body.read()
                    more = reader.feed(data) if data else reader.end()
                    parts += (part for part in more if isinstance(part, Chunk | Fault | Done))
                    if any(isinstance(part, Chunk) and part.real for part in more):
                        return _Answering(upstream, body, reader, parts)
                    for part in more:
                        if isinstance(part, Fault):
                            raise broken(part.message, code=part.code)
        except TimeoutError:
            raise timed_out(f"no answer had begun after {seconds:g} s") from None

    def _noted(self, answering: _Answering, failure: UpstreamFailure) -> UpstreamFailure:
        self._note(answering.upstream, failure)
        return failure

    def _note(self, upstream: LiveUpstream, failure: UpstreamFailure) -> None:
        """What a failure says of the upstream. A request's own fault says nothing."""
        error = failure.error
        if error.kind in (ErrorKind.BAD_REQUEST, ErrorKind.BUSY):
            return
        upstream.failed(error.message, out=error.eject, limit=self._config().probing.failures + 1)
        self._upstreams.wake()

    def _ended(self, call: ChatCall, progress: _Progress, word: str, error: ApiError | None = None) -> None:
        now = time.monotonic()
        first = progress.first_token_at
        self._accounting.ended(
            Outcome(
                call=call,
                word=word,
                status=499 if word == "cancelled" else error.status if error else 200,
                seconds=now - progress.started,
                first_token_seconds=None if first is None else first - progress.started,
                usage=progress.reader.usage if progress.reader else None,
                problem=error.message if error else "",
                malformed=progress.reader.malformed if progress.reader else 0,
            )
        )


def _word(live: LiveCall, progress: _Progress, error: ApiError) -> str:
    if live.ended_by is not None:
        return "ended"
    if progress.first_token_at is not None:
        return "truncated"
    return "refused" if error.status < 500 else "failed"


async def _more(answering: _Answering) -> list[Part]:
    data = await answering.body.read()
    return answering.reader.feed(data) if data else answering.reader.end()


def _assemble(assembler: Assembler, parts: list[Part]) -> bool:
    """Whether the answer is complete. Raises UpstreamFailure."""
    for part in parts:
        match part:
            case Chunk(parsed=None):
                raise broken("sent an event that is no JSON", code="malformed_event")
            case Chunk(parsed=dict(chunk)):
                assembler.add(chunk)
            case Fault():
                raise broken(part.message, code=part.code)
            case Done():
                return True
    return False


async def _pass_on(parts: list[Part], dress: StreamDress, sink: Sink) -> bool:
    """Write what arrived in one piece. Whether the stream is complete. Raises UpstreamFailure, ClientGone."""
    out: list[bytes] = []
    fault: Fault | None = None
    done = False
    for part in parts:
        match part:
            case Chunk():
                data = dress.dress(part)
                if data is not None:
                    out.append(sse.event(data))
            case Fault():
                fault = part
            case Done():
                done = True
                out.append(sse.DONE)
    if out:
        await sink.write(b"".join(out))
    if fault is not None:
        raise broken(fault.message, code=fault.code)
    return done


def _nobody(call: ChatCall, choice: Choice) -> ApiError:
    """Nobody may serve now: all full, or all out."""
    if choice.full:
        return ApiError(
            status=429,
            message=f"{call.route.name}: every upstream is full ({', '.join(choice.full)})",
            type="rate_limit_error",
            code="upstream_busy",
            retry_after_seconds=2,
        )
    reasons = "; ".join(f"{name}: {reason}" for name, reason in choice.refused.items())
    return ApiError(
        status=503,
        message=f"{call.route.name}: no upstream can serve now ({reasons or 'none is configured'})",
        type="upstream_error",
        code="no_upstream",
        retry_after_seconds=5,
    )
