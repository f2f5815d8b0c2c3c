"""`/v1/messages`: Claude Code, OpenClaw and Anthropic's SDKs on any chat upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fleet.traffic.dialects.blocks import Blocks
from fleet.traffic.dialects.delta import read_answer
from fleet.traffic.dialects.dialect import Asked, Said
from fleet.traffic.dialects.head import model_of, stream_of
from fleet.traffic.dialects.messages.answer import content, message, stopped, tool_id, usage_of
from fleet.traffic.dialects.messages.errors import error_body
from fleet.traffic.dialects.messages.request import chat_request, thinking_shown
from fleet.traffic.dialects.messages.voice import PING, MessagesVoice
from fleet.traffic.dialects.tokens import read_tokens
from fleet.traffic.openai_error import ApiError
from fleet.traffic.work import Work


class MessagesDialect:
    """Anthropic's Messages."""

    name = "messages"
    parse_all = True

    def read(self, body: Mapping[str, Any]) -> Asked:
        """The request as a chat. Raises Refused."""
        stream = stream_of(body)
        return Asked(
            work=Work.CHAT,
            model=model_of(body),
            stream=stream,
            request=chat_request(body, stream=stream),
            original=body,
            wants_usage=True,
        )

    def voice(self, asked: Asked, said: Said) -> MessagesVoice:
        """A voice for one stream."""
        return MessagesVoice(asked, said)

    def keepalive(self) -> bytes:
        """A ping: Anthropic's clients know it at any time, and count it as life where a comment is nothing to them."""
        return PING

    def answer(self, answer: Mapping[str, Any], asked: Asked, said: Said) -> dict[str, Any]:
        """The whole message."""
        delta = read_answer(answer)
        if not thinking_shown(asked.original):
            delta = msgspec.structs.replace(delta, reasoning="")
        blocks = Blocks(lambda place: tool_id(said, place))
        blocks.take(delta)
        blocks.end()
        return {
            **message(said, content=content(blocks.opened)),
            **stopped(delta, asked.original, has_calls=blocks.has_calls),
            "usage": usage_of(read_tokens(answer.get("usage"))),
        }

    def error(self, error: ApiError, *, request_id: str = "") -> bytes:
        """`{"type": "error", "error": {...}}`."""
        return msgspec.json.encode(error_body(error, request_id=request_id))
