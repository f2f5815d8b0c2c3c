"""One answer, read off its stream: what was said, when, and what it cost. The clock is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from fleet.errors import FleetError
from fleet.practice.harness.door import Door, NotSent, Reading
from fleet.traffic.assemble import Assembler
from fleet.traffic.budget.reserve import reported_pico
from fleet.traffic.chat_stream import ChatStreamReader, Chunk, Fault
from fleet.traffic.tools.heard import Heard, Listener, heard_of
from fleet.traffic.tools.score import Ended
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.money import NotMoney

_REFUSES_PROMPT = frozenset({400, 413, 422})
_REFUSES_ALL = frozenset({401, 402, 403, 404})
_LONGEST_REFUSAL_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`problem` is one word when there is no whole answer: `unreachable`, `cut`, `http_503`.

    `sent`: it may have been worked on, so it may cost. `refused`: the target does not take this prompt. `shut`: it
    takes none at all (no key, no such model, no credit).
    """

    ended: Ended
    seconds: float
    heard: Heard = field(default_factory=Heard)
    text: str = ""
    first_token_seconds: float | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    upstream: str = ""
    problem: str = ""
    sent: bool = True
    refused: bool = False
    shut: bool = False
    retry_after_seconds: float | None = None

    @property
    def whole(self) -> bool:
        """Whether it can be judged."""
        return self.ended is Ended.WHOLE

    @property
    def reported_pico(self) -> int | None:
        """What the provider says that it cost; None = it does not. Numbers were doubles: their shortest text counts."""
        cost, details = self.usage.get("cost"), self.usage.get("cost_details")
        upstream = details.get("upstream_inference_cost") if isinstance(details, Mapping) else None
        try:
            return reported_pico(_amount(cost), _amount(upstream) if self.usage.get("is_byok") is True else None)
        except NotMoney:
            return None

    def tokens(self, name: str) -> int | None:
        """A count of the usage; None = it was not told."""
        return _count(self.usage.get(name))

    @property
    def cached_tokens(self) -> int | None:
        """Tokens of the prompt that were not read anew."""
        details = self.usage.get("prompt_tokens_details")
        return _count(details.get("cached_tokens")) if isinstance(details, Mapping) else None


def answered(door: Door, body: bytes, *, clock: Clock) -> Answer:
    """Ask, and read to the end. Never raises for what a server does."""
    begun = clock.monotonic()
    try:
        with door.ask(body) as reading:
            if reading.status != 200:
                return _refused(reading, clock.monotonic() - begun)
            return _read(reading, clock, begun)
    except FleetError as problem:
        word = "unreachable" if problem.exit_code == 4 else problem.code
        return Answer(
            ended=Ended.NOTHING,
            seconds=clock.monotonic() - begun,
            problem=word,
            sent=not isinstance(problem, NotSent),
        )


def _read(reading: Reading, clock: Clock, begun: float) -> Answer:
    if "text/event-stream" not in reading.headers.get("content-type", ""):
        return _unary(reading, clock, begun)
    reader, listener, assembler = ChatStreamReader(parse_all=True), Listener(), Assembler()
    first: float | None = None
    fault: Fault | None = None
    broke = ""
    try:
        for data in reading.chunks:
            parts = reader.feed(data)
            now = clock.monotonic()
            listener.feed(parts, now)
            for part in parts:
                if isinstance(part, Chunk):
                    first = now if part.real and first is None else first
                    if part.parsed is not None:
                        assembler.add(part.parsed)
                elif isinstance(part, Fault):
                    fault = part
            if reader.over:
                break
    except FleetError as problem:
        broke = "unreachable" if problem.exit_code == 4 else problem.code
    if not reader.over:
        reader.end()
        broke = broke or "cut"
    broke = broke or (fault.code if fault is not None else "")
    seconds = clock.monotonic() - begun
    heard = listener.heard()
    said = assembler.answer()
    told_model = said.get("model")
    return Answer(
        ended=Ended.WHOLE if not broke else Ended.NOTHING if first is None else Ended.CUT,
        seconds=seconds,
        heard=_since(begun, heard),
        text=_text_of(said),
        first_token_seconds=None if first is None else first - begun,
        usage=reader.usage or {},
        model=reading.headers.get("x-fleet-model") or (told_model if isinstance(told_model, str) else ""),
        upstream=reading.headers.get("x-fleet-upstream", ""),
        problem=broke,
    )


def _since(begun: float, heard: Heard) -> Heard:
    """The same, with the time of its first call counted from when it was asked."""
    return heard if heard.first_call_at is None else replace(heard, first_call_at=heard.first_call_at - begun)


def _unary(reading: Reading, clock: Clock, begun: float) -> Answer:
    try:
        said = msgspec.json.decode(b"".join(reading.chunks))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        said = None
    seconds = clock.monotonic() - begun
    if not isinstance(said, dict) or not isinstance(said.get("choices"), list):
        return Answer(ended=Ended.NOTHING, seconds=seconds, problem="protocol")
    usage, model = said.get("usage"), said.get("model")
    return Answer(
        ended=Ended.WHOLE,
        seconds=seconds,
        heard=heard_of(said, seconds),
        text=_text_of(said),
        usage=usage if isinstance(usage, dict) else {},
        model=reading.headers.get("x-fleet-model") or (model if isinstance(model, str) else ""),
        upstream=reading.headers.get("x-fleet-upstream", ""),
    )


def _refused(reading: Reading, seconds: float) -> Answer:
    size = 0
    for data in reading.chunks:
        size += len(data)
        if size > _LONGEST_REFUSAL_BYTES:
            break
    after = reading.headers.get("retry-after", "")
    return Answer(
        ended=Ended.NOTHING,
        seconds=seconds,
        problem=f"http_{reading.status}",
        sent=reading.status in (408, 500, 502, 504, 524),
        refused=reading.status in _REFUSES_PROMPT,
        shut=reading.status in _REFUSES_ALL,
        retry_after_seconds=float(after) if after.isdecimal() and len(after) < 6 else None,
    )


def _text_of(said: Mapping[str, Any]) -> str:
    choices = said.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    message = first.get("message") if isinstance(first, dict) else {}
    content = message.get("content") if isinstance(message, dict) else ""
    return content if isinstance(content, str) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _amount(number: object) -> str | None:
    if isinstance(number, bool) or not isinstance(number, int | float) or number < 0:
        return None
    return repr(number) if isinstance(number, float) else str(number)
