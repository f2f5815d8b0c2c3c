"""`/v1/chat/completions`: passed through. Only the model's name, the role and the usage are dressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fleet.traffic import sse
from fleet.traffic.chat_stream import Chunk, Done, Part
from fleet.traffic.dialects.dialect import Asked, Said
from fleet.traffic.dialects.head import model_of, stream_of, usage_wanted
from fleet.traffic.dress import StreamDress
from fleet.traffic.openai_error import ApiError, last_event
from fleet.traffic.work import Work


class ChatVoice:
    """Chunks as the upstream said them, then [DONE]."""

    __slots__ = ("_created", "_dress", "_id", "_model", "_role_once", "_sent", "_usage")

    def __init__(self, asked: Asked, said: Said, *, role_once: bool) -> None:
        self._usage = asked.wants_usage
        self._role_once = role_once
        self._model = said.shown
        self._sent = said.sent
        self._dress = self._dressing(said.sent)
        self._id = ""
        self._created = said.created_seconds

    def say(self, parts: Sequence[Part]) -> bytes:
        """Whole events; a chunk that is no JSON goes on as it came."""
        out: list[bytes] = []
        for part in parts:
            if isinstance(part, Chunk):
                if not self._id and part.parsed is not None:
                    self._meet(part.parsed)
                data = self._dress.dress(part)
                if data is not None:
                    out.append(sse.event(data))
            elif isinstance(part, Done):
                out.append(sse.DONE)
        return b"".join(out)

    def fail(self, error: ApiError) -> bytes:
        """A chunk with the error and `finish_reason: "error"`; no [DONE] follows."""
        return sse.event(last_event(error, stream_id=self._id, created=self._created, model=self._model))

    def _meet(self, chunk: dict[str, Any]) -> None:
        """Learn from the first chunk what the stream is called, and by which name the upstream calls the model."""
        named, created, model = chunk.get("id"), chunk.get("created"), chunk.get("model")
        self._id = named if isinstance(named, str) else ""
        self._created = created if isinstance(created, int) and created else self._created
        if isinstance(model, str) and model != self._sent:  # OpenRouter names the dated version
            self._sent = model
            self._dress = self._dressing(model)

    def _dressing(self, sent: str) -> StreamDress:
        return StreamDress(shown=self._model, sent=sent, usage=self._usage, role_once=self._role_once)


class ChatDialect:
    """OpenAI's chat completions."""

    name = "chat"
    parse_all = False

    def read(self, body: Mapping[str, Any]) -> Asked:
        """The request as it is; its engine checks the messages. Raises Refused."""
        return Asked(
            work=Work.CHAT,
            request=body,
            original=body,
            model=model_of(body),
            stream=stream_of(body),
            wants_usage=usage_wanted(body),
        )

    def voice(self, asked: Asked, said: Said) -> ChatVoice:
        """A voice for one stream."""
        return ChatVoice(asked, said, role_once=asked.request.get("n") in (None, 1))

    def keepalive(self) -> bytes:
        """A comment."""
        return sse.comment(b"fleet-keepalive")

    def answer(self, answer: Mapping[str, Any], asked: Asked, said: Said) -> dict[str, Any]:  # noqa: ARG002 (the form of every dialect)
        """The answer under the client's name of the model. A reason to finish is never made up."""
        return renamed(answer, said)

    def error(self, error: ApiError, *, request_id: str = "") -> bytes:  # noqa: ARG002 (the form of every dialect)
        """`{"error": {...}}`."""
        return error.json


def renamed(answer: Mapping[str, Any], said: Said) -> dict[str, Any]:
    """`answer` under the client's name of the model, with an id; an empty finish_reason is null (SPEC section 3.1)."""
    out = {**answer, "model": said.shown}
    out["id"] = out.get("id") or said.request_id
    choices = out.get("choices")
    if isinstance(choices, list):
        out["choices"] = [_null_finish(choice) for choice in choices]
    return out


def _null_finish(choice: Any) -> Any:
    if isinstance(choice, dict) and choice.get("finish_reason") == "":
        return {**choice, "finish_reason": None}
    return choice
