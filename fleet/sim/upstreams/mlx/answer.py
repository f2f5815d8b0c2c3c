"""The answers of `mlx_lm server` 0.32.2, field for field as recorded. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.sim.upstreams.faults import Faults
from fleet.sim.upstreams.script import Script
from fleet.sim.upstreams.wire import Frame, Kind

_FINGERPRINT = "0.32.2-0.32.4-simulated"


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One answer. `options` are the request's stream_options: usage comes only when they ask for it."""

    id: str
    created: int
    script: Script
    cached_tokens: int
    chat: bool
    faults: Faults
    options: Any = None

    @property
    def usage(self) -> dict[str, Any]:
        """With the tokens that came from the cache."""
        script = self.script
        return {
            "prompt_tokens": script.prompt_tokens,
            "completion_tokens": script.completion_tokens,
            "total_tokens": script.prompt_tokens + script.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }

    def frames(self) -> Iterator[Frame]:
        """The stream. Without include_usage in stream_options it breaks off before [DONE], as the server does."""
        script = self.script
        for thought in script.thoughts if self.chat else ():
            yield self._chunk({"reasoning": thought}, tokens=1)
        for piece in script.pieces:
            yield self._chunk({"content": piece} if self.chat else piece, tokens=1)
        if script.call is not None and not self.faults.dropped:
            tokens = script.completion_tokens - len(script.thoughts)
            yield self._chunk({"tool_calls": [{**self._call(), "index": 0}]}, tokens=tokens)
        yield self._chunk({} if self.chat else "", finish=self._finish)
        if isinstance(self.options, Mapping):
            if "include_usage" not in self.options:
                return
            if self.options["include_usage"]:
                # The server's own slip: not "chat.completion.chunk".
                usage = {**self._top, "object": "chat.completion", "choices": [], "usage": self.usage}
                yield Frame(Kind.USAGE, json.dumps(usage).encode())
        yield Frame(Kind.DONE, b"[DONE]")

    def whole(self) -> dict[str, Any]:
        """The unary answer."""
        script = self.script
        choice: dict[str, Any] = {"index": 0, "finish_reason": None if self.faults.nofinish else self._finish}
        if self.chat:
            message: dict[str, Any] = {"role": "assistant", "content": script.text or None}
            if script.thoughts:
                message["reasoning"] = "".join(script.thoughts)
            if script.call is not None and not self.faults.dropped:
                message["tool_calls"] = [self._call()]
            choice["message"] = message
        else:
            choice["text"] = script.text
        kind = "chat.completion" if self.chat else "text_completion"
        return {**self._top, "object": kind, "choices": [choice], "usage": self.usage}

    def failure(self) -> bytes:
        """What the server itself never says, but a proxy before it might."""
        return json.dumps({"error": {"message": "generation failed", "code": self.faults.code}}).encode()

    @property
    def _top(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "system_fingerprint": _FINGERPRINT,
            "object": "chat.completion.chunk" if self.chat else "text_completion",
            "model": "default_model",
            "created": self.created,
        }

    @property
    def _finish(self) -> str:
        return self.script.finish if self.faults.finish is None else self.faults.finish

    def _chunk(self, said: Any, *, finish: str | None = None, tokens: int = 0) -> Frame:
        shown = finish if finish is not None else "" if self.faults.emptyfinish else None
        choice: dict[str, Any] = {"index": 0, "finish_reason": shown}
        choice |= {"delta": {"role": "assistant", **said}} if self.chat else {"text": said}
        data = json.dumps({**self._top, "choices": [choice]}).encode()
        return Frame(Kind.TEXT if finish is None else Kind.FINISH, data, tokens=tokens)

    def _call(self) -> dict[str, Any]:
        call = self.script.call
        assert call is not None
        number = uuid.uuid5(uuid.NAMESPACE_OID, call.id)
        return {
            "function": {"name": call.name, "arguments": call.arguments},
            "type": "function",
            "id": str(number),
        }
