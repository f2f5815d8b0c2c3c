"""What an answer says of tools, gathered beside its stream: never in its way. Only for requests that offer tools.

A chunk that goes on unparsed is parsed here when its bytes name a call; its text is read by a decoder that looks at
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from fleet.traffic.assemble import Assembler
from fleet.traffic.chat_stream import Chunk, Done, Part

_LONGEST_TEXT = 64 * 1024
_CALL_MARKS = (b'"tool_calls"', b'"function_call"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """`calls` as OpenAI says them, whole. `content`: how the text of the first choice begins. `odd`: what was not as it
    should be, and does not matter.

    `begun`: a piece of a call came. `first_call_at`: when the first call's last piece came, by the caller's clock.
    """

    calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str | None = None
    content: str = ""
    begun: bool = False
    whole: bool = False
    odd: tuple[str, ...] = ()
    first_call_at: float | None = None


class _Delta(msgspec.Struct, gc=False):
    content: Any = None
    tool_calls: msgspec.Raw | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    index: int = 0
    finish_reason: Any = None


class _Piece(msgspec.Struct, gc=False):
    choices: list[_Choice] = []


_READ = msgspec.json.Decoder(_Piece).decode


class Listener:
    """Give it the parts of one streamed answer, in order, as they come."""

    def __init__(self) -> None:
        self._assembler = Assembler()
        self._texts: list[str] = []
        self._text_length = 0
        self._begun = False
        self._whole = False
        self._odd: set[str] = set()
        self._first: tuple[object, object] | None = None
        self._first_over = False
        self._first_at: float | None = None

    def feed(self, parts: Sequence[Part], now: float) -> None:
        """The next parts, at `now`."""
        for part in parts:
            if isinstance(part, Chunk):
                self._chunk(part, now)
            elif isinstance(part, Done):
                self._whole = True

    def heard(self) -> Heard:
        """What was said until now."""
        choice = _first_choice(self._assembler.answer())
        message = choice.get("message") or {}
        return Heard(
            calls=_calls(message),
            finish_reason=choice.get("finish_reason"),
            content="".join(self._texts),
            begun=self._begun,
            whole=self._whole,
            odd=tuple(sorted(self._odd | ({"function_call"} if "function_call" in message else set()))),
            first_call_at=self._first_at,
        )

    def _chunk(self, chunk: Chunk, now: float) -> None:
        data = chunk.data
        parsed = chunk.parsed
        if parsed is None and not chunk.malformed:
            if _CALL_MARKS[0] not in data and _CALL_MARKS[1] not in data:
                self._text(data)
                return
            try:
                parsed = msgspec.json.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return
        choices = parsed.get("choices") if isinstance(parsed, dict) else None
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index") in (0, None):
                self._choice(choice, now)

    def _choice(self, choice: dict[str, Any], now: float) -> None:
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        self._keep(delta.get("content"))
        calls = delta.get("tool_calls") or delta.get("function_call")
        finish = choice.get("finish_reason")
        if not calls and finish is None:
            return
        slim = {name: value for name, value in delta.items() if name in ("tool_calls", "function_call")}
        self._assembler.add({"choices": [{"index": 0, "delta": slim, "finish_reason": finish}]})
        if calls:
            self._begun = True
            for call in calls if isinstance(calls, list) else [calls]:
                self._piece(call, now)

    def _piece(self, call: object, now: float) -> None:
        if not isinstance(call, dict):
            return
        function = call.get("function", call)
        if isinstance(function, dict) and isinstance(function.get("arguments"), dict):
            self._odd.add("arguments as an object")
        index, named = call.get("index"), call.get("id")
        if self._first is None:
            self._first = (index, named)
        elif index != self._first[0] or (named and self._first[1] and named != self._first[1]):
            self._first_over = True
        elif named and not self._first[1]:
            self._first = (index, named)
        if not self._first_over:
            self._first_at = now

    def _text(self, data: bytes) -> None:
        if self._text_length >= _LONGEST_TEXT:
            return
        try:
            piece = _READ(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        for choice in piece.choices:
            if choice.index == 0 and choice.delta is not None:
                self._keep(choice.delta.content)

    def _keep(self, text: object) -> None:
        if isinstance(text, str) and text and self._text_length < _LONGEST_TEXT:
            self._texts.append(text[: _LONGEST_TEXT - self._text_length])
            self._text_length += len(self._texts[-1])


def heard_of(answer: Mapping[str, Any], now: float | None = None) -> Heard:
    """The same of a unary answer, which was there at `now`."""
    choice = _first_choice(answer)
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    calls = _calls(message)
    content = message.get("content")
    return Heard(
        calls=calls,
        finish_reason=choice.get("finish_reason"),
        content=content[:_LONGEST_TEXT] if isinstance(content, str) else "",
        begun=bool(calls),
        whole=True,
        odd=("function_call",) if message.get("function_call") else (),
        first_call_at=now if calls else None,
    )


def _first_choice(answer: Mapping[str, Any]) -> dict[str, Any]:
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    return first if isinstance(first, dict) else {}


def _calls(message: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    calls = message.get("tool_calls")
    found = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        found.append({"id": "function_call", "type": "function", "function": legacy})
    return tuple(found)
