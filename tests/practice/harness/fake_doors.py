"""Servers in this process: what a harness asks, without a socket. They answer by script, bill, fail and count."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fleet.practice.harness.door import NotSent
from fleet.practice.harness.urldoor import UrlReading

Say = Callable[[dict[str, Any]], str | list[tuple[str, dict[str, Any]]]]
"""From a request to a text, or to calls of tools."""


@dataclass
class FakeDoor:
    """`usd_per_token` is billed for what it says and hears. `fail` gives a status, "cut" or "shut" for some."""

    say: Say = lambda request: "ok"
    usd_per_token: float = 0.0
    told: bool = True
    fail: Callable[[int], int | str | None] = lambda number: None
    listed: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    billed_usd: float = 0.0
    before: Callable[[], None] = lambda: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def models(self) -> bytes:
        return json.dumps({"data": self.listed}).encode()

    @contextmanager
    def ask(self, body: bytes) -> Iterator[UrlReading]:
        request = json.loads(body)
        with self.lock:
            self.asked.append(request)
            failing = self.fail(len(self.asked))
        self.before()
        if failing == "shut":
            raise NotSent("nobody listens")
        if isinstance(failing, int):
            yield UrlReading(failing, {"content-type": "application/json"}, iter([b'{"error": {"message": "no"}}']))
            return
        yield UrlReading(200, {"content-type": "text/event-stream"}, iter(self._stream(request, cut=failing == "cut")))

    def _stream(self, request: dict[str, Any], *, cut: bool) -> list[bytes]:
        said = self.say(request)
        heard = sum(len(str(message.get("content") or "")) for message in request["messages"]) // 4 + 1
        if isinstance(said, str):
            delta: dict[str, Any] = {"content": said}
            finish, tokens = "stop", len(said) // 4 + 1
        else:
            calls = [
                {"index": at, "id": f"call-{len(request['messages'])}-{at}", "type": "function",
                 "function": {"name": name, "arguments": json.dumps(arguments)}}
                for at, (name, arguments) in enumerate(said)
            ]  # fmt: skip
            delta, finish, tokens = {"tool_calls": calls}, "tool_calls", 20
        usage: dict[str, Any] = {"prompt_tokens": heard, "completion_tokens": tokens}
        cost = (heard + tokens) * self.usd_per_token
        with self.lock:
            self.billed_usd += cost
        if self.told:
            usage["cost"] = cost
        chunks = [
            {"model": "sim/model", "choices": [{"index": 0, "delta": {"role": "assistant", **delta}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
            {"choices": [], "usage": usage},
        ]
        lines = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
        return lines[:1] if cut else [*lines, b"data: [DONE]\n\n"]
