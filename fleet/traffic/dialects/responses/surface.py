"""`/v1/responses`, stateless: Codex, OpenClaw and OpenAI's SDKs on any chat upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.traffic import sse
from fleet.traffic.dialects.blocks import Blocks
from fleet.traffic.dialects.delta import read_answer
from fleet.traffic.dialects.dialect import Asked, Said
from fleet.traffic.dialects.head import model_of, stream_of
from fleet.traffic.dialects.responses.body import ended, response_body, stem_of, usage_of
from fleet.traffic.dialects.responses.items import item
from fleet.traffic.dialects.responses.request import chat_request
from fleet.traffic.dialects.responses.toolbox import Toolbox
from fleet.traffic.dialects.responses.voice import ResponsesVoice
from fleet.traffic.dialects.tokens import read_tokens
from fleet.traffic.openai_error import ApiError
from fleet.traffic.work import Work


class ResponsesDialect:
    """OpenAI's Responses."""

    name = "responses"
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

    def voice(self, asked: Asked, said: Said) -> ResponsesVoice:
        """A voice for one stream."""
        return ResponsesVoice(asked, said)

    def keepalive(self) -> bytes:
        """A comment: an event before `response.created` is none of this surface."""
        return sse.comment(b"fleet-keepalive")

    def answer(self, answer: Mapping[str, Any], asked: Asked, said: Said) -> dict[str, Any]:
        """The whole response."""
        delta = read_answer(answer)
        stem = stem_of(said)
        blocks = Blocks(lambda place: f"call_{stem}_{place}")
        blocks.take(delta)
        blocks.end()
        toolbox = Toolbox(asked.original)
        state = ended(delta.finish)
        items = [
            item(block, toolbox, stem, status=state["status"] if block is blocks.opened[-1] else "completed")
            for block in blocks.opened
        ]
        usage = usage_of(read_tokens(answer.get("usage")))
        return {**response_body(asked.original, said), **state, "output": items, "usage": usage}

    def error(self, error: ApiError, *, request_id: str = "") -> bytes:  # noqa: ARG002 (the form of every dialect)
        """`{"error": {...}}`."""
        return error.json
