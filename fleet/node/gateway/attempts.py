"""From an admitted call to an upstream that answers it: places, attempts, and whom to ask after a failure.

The commit point is the first real delta (SPEC section 3.1): before it another upstream may be asked, after it nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from fleet.engines import ErrorKind, RequestRefused
from fleet.engines.edge import SERVES_NOBODY
from fleet.node.gateway.answering import Answering, first_delta, whole_answer
from fleet.node.gateway.call import Admission, Call, Phase
from fleet.node.gateway.caller import Caller, Reply
from fleet.node.gateway.failures import UpstreamFailure, not_for_it, passed_over, told, too_late
from fleet.node.gateway.turned_away import nobody
from fleet.node.gateway.upstreams import LiveUpstream, Place, Upstreams
from fleet.node.gateway.watch import Watch
from fleet.traffic.config import GatewayConfig, Retries, Timeouts
from fleet.traffic.openai_error import Refused
from fleet.traffic.retries import RetryBudget
from fleet.traffic.work import Work
from fleet.vocabulary.names import Lane

_UNFELT_SECONDS = 0.001
_LANE = "x-fleet-lane"


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
            if place.avoided:
                call.avoided = tuple(dict.fromkeys((*call.avoided, *place.avoided)))
            call.upstream, call.node, call.served = upstream.name, upstream.spec.node, upstream.spec.serves
            call.phase = Phase.WAITING
            answering: Answering | None = None
            dispatched, sent, refused, gone = False, True, False, False
            try:
                reason = await self._admission.dispatch(call, upstream)
                if reason is not None:
                    raise passed_over(reason)
                dispatched = True
                answering = await self._begin(call, place, watch, timeouts)
                return answering
            except UpstreamFailure as failure:
                sent, refused = failure.asked and failure.reached, failure.refused
                gone = failure.error.gone
                self.note(upstream, failure)
                if not failure.error.retryable:
                    raise Refused(told(failure.error, upstream=upstream.name)) from failure
                failures.append(failure)
            finally:
                if answering is None:
                    place.leave()
                    if dispatched:
                        self._admission.gave_up(call, upstream, sent=sent, refused=refused, gone=gone)

    def note(self, upstream: LiveUpstream, failure: UpstreamFailure) -> None:
        """What a failure says of the upstream. A request's own fault says nothing, nor does a busy one."""
        error = failure.error
        if upstream.pace is not None:
            upstream.pace.failed(failure, time.monotonic())
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
        if failure.verdict is not None:
            raise Refused(failure.verdict)
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
        dressed = self._admission.dressed(call, upstream, request)
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
                msgspec.json.encode(dressed),
                headers=_passed(call, upstream),
                connect_seconds=timeouts.connect_seconds,
            )
            self._admission.answered(call, upstream, reply.headers)
            if streamed:
                answering = await first_delta(call, place, reply, watch, timeouts)
            else:
                answering = await whole_answer(place, reply)
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
