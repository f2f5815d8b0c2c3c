"""What one chunk of a chat stream, or one whole chat answer, says. Total: odd values say nothing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_NOTHING: dict[str, Any] = {}


class CallDelta(msgspec.Struct, frozen=True):
    """A piece of a tool call. `index` is None where the backend gives none; the rest is "" where it is not said."""

    index: int | None
    id: str
    name: str
    arguments: str


class Delta(msgspec.Struct, frozen=True):
    """Pieces of an answer. `finish` is the reason that the model stopped; `matched` the stop text that it met."""

    reasoning: str = ""
    text: str = ""
    refusal: str = ""
    calls: tuple[CallDelta, ...] = ()
    finish: str | None = None
    matched: str | None = None


def read_chunk(chunk: Mapping[str, Any]) -> Delta:
    """What a chunk says of the first choice."""
    choice = _first_choice(chunk)
    said = choice.get("delta")
    return _read(said if isinstance(said, dict) else _NOTHING, choice)


def read_answer(answer: Mapping[str, Any]) -> Delta:
    """What a unary answer says in its first choice."""
    choice = _first_choice(answer)
    said = choice.get("message")
    return _read(said if isinstance(said, dict) else _NOTHING, choice)


def _first_choice(chunk: Mapping[str, Any]) -> dict[str, Any]:
    choices = chunk.get("choices")
    if isinstance(choices, list):
        for choice in choices:
            if isinstance(choice, dict) and not choice.get("index"):
                return choice
    return _NOTHING


def _read(said: dict[str, Any], choice: dict[str, Any]) -> Delta:
    finish = choice.get("finish_reason")
    matched = choice.get("stop_reason") or choice.get("matched_stop")  # vLLM's word and SGLang's
    calls = said.get("tool_calls")
    read = tuple(filter(None, map(_call, calls))) if isinstance(calls, list) else ()
    if isinstance(alone := said.get("function_call"), dict):  # the form before tool_calls
        read = (*read, CallDelta(0, "", _text(alone.get("name")), _arguments(alone.get("arguments"))))
    return Delta(
        # Some backends say the same thought under both names.
        reasoning=_text(said.get("reasoning")) or _text(said.get("reasoning_content")),
        text=_text(said.get("content")),
        refusal=_text(said.get("refusal")),
        calls=read,
        finish=finish if isinstance(finish, str) and finish else None,
        matched=matched if isinstance(matched, str) else None,
    )


def _call(call: Any) -> CallDelta | None:
    if not isinstance(call, dict):
        return None
    index, function = call.get("index"), call.get("function")
    function = function if isinstance(function, dict) else _NOTHING
    return CallDelta(
        index if isinstance(index, int) else None,
        _text(call.get("id")),
        _text(function.get("name")),
        _arguments(function.get("arguments")),
    )


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):  # content as parts
        return "".join(part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ""


def _arguments(value: Any) -> str:
    """OpenAI's arguments are text; some backends send the object itself."""
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else _text(value)
