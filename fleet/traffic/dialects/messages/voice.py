"""A Messages stream: content blocks from the chunks of a chat. Pure.

The real counts come with `message_delta`: when the message starts, none is known yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from fleet.traffic.chat_stream import Chunk, Done, Part
from fleet.traffic.dialects.blocks import Blocks, Happened, Kind, Step
from fleet.traffic.dialects.delta import Delta, read_chunk
from fleet.traffic.dialects.dialect import Asked, Said
from fleet.traffic.dialects.messages.answer import empty, message, stopped, tool_id, usage_of
from fleet.traffic.dialects.messages.errors import error_body
from fleet.traffic.dialects.messages.request import thinking_shown
from fleet.traffic.dialects.tokens import Tokens, read_tokens
from fleet.traffic.openai_error import ApiError

_GROWS = {
    Kind.REASONING: ("thinking_delta", "thinking"),
    Kind.TEXT: ("text_delta", "text"),
    Kind.REFUSAL: ("text_delta", "text"),
    Kind.CALL: ("input_json_delta", "partial_json"),
}


def event(name: str, data: dict[str, Any]) -> bytes:
    """One event on the wire."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode({"type": name, **data}))


PING = event("ping", {})
"""A sign of life."""


class MessagesVoice:
    """Says one message."""

    def __init__(self, asked: Asked, said: Said) -> None:
        self._said = said
        self._original = asked.original
        self._thinking = thinking_shown(asked.original)
        self._blocks = Blocks(lambda place: tool_id(said, place))
        self._begun = False
        self._last = Delta()
        self._tokens: Tokens | None = None

    def say(self, parts: Sequence[Part]) -> bytes:
        """Whole events."""
        out: list[bytes] = []
        for part in parts:
            if isinstance(part, Chunk):
                if part.parsed is not None:
                    self._take(part.parsed, out)
            elif isinstance(part, Done):
                self._end(out)
        return b"".join(out)

    def fail(self, error: ApiError) -> bytes:
        """`error`, and nothing after it."""
        return event("error", error_body(error, request_id=self._said.request_id))

    def _take(self, chunk: dict[str, Any], out: list[bytes]) -> None:
        self._begin(out)
        delta = read_chunk(chunk)
        if delta.finish is not None:
            self._last = delta
        if chunk.get("usage") is not None:
            self._tokens = read_tokens(chunk["usage"]) or self._tokens
        if delta.reasoning and not self._thinking:
            delta = Delta(text=delta.text, refusal=delta.refusal, calls=delta.calls)
            out.append(PING)
        out += map(_said, self._blocks.take(delta))

    def _begin(self, out: list[bytes]) -> None:
        if not self._begun:
            self._begun = True
            started = {**message(self._said, content=[]), "usage": usage_of(None)}
            out += (event("message_start", {"message": started}), PING)

    def _end(self, out: list[bytes]) -> None:
        self._begin(out)
        out += map(_said, self._blocks.end())
        end = stopped(self._last, self._original, has_calls=self._blocks.has_calls)
        out.append(event("message_delta", {"delta": end, "usage": usage_of(self._tokens)}))
        out.append(event("message_stop", {}))


def _said(step: Step) -> bytes:
    happened, block, text = step
    match happened:
        case Happened.OPENED:
            return event("content_block_start", {"index": block.place, "content_block": empty(block)})
        case Happened.GREW:
            kind, name = _GROWS[block.kind]
            return event("content_block_delta", {"index": block.place, "delta": {"type": kind, name: text}})
    return event("content_block_stop", {"index": block.place})
