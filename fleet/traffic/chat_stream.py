"""Reading an upstream's chat stream: which bytes are an answer, which its end, which a failure. Pure.

A stream is complete when [DONE] came and a finish_reason before it. Anything else is a fault, never a made-up end.
Once the answer has begun, a chunk is parsed only when cheap tests of its bytes say that it matters: a quotation mark
inside a JSON string is escaped, so `"usage"` in the bytes is the key and no text of the model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from fleet.traffic.sse import SseComment, SseEvent, SseOverflow, SseParser
from fleet.traffic.work import Work

_PROGRESS = re.compile(rb"keepalive (\d{1,9})/(\d{1,9})")
_FINISH = (b'"finish_reason":"', b'"finish_reason": "')
_NO_USAGE = (b'"usage":null', b'"usage": null')
_TEXTS = ("content", "reasoning", "reasoning_content", "refusal")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of the answer. `parsed` is None where the bytes can go on as they are, or are not JSON (`malformed`).

    `real`: it carries text, a tool call or the finish, so the client may not be sent elsewhere after it.
    """

    data: bytes
    parsed: dict[str, Any] | None = None
    real: bool = True
    malformed: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """A sign of life without an answer; `done` of `total` prompt tokens where the engine says so."""

    done: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """The stream failed. `code` is for machines: stream_truncated, upstream_error, stream_overflow."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Done:
    """The stream is complete."""


Part = Chunk | Progress | Fault | Done


class ChatStreamReader:
    """Feed it bytes, act on its parts; after a Fault or Done it says nothing more.

    `parse_all` is for who must understand every chunk. `usage`, `stream_id`, `created`, `malformed` tell what was seen
    so far.
    """

    def __init__(self, *, parse_all: bool, work: Work = Work.CHAT) -> None:
        self._real = _real_text if work is Work.COMPLETIONS else _real
        self._sse = SseParser()
        self._parse_all = parse_all
        self._begun = False
        self._finished = False
        self._over = False
        self.usage: dict[str, Any] | None = None
        self.stream_id = ""
        self.created = 0
        self.malformed = 0

    @property
    def over(self) -> bool:
        """Whether Done or a Fault has been said."""
        return self._over

    def feed(self, data: bytes) -> list[Part]:
        """The parts that `data` completes."""
        if self._over:
            return []
        try:
            events = self._sse.feed(data)
        except SseOverflow as overflow:
            return [self._fault("stream_overflow", f"the upstream sent {overflow}")]
        parts: list[Part] = []
        for event in events:
            parts.append(_progress(event) if isinstance(event, SseComment) else self._event(event))
            if isinstance(parts[-1], Fault | Done):
                break
        return parts

    def end(self) -> list[Part]:
        """The connection ended: nothing when the stream was over, else a Fault."""
        return [] if self._over else [self._fault("stream_truncated", "the upstream's answer was cut off")]

    def _fault(self, code: str, message: str) -> Fault:
        self._over = True
        return Fault(code, message)

    def _event(self, event: SseEvent) -> Part:
        data = event.data
        if data == b"[DONE]":
            if not self._finished:
                return self._fault("stream_truncated", "the upstream's answer ended without a finish_reason")
            self._over = True
            return Done()
        if self._begun and not self._parse_all and data.endswith(b"}") and not event.name and not _matters(data):
            return Chunk(data)
        return self._parsed(event)

    def _parsed(self, event: SseEvent) -> Part:
        try:
            chunk = msgspec.json.decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            chunk = None
        if not isinstance(chunk, dict):
            self.malformed += 1
            return Chunk(event.data, malformed=True, real=False)
        if problem := _problem(chunk, event.name):
            return self._fault("upstream_error", problem)
        self._remember(chunk)
        choices = chunk.get("choices")
        choices = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
        for choice in choices:
            if choice.get("finish_reason") == "":  # some servers mean "not yet" (SPEC section 3.1)
                choice["finish_reason"] = None
            self._finished = self._finished or choice.get("finish_reason") is not None
        real = any(self._real(choice) for choice in choices)
        self._begun = self._begun or real
        return Chunk(event.data, chunk, real=real)

    def _remember(self, chunk: dict[str, Any]) -> None:
        if isinstance(chunk.get("usage"), dict):
            self.usage = chunk["usage"]
        if not self.stream_id:
            named, created = chunk.get("id"), chunk.get("created")
            self.stream_id = named if isinstance(named, str) else ""
            self.created = created if isinstance(created, int) else 0


def _matters(data: bytes) -> bool:
    # Unrolled: this runs once per token, and generators would cost as much again.
    if b'"error"' in data or _FINISH[0] in data or _FINISH[1] in data:
        return True
    return b'"usage"' in data and _NO_USAGE[0] not in data and _NO_USAGE[1] not in data


def _progress(comment: SseComment) -> Progress:
    match = _PROGRESS.fullmatch(comment.text)
    return Progress(int(match[1]), int(match[2])) if match else Progress()


def _problem(chunk: dict[str, Any], name: bytes) -> str | None:
    """What an error inside the stream says, or None."""
    choices = chunk.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    error = chunk.get("error") or first.get("error")
    if not error and name != b"error" and first.get("finish_reason") != "error":
        return None
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) and message else "the upstream failed while it answered"


def _real(choice: dict[str, Any]) -> bool:
    if choice.get("finish_reason") is not None:
        return True
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return False
    return bool(delta.get("tool_calls") or delta.get("function_call")) or any(delta.get(name) for name in _TEXTS)


def _real_text(choice: dict[str, Any]) -> bool:
    """The same for a completion without roles."""
    return choice.get("finish_reason") is not None or bool(choice.get("text"))
