"""`/v1/completions`: the older surface, passed through to upstreams that have it. A prompt is text, texts or tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fleet.traffic import sse
from fleet.traffic.chat_stream import Chunk, Part
from fleet.traffic.dialects.chat import ChatVoice, renamed
from fleet.traffic.dialects.dialect import Asked, Said
from fleet.traffic.dialects.head import model_of, refusal, stream_of, usage_wanted
from fleet.traffic.openai_error import ApiError, last_event
from fleet.traffic.work import Work


class CompletionsVoice(ChatVoice):
    """Chunks with `text` instead of `delta`."""

    __slots__ = ()

    def say(self, parts: Sequence[Part]) -> bytes:
        """Whole events. mlx_lm calls its usage chunk a chat.completion here too."""
        return super().say([_named(part) if isinstance(part, Chunk) else part for part in parts])

    def fail(self, error: ApiError) -> bytes:
        """The last event of the chat surface, in this one's form."""
        event = msgspec.json.decode(last_event(error, stream_id=self._id, created=self._created, model=self._model))
        event["object"] = "text_completion"
        event["choices"] = [{"index": 0, "text": "", "logprobs": None, "finish_reason": "error"}]
        return sse.event(msgspec.json.encode(event))


class CompletionsDialect:
    """OpenAI's text completions."""

    name = "completions"
    parse_all = False

    def read(self, body: Mapping[str, Any]) -> Asked:
        """The request as it is. Raises Refused."""
        if not isinstance(body.get("prompt"), str | list):
            raise refusal("'prompt' must be a string or a list", param="prompt", code="invalid_type")
        return Asked(
            work=Work.COMPLETIONS,
            request=body,
            original=body,
            model=model_of(body),
            stream=stream_of(body),
            wants_usage=usage_wanted(body),
        )

    def voice(self, asked: Asked, said: Said) -> CompletionsVoice:
        """A voice for one stream."""
        return CompletionsVoice(asked, said, role_once=False)

    def keepalive(self) -> bytes:
        """A comment."""
        return sse.comment(b"fleet-keepalive")

    def answer(self, answer: Mapping[str, Any], asked: Asked, said: Said) -> dict[str, Any]:  # noqa: ARG002 (the form of every dialect)
        """The answer under the client's name of the model."""
        return {**renamed(answer, said), "object": "text_completion"}

    def error(self, error: ApiError, *, request_id: str = "") -> bytes:  # noqa: ARG002 (the form of every dialect)
        """`{"error": {...}}`."""
        return error.json


def _named(chunk: Chunk) -> Chunk:
    if chunk.parsed is None or chunk.parsed.get("object") != "chat.completion":
        return chunk
    parsed = {**chunk.parsed, "object": "text_completion"}
    return Chunk(msgspec.json.encode(parsed), parsed, real=chunk.real)
