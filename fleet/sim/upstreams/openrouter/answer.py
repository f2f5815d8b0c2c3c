"""The answers of OpenRouter: chunks of a stream, and whole ones. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from fleet.sim.upstreams.faults import Faults
from fleet.sim.upstreams.script import Script
from fleet.sim.upstreams.wire import Frame, Kind

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_ARGUMENT_PIECE = 7
PROCESSING = Frame(Kind.COMMENT, b" OPENROUTER PROCESSING")


def encoded(value: Any) -> bytes:
    """JSON; a Decimal is a number, exact."""
    return _ENCODER.encode(value)


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One answer: who gives it, to what, at which price."""

    id: str
    model: str
    provider: str
    created: int
    script: Script
    cost: Decimal
    chat: bool
    faults: Faults

    @property
    def usage(self) -> dict[str, Any]:
        """As every answer carries it."""
        script = self.script
        return {
            "prompt_tokens": script.prompt_tokens,
            "completion_tokens": script.completion_tokens,
            "total_tokens": script.prompt_tokens + script.completion_tokens,
            "cost": self.cost,
            "is_byok": False,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "cost_details": {"upstream_inference_cost": None},
            "completion_tokens_details": {"reasoning_tokens": len(script.thoughts)},
        }

    def frames(self) -> Iterator[Frame]:
        """The stream, as it is when nothing goes wrong."""
        script = self.script
        for thought in script.thoughts if self.chat else ():
            details = [{"type": "reasoning.text", "text": thought, "index": 0}]
            yield self._chunk({"content": "", "reasoning": thought, "reasoning_details": details})
        if script.call is not None and not self.faults.dropped:
            yield from self._call()
        for piece in script.pieces:
            yield self._chunk({"content": piece} if self.chat else piece)
        yield self._chunk({"content": ""} if self.chat else "", finish=self._finish)
        usage = {**self._top, "choices": [], "usage": self.usage}
        yield Frame(Kind.USAGE, encoded(usage))
        yield Frame(Kind.DONE, b"[DONE]")

    def whole(self) -> dict[str, Any]:
        """The unary answer."""
        script = self.script
        choice: dict[str, Any] = {"index": 0, "finish_reason": self._finish, "native_finish_reason": self._finish}
        if self.faults.nofinish:
            choice["finish_reason"] = None
        if self.faults.choice_error:
            choice |= {"finish_reason": "error", "error": {"code": 502, "message": "Provider disconnected"}}
        choice |= {"message": self._message(script)} if self.chat else {"text": script.text}
        kind = "chat.completion" if self.chat else "text_completion"
        found = {**self._top, "object": kind, "choices": [choice]}
        return found if self.faults.nousage else {**found, "usage": self.usage}

    def failure(self) -> bytes:
        """The chunk that ends a stream midway. Its code is a number or a word, by the switches."""
        code = self.faults.code or 502
        if isinstance(code, str) and code.isdecimal() and len(code) < 6:
            code = int(code)
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": "error"}
        error: dict[str, Any] = {"code": code, "message": "Provider disconnected unexpectedly"}
        if self.faults.type is not None:
            error["metadata"] = {"error_type": self.faults.type}
        return encoded({**self._top, "error": error, "choices": [] if self.faults.empty else [choice]})

    @property
    def _top(self) -> dict[str, Any]:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        return {
            "id": self.id,
            "provider": self.provider,
            "model": self.model,
            "object": kind,
            "created": self.created,
        }

    @property
    def _finish(self) -> str:
        return self.script.finish if self.faults.finish is None else self.faults.finish

    def _chunk(self, said: Any, *, finish: str | None = None) -> Frame:
        shown = finish if finish is not None else "" if self.faults.emptyfinish else None
        choice: dict[str, Any] = {"index": 0, "finish_reason": shown, "native_finish_reason": finish, "logprobs": None}
        choice |= {"delta": {"role": "assistant", **said}} if self.chat else {"text": said}
        return Frame(
            Kind.TEXT if finish is None else Kind.FINISH,
            encoded({**self._top, "choices": [choice]}),
            tokens=1 if finish is None else 0,
        )

    def _call(self) -> Iterator[Frame]:
        call = self.script.call
        assert call is not None
        first = {"index": 0, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield self._chunk({"content": None, "tool_calls": [first]})
        for at in range(0, len(call.arguments), _ARGUMENT_PIECE):
            piece = {"arguments": call.arguments[at : at + _ARGUMENT_PIECE]}
            yield self._chunk({"tool_calls": [{"index": 0, "function": piece}]})

    def _message(self, script: Script) -> dict[str, Any]:
        found: dict[str, Any] = {"role": "assistant", "content": script.text, "refusal": None}
        if script.thoughts:
            found["reasoning"] = "".join(script.thoughts)
        if script.call is not None and not self.faults.dropped:
            call = script.call
            function = {"name": call.name, "arguments": call.arguments}
            found |= {
                "content": None,
                "tool_calls": [{"index": 0, "id": call.id, "type": "function", "function": function}],
            }
        return found
