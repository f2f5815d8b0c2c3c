"""How an answer begins: the first real delta of a stream, or a whole document; and what only looks like one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from fleet.node.gateway.call import Call
from fleet.node.gateway.caller import Reply
from fleet.node.gateway.failures import UpstreamFailure, broken, faulted
from fleet.node.gateway.upstreams import LiveUpstream, Place
from fleet.node.gateway.watch import Watch
from fleet.traffic.chat_stream import ChatStreamReader, Chunk, Fault, Part, Progress
from fleet.traffic.config import Timeouts

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


async def first_delta(call: Call, place: Place, reply: Reply, watch: Watch, timeouts: Timeouts) -> Answering:
    """Read a stream until its first real delta. Raises UpstreamFailure."""
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
                raise faulted(part, refused=part.code == "upstream_error")
            else:
                raise broken("ended its answer before it began", code="empty_answer")
        if held_bytes > _LONGEST_PRELUDE_BYTES and not begun:
            raise broken(f"sent {held_bytes} bytes that begin no answer", code="malformed_answer")
    place.began()
    return Answering(place, reply, reader, parts)


async def whole_answer(place: Place, reply: Reply) -> Answering:
    """Read an answer that is one document. Raises UpstreamFailure."""
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
    return UpstreamFailure(upstream.engine.map_error(_status_in(body), body), retryable=True, refused=True)


def _status_in(body: bytes) -> int:
    """The status that an error in a 200 means: its own integer code, where that is a status."""
    try:
        error = msgspec.json.decode(body).get("error")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
        return 500
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500
