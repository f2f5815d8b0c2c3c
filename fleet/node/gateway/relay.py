"""The hot path: a call to an upstream, its answer back. Knows no HTTP server and no dialect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from fleet.node.gateway.answering import Answering
from fleet.node.gateway.attempts import Attempts
from fleet.node.gateway.call import Accounting, Call, LiveCall, Outcome, Phase
from fleet.node.gateway.failures import ClientGone, UpstreamFailure, broken, faulted, fell_silent, told
from fleet.node.gateway.places import Place
from fleet.node.gateway.sink import SignsOfLife, Sink
from fleet.node.gateway.watch import Watch, Watches, reader_stalled
from fleet.traffic.assemble import Assembler
from fleet.traffic.chat_stream import Chunk, Done, Fault, Part, Progress
from fleet.traffic.config import GatewayConfig, Timeouts
from fleet.traffic.dialects.dialect import Said, Voice
from fleet.traffic.openai_error import ApiError, Refused
from fleet.traffic.work import Work

_LONGEST_ANSWER_BYTES = 64 * 1024 * 1024


class Relay:
    """Answers calls. `config` gives the configuration of the moment."""

    def __init__(self, *, attempts: Attempts, accounting: Accounting, config: Callable[[], GatewayConfig]) -> None:
        self._attempts = attempts
        self._accounting = accounting
        self._config = config
        self._watches = Watches()

    async def unary(self, live: LiveCall) -> bytes:
        """The whole answer as JSON. Raises Refused, and CancelledError when the client is gone."""
        call = live.call
        timeouts = self._timeouts(call)
        watch = self._watch(live, timeouts)
        answering: Answering | None = None
        try:
            answering = await self._attempts.commit(call, watch, timeouts)
            self._begun(live, answering, watch, timeouts)
            answer = answering.whole
            if answer is None:
                answer = await self._assembled(call, answering, watch, timeouts)
            if call.dossier is not None and call.dossier.tools is not None:
                call.dossier.tools.whole(answer)
            usage = answer.get("usage")
            if isinstance(usage, dict):
                call.usage = usage
                answering.place.learned(usage)
            answering.place.over()
            body = msgspec.json.encode(call.dialect.answer(answer, call.asked, self._said(call, answering)))
            await answering.reply.finish()
        except BaseException as error:  # noqa: BLE001 (booked, then raised again)
            raise self._failed(live, watch, error, answering) from None
        finally:
            self._watches.stop(watch)
            if answering is not None:
                answering.close()
        self._ended(call, "ok", answering, watch)
        return body

    async def stream(self, live: LiveCall, sink: Sink) -> None:
        """The answer as it comes. Raises Refused while the status is still ours to choose.

        After that a failure is the last event of the stream, and no end.
        """
        call = live.call
        timeouts = self._timeouts(call)
        watch = self._watch(live, timeouts)
        answering: Answering | None = None
        voice: Voice | None = None
        try:
            async with SignsOfLife(sink, call, after=timeouts.commit_seconds, every=timeouts.keepalive_seconds):
                answering = await self._attempts.commit(call, watch, timeouts)
            self._begun(live, answering, watch, timeouts)
            voice = call.dialect.voice(call.asked, self._said(call, answering))
            if call.asked.work is Work.EMBEDDINGS:
                raise broken("embeddings are not streamed")
            await sink.begin(call.answer_headers())
            await self._pass_on(call, answering, voice, sink, watch, timeouts)
            answering.place.over()
            await answering.reply.finish()
        except BaseException as error:  # noqa: BLE001 (booked, then raised again)
            told_error = self._failed(live, watch, error, answering)
            if not isinstance(told_error, Refused) or not sink.begun:
                raise told_error from None
            if voice is None:
                voice = call.dialect.voice(call.asked, self._said(call, None))
            await self._last_words(voice.fail(told_error.error), sink)
            return
        finally:
            self._watches.stop(watch)
            if answering is not None:
                answering.close()
        self._ended(call, "ok", answering, watch)

    async def _pass_on(
        self, call: Call, answering: Answering, voice: Voice, sink: Sink, watch: Watch, timeouts: Timeouts
    ) -> None:
        """Write what arrives, in one piece, until the end. Raises UpstreamFailure, ClientGone."""
        reply, reader = answering.reply, answering.reader
        parts: Sequence[Part] = answering.parts or ()
        if reader is None:
            raise broken("the whole answer of a stream")
        idle_seconds, reader_seconds = timeouts.idle_seconds, timeouts.reader_seconds
        tools = call.dossier.tools if call.dossier is not None else None
        try:
            while True:
                last = parts[-1] if parts else None
                out = voice.say(parts)
                if out:
                    call.chunks += len(parts)
                    watch.within(reader_seconds, reader_stalled)
                    await sink.write(out)
                    watch.within(idle_seconds, lambda: fell_silent(idle_seconds))
                elif not isinstance(last, Progress):
                    watch.within(idle_seconds, lambda: fell_silent(idle_seconds))
                if tools is not None:
                    tools.see(parts)
                if isinstance(last, Done):
                    break
                if isinstance(last, Fault):
                    raise faulted(last)
                data = await reply.read()
                parts = reader.feed(data) if data else reader.end()
        except asyncio.CancelledError as cancelled:
            raise watch.meant(cancelled) from None
        finally:
            if reader.usage is not None:
                call.usage = reader.usage
                answering.place.learned(reader.usage)

    async def _assembled(self, call: Call, answering: Answering, watch: Watch, timeouts: Timeouts) -> dict[str, object]:
        """A unary answer from an upstream that streams. Raises UpstreamFailure, also for one that is too long."""
        assembler = Assembler(work=call.asked.work)
        reply, reader = answering.reply, answering.reader
        parts: Sequence[Part] = answering.parts or ()
        idle_seconds = timeouts.idle_seconds
        size_bytes = 0
        if reader is None:
            raise broken("no stream to assemble")
        try:
            while True:
                for part in parts:
                    if isinstance(part, Chunk):
                        if part.parsed is None:
                            raise broken("sent an event that is no JSON", code="malformed_event")
                        assembler.add(part.parsed)
                        call.chunks += 1
                    elif isinstance(part, Fault):
                        raise faulted(part)
                    elif isinstance(part, Done):
                        return assembler.answer()
                watch.within(idle_seconds, lambda: fell_silent(idle_seconds))
                data = await reply.read()
                size_bytes += len(data)
                if size_bytes > _LONGEST_ANSWER_BYTES:
                    raise broken(f"sent an answer of more than {_LONGEST_ANSWER_BYTES} bytes", code="answer_too_large")
                parts = reader.feed(data) if data else reader.end()
        except asyncio.CancelledError as cancelled:
            raise watch.meant(cancelled) from None

    async def _last_words(self, words: bytes, sink: Sink) -> None:
        try:
            async with asyncio.timeout(1.0):
                await sink.write(words)
        except TimeoutError:
            raise ClientGone from None

    def _timeouts(self, call: Call) -> Timeouts:
        return call.route.timeouts or self._config().timeouts

    def _watch(self, live: LiveCall, timeouts: Timeouts) -> Watch:
        total = timeouts.total_seconds
        return self._watches.start(live.task, seconds=total, late=lambda: _took_too_long(total))

    def _begun(self, live: LiveCall, answering: Answering, watch: Watch, timeouts: Timeouts) -> None:
        call = live.call
        call.phase = Phase.ANSWERING
        call.first_token_at = time.monotonic()
        live.tell = partial(_tell, call, answering.place, watch, timeouts.idle_seconds)

    def _said(self, call: Call, answering: Answering | None) -> Said:
        return Said(
            shown=call.model,
            sent=answering.place.upstream.spec.model if answering is not None else call.model,
            request_id=call.request_id,
            created_seconds=int(time.time()),
        )

    def _failed(self, live: LiveCall, watch: Watch, error: BaseException, answering: Answering | None) -> BaseException:
        """Book the failure; what to raise for it. The upstream is let go first: that is what a cancel is for."""
        call = live.call
        left = time.monotonic()
        if answering is not None:
            answering.close()
        if isinstance(error, asyncio.CancelledError):
            if live.ended_by is not None:
                live.task.uncancel()
                error = Refused(live.ended_by)
            else:
                error = watch.meant(error)
        if isinstance(error, UpstreamFailure):
            if answering is not None:
                self._attempts.note(answering.place.upstream, error)
            error = Refused(told(error.error, upstream=call.upstream or call.route.name))
        if isinstance(error, Refused):
            self._ended(call, _word(live, error.error), answering, watch, error=error.error)
        elif isinstance(error, ClientGone | asyncio.CancelledError):
            self._ended(call, "cancelled", answering, watch, cancel_seconds=time.monotonic() - left)
        else:
            bug = ApiError(status=500, message="the gateway failed", type="upstream_error", code="internal_error")
            self._ended(call, "failed", answering, watch, error=bug)
        return error

    def _ended(
        self,
        call: Call,
        word: str,
        answering: Answering | None,
        watch: Watch,
        *,
        error: ApiError | None = None,
        cancel_seconds: float | None = None,
    ) -> None:
        now = time.monotonic()
        call.outcome = word
        first = call.first_token_at
        reader = answering.reader if answering is not None else None
        if answering is not None:
            answering.place.told(
                whole=word == "ok", usage=call.usage, chunks=call.chunks, unread_seconds=watch.unread_seconds
            )
        self._accounting.ended(
            Outcome(
                call=call,
                word=word,
                status=499 if word == "cancelled" else error.status if error is not None else 200,
                seconds=now - call.started,
                first_token_seconds=None if first is None else first - call.started,
                usage=call.usage,
                problem=(error.logged or error.message) if error is not None else "",
                malformed=reader.malformed if reader is not None else 0,
                cancel_seconds=cancel_seconds,
            )
        )


def _tell(call: Call, place: Place, watch: Watch, idle_seconds: float) -> None:
    """Book what has come so far; what a client has not read yet is told later."""
    since = watch.since(idle_seconds)
    if since is not None:
        place.so_far(chunks=call.chunks, at=since, unread_seconds=watch.unread_seconds)


def _word(live: LiveCall, error: ApiError) -> str:
    if live.ended_by is not None:
        return "ended"
    if live.call.first_token_at is not None:
        return "truncated"
    return "refused" if error.status < 500 else "failed"


def _took_too_long(seconds: float) -> Refused:
    problem = f"the answer took more than {seconds:g} s"
    return Refused(ApiError(status=504, message=problem, type="upstream_error", code="timeout"))
