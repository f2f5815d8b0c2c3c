"""`/v1/embeddings`: passed through, never streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.traffic import sse
from fleet.traffic.dialects.dialect import Asked, Said, Voice
from fleet.traffic.dialects.head import model_of, refusal
from fleet.traffic.openai_error import ApiError
from fleet.traffic.work import Work

_STREAMED = frozenset({"stream", "stream_options"})


class EmbeddingsDialect:
    """OpenAI's embeddings."""

    name = "embeddings"
    parse_all = True

    def read(self, body: Mapping[str, Any]) -> Asked:
        """The request; `stream` means nothing here and goes. Raises Refused."""
        if not isinstance(body.get("input"), str | list):
            raise refusal("'input' must be a string or a list", param="input", code="invalid_type")
        request = {name: value for name, value in body.items() if name not in _STREAMED}
        return Asked(
            work=Work.EMBEDDINGS, request=request, original=body, model=model_of(body), stream=False, wants_usage=False
        )

    def voice(self, asked: Asked, said: Said) -> Voice:  # noqa: ARG002 (the form of every dialect)
        """There is none: `Asked.stream` is never true. Raises TypeError."""
        raise TypeError("embeddings are never streamed")

    def keepalive(self) -> bytes:
        """A comment."""
        return sse.comment(b"fleet-keepalive")

    def answer(self, answer: Mapping[str, Any], asked: Asked, said: Said) -> dict[str, Any]:  # noqa: ARG002 (the form of every dialect)
        """The answer under the client's name of the model."""
        return {**answer, "model": said.shown}

    def error(self, error: ApiError, *, request_id: str = "") -> bytes:  # noqa: ARG002 (the form of every dialect)
        """`{"error": {...}}`."""
        return error.json
