"""From an admitted call to an upstream that answers it: places, attempts, and whom to ask after a failure.

The commit point is the first real delta (SPEC section 3.1): before it another upstream may be asked, after it nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from fleet.engines import ErrorKind, RequestRefused
from fleet.engines.edge import SERVES_NOBODY
from fleet.node.gateway.call import Admission, Call, Phase
from fleet.node.gateway.caller import Caller, Reply
from fleet.node.gateway.failures import UpstreamFailure, broken, faulted, not_for_it, passed_over, told, too_late
from fleet.node.gateway.intent import draining
from fleet.node.gateway.upstreams import LiveUpstream, Place, Upstreams
from fleet.node.gateway.watch import Watch
from fleet.traffic.chat_stream import ChatStreamReader, Chunk, Fault, Part, Progress
from fleet.traffic.choice import Choice, Why
from fleet.traffic.config import GatewayConfig, Retries, Timeouts
from fleet.traffic.openai_error import ApiError, Refused
from fleet.traffic.retries import RetryBudget
from fleet.traffic.work import Work
from fleet.vocabulary.names import Lane

_UNFELT_SECONDS = 0.001
_LANE = "x-fleet-lane"
_LONGEST_PRELUDE_BYTES = 1024 * 1024
_LONGEST_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(eq=False, slots=True)
class Answering:
    """An upstream that has begun to answer: its stream and what it said so far, or its whole answer."""

    place: Place
    reply: Reply
    reader: ChatStreamReader | None = None
    parts: list[Part] | None = None
    whole: dict[str, Any] | None = None
    closed: bool = False

    def close(self) -> None:
        """Let the upstream go, once; a stream that is not at its end is cut at once."""
        if not self.closed:
            self.closed = True
            self.reply.cut()
            self.place.leave()


class Attempts:
    """Finds the upstream that answers. `retried` and `retries_refused` count what the budget let through, and not."""

    def __init__(
        self,
        *,
        caller: Caller,
        upstreams: Upstreams,
        admission: Admission,
        config: Callable[[], GatewayConfig],
    ) -> None:
        self._caller = caller
        self._upstreams = upstreams
        self._admission = admission
        self._config = config
        self._settings: Retries = config().retries
        self._budget = RetryBudget.full(self._settings)
        self.retried = 0
        self.retries_refused = 0

    async def commit(self, call: Call, watch: Watch, timeouts: Timeouts) -> Answering:
        """The first upstream that begins to answer. Raises Refused."""
        await self._admission.admit(call)
        self._budget = self._budget.request(self._settings)
        failures: list[UpstreamFailure] = []
        while True:
            watch.rest()  # an attempt that is over limits nothing any more
            place = await self._place(call, failures, timeouts)
            upstream = place.upstream
            call.tried.append(upstream.name)
            call.upstream, call.node, call.served = upstream.name, upstream.spec.node, upstream.spec.serves
            call.phase = Phase.WAITING
            answering: Answering | None = None
            try:
                reason = await self._admission.dispatch(call, upstream)
                if reason is not None:
                    raise passed_over(reason)
                answering = await self._begin(call, place, watch, timeouts)
                return answering
            except UpstreamFailure as failure:
                self.note(upstream, failure)
                if not failure.error.retryable:
                    raise Refused(told(failure.error, upstream=upstream.name)) from failure
                failures.append(failure)
            finally:
                if answering is None:
                    place.leave()

    def note(self, upstream: LiveUpstream, failure: UpstreamFailure) -> None:
        """What a failure says of the upstream. A request's own fault says nothing, nor does a busy one."""
        error = failure.error
        if error.kind is ErrorKind.BAD_REQUEST or not failure.asked:
            return
        if error.kind is ErrorKind.BUSY:
            upstream.busy(time.monotonic(), error.retry_after_seconds)
            return
        edge = upstream.spec.kind == "edge"
        if edge and error.code in SERVES_NOBODY:
            upstream.refuted(error.discreet)  # its own word for all of the model, until its list says otherwise
        else:
            upstream.failed(time.monotonic(), error.discreet, out=error.eject)
        if edge:
            upstream.changed.set()  # its list tells at once what became of it
        self._upstreams.wake()

    async def _place(self, call: Call, failures: list[UpstreamFailure], timeouts: Timeouts) -> Place:
        """A place on the best upstream that was not tried yet. Raises Refused with what was tried and why not."""
        if not failures or self._may_retry(failures):
            call.phase = Phase.QUEUED
            since = time.monotonic()
            found = await self._upstreams.take(
                call, without=frozenset(call.tried), wait_seconds=max(0.0, timeouts.queue_seconds - call.queued_seconds)
            )
            waited = time.monotonic() - since
            if waited > _UNFELT_SECONDS:
                call.queued_seconds += waited
            if isinstance(found, Place):
                return found
            if not failures:
                raise Refused(nobody(call, found))
        asked = [(name, failure) for name, failure in zip(call.tried, failures, strict=True) if failure.asked]
        name, failure = asked[-1] if asked else (call.tried[-1], failures[-1])
        before = "".join(f"{one}: {problem.error.discreet}; " for one, problem in asked[:-1])
        raise Refused(told(failure.error, upstream=before + name))

    def _may_retry(self, failures: list[UpstreamFailure]) -> bool:
        """Whether the budget has one more.

        Who was passed over was never asked, and costs nothing. Nor does who refused all work: it is out by now, so
        no storm comes of it, and a node that is drained or stopped under load costs nobody a request.
        """
        settings = self._settings = self._config().retries
        last = failures[-1]
        if not last.asked:
            return True
        if sum(failure.asked for failure in failures) >= settings.attempts:
            return False
        if last.error.eject or last.error.code in SERVES_NOBODY:
            self.retried += 1
            return True
        spent = self._budget.attempt(settings)
        if spent is None:
            self.retries_refused += 1
            return False
        self._budget = spent
        self.retried += 1
        return True

    async def _begin(self, call: Call, place: Place, watch: Watch, timeouts: Timeouts) -> Answering:
        """Ask one upstream, and wait for its first real delta. Raises UpstreamFailure, Refused."""
        upstream, work = place.upstream, call.asked.work
        streamed = work is not Work.EMBEDDINGS and (call.asked.stream or not _whole_at_once(upstream))
        try:
            request = upstream.engine.normalize(
                call.asked.request, upstream.facts(self._config().limits), work=work, stream=streamed
            )
        except RequestRefused as refusal:
            raise not_for_it(refusal) from refusal
        if streamed:
            watch.within(timeouts.first_token_seconds, lambda: too_late(timeouts.first_token_seconds))
        else:
            watch.within(timeouts.unary_seconds, lambda: too_late(timeouts.unary_seconds))
        reply: Reply | None = None
        answering: Answering | None = None
        try:
            reply = await self._caller.ask(
                upstream,
                work.path,
                msgspec.json.encode(request),
                headers=_passed(call, upstream),
                connect_seconds=timeouts.connect_seconds,
            )
            self._admission.answered(call, upstream, reply.headers)
            if streamed:
                answering = await _first_delta(call, place, reply, watch, timeouts)
            else:
                answering = await _whole(place, reply)
            return answering
        except asyncio.CancelledError as cancelled:
            raise watch.meant(cancelled) from None
        finally:
            if answering is None and reply is not None:
                reply.cut()


def _passed(call: Call, upstream: LiveUpstream) -> dict[str, str]:
    """The request's id, and what a client may say to gateways in headers, where there is another one."""
    headers = {"x-fleet-request-id": call.request_id}
    passes = upstream.engine.capabilities.passes
    for name in passes:
        value = call.headers.get(name)
        if value is not None and value.isascii() and value.isprintable():
            headers[name] = value
    if _LANE in passes and call.shape.lane is Lane.BATCH:
        headers[_LANE] = Lane.BATCH.value  # it may have been said in the body, which loses it on the way
    return headers


def _whole_at_once(upstream: LiveUpstream) -> bool:
    """Whether a unary request may be asked as one. Our own machines always stream: that shows life and can be cut."""
    return upstream.spec.kind == "api" and upstream.engine.capabilities.cancel_nonstream


async def _first_delta(call: Call, place: Place, reply: Reply, watch: Watch, timeouts: Timeouts) -> Answering:
    if not reply.events:
        raise _disguised(place.upstream, await reply.whole(longest_bytes=_LONGEST_ANSWER_BYTES))
    reader = ChatStreamReader(parse_all=not call.asked.stream or call.dialect.parse_all, work=call.asked.work)
    parts: list[Part] = []
    begun = False
    held_bytes = 0
    while not begun:
        data = await reply.read()
        for part in reader.feed(data) if data else reader.end():
            if isinstance(part, Chunk):
                parts.append(part)
                begun = begun or part.real
                held_bytes += len(part.data)
            elif isinstance(part, Progress):
                if part.done is not None:
                    watch.extend(timeouts.idle_seconds)  # a long prefill that moves on is not late
            elif begun:
                parts.append(part)
            elif isinstance(part, Fault):
                raise faulted(part)
            else:
                raise broken("ended its answer before it began", code="empty_answer")
        if held_bytes > _LONGEST_PRELUDE_BYTES and not begun:
            raise broken(f"sent {held_bytes} bytes that begin no answer", code="malformed_answer")
    place.began()
    return Answering(place, reply, reader, parts)


async def _whole(place: Place, reply: Reply) -> Answering:
    body = await reply.whole(longest_bytes=_LONGEST_ANSWER_BYTES)
    if reply.events:
        raise broken("answered with an event stream that nobody asked for")
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise broken("answered with something that is no JSON", code="malformed_answer") from None
    if not isinstance(answer, dict) or answer.get("error"):
        raise _disguised(place.upstream, body)
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    if first.get("error") or first.get("finish_reason") == "error":
        raise _disguised(place.upstream, msgspec.json.encode({"error": first.get("error")}))
    place.began()
    return Answering(place, reply, whole=answer)


def _disguised(upstream: LiveUpstream, body: bytes) -> UpstreamFailure:
    """200 with an error for a body (SPEC section 3.1), or with something else altogether."""
    if b'"error"' not in body:
        return broken("answered with something that is no answer", code="malformed_answer")
    return UpstreamFailure(upstream.engine.map_error(_status_in(body), body), retryable=True)


def _status_in(body: bytes) -> int:
    """The status that an error in a 200 means: its own integer code, where that is a status."""
    try:
        error = msgspec.json.decode(body).get("error")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
        return 500
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def nobody(call: Call, choice: Choice) -> ApiError:
    """Nobody may serve now: the request fits nowhere, or all are full, or all are out."""
    if choice.too_long is not None:
        return ApiError(
            status=400,
            message=f"the prompt has about {call.shape.prompt_tokens} tokens; {call.model} takes {choice.too_long}",
            code="context_length_exceeded",
            param="messages",
        )
    if choice.full:
        return ApiError(
            status=429,
            message=f"{call.route.name}: every upstream is full ({', '.join(choice.full)})",
            type="rate_limit_error",
            code="upstream_busy",
            retry_after_seconds=2,
        )
    if choice.why and all(why is Why.INTENT for why in choice.why.values()):
        return draining()
    if choice.unoffered:
        return ApiError(
            status=404,
            message=f"{call.model} does not offer {call.asked.work.value}",
            code="model_not_found",
            param="model",
        )
    reasons = "; ".join(f"{name}: {reason}" for name, reason in choice.refused.items())
    return ApiError(
        status=503,
        message=f"{call.route.name}: no upstream can serve now ({reasons or 'none is configured'})",
        type="upstream_error",
        code="no_upstream",
        retry_after_seconds=5,
    )
