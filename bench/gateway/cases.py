"""What is asked of a target: loads and their bodies. Pure.

A run of 16 `#` becomes a number that no other request has (load.c); it stands at the very beginning of the text, so
that nothing of a prompt can be remembered. `@@...@@` tells the mock what to do (mock.c).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bench.gateway.rows import CASES

FRESH = "################"
_TOOLS = 24
_SYSTEM_BYTES = 60_000


@dataclass(frozen=True)
class Dialect:
    """A surface: its path, what marks a chunk's line, and headers that it wants."""

    path: str = "/v1/chat/completions"
    chunk_mark: str | None = None
    headers: tuple[str, ...] = ()


CHAT = Dialect()
MESSAGES = Dialect("/v1/messages", '"text_delta"', ("anthropic-version: 2023-06-01",))
RESPONSES = Dialect("/v1/responses", '"response.output_text.delta"')


@dataclass(frozen=True)
class Case:
    """One load. `seconds` of a closed loop after `warm_seconds`; or `rounds` of streams, begun within `spread_ms`.

    `chunks` come `delay_ms` apart. After `limit_seconds` a run is given up: what is
    missing then has failed.
    """

    name: str
    connections: int
    seconds: float = 0
    warm_seconds: float = 0
    rounds: int = 0
    spread_ms: int = 0
    chunks: int = 0
    delay_ms: int = 0
    agent: bool = False
    limit_seconds: float = 100

    @property
    def streams(self) -> bool:
        """Streams, not a closed loop of unary requests."""
        return self.rounds > 0

    def arguments(self, dialect: Dialect) -> tuple[str, ...]:
        """For the load client, without port and body."""
        if self.streams:
            shape: tuple[object, ...] = ("-s", "-r", self.rounds, "-S", self.spread_ms, "-T", self.limit_seconds)
            shape += ("-D", dialect.chunk_mark) if dialect.chunk_mark else ()
        else:
            shape = ("-u", "-d", self.seconds, "-w", self.warm_seconds)
        headers = tuple(word for header in dialect.headers for word in ("-H", header))
        return tuple(str(word) for word in (*shape, "-c", self.connections, "-P", dialect.path)) + headers

    def body(self, dialect: Dialect, model: str) -> bytes:
        """The request in the dialect's words, the text first."""
        told = f" @@chunks={self.chunks},delay={self.delay_ms}@@" if self.streams else ""
        system = FRESH + " You are a careful assistant." * (_SYSTEM_BYTES // 29) if self.agent else None
        asked = f"{FRESH} Say something.{told}"
        fields: dict[str, Any] = {"model": model}
        if dialect.path == RESPONSES.path:
            fields |= {"input": asked, "max_output_tokens": 512}
        else:
            system_message = [{"role": "system", "content": system}] if system else []
            fields |= {"messages": [*system_message, {"role": "user", "content": asked}], "max_tokens": 512}
        if self.agent:
            fields["tools"] = [_tool(i) for i in range(_TOOLS)]
        if self.streams:
            fields["stream"] = True
            if dialect.path == CHAT.path:
                fields["stream_options"] = {"include_usage": True}
        return json.dumps(fields, separators=(",", ":")).encode()


def _tool(number: int) -> dict[str, Any]:
    fields = {f"p{j}": {"type": "string", "description": "a parameter " * 6} for j in range(8)}
    parameters = {"type": "object", "properties": fields, "required": ["p0"]}
    described = {"name": f"tool_{number}", "description": "Does a thing with care. " * 12, "parameters": parameters}
    return {"type": "function", "function": described}


WARM_UP = Case("warm_up", 64, seconds=1.5)
UNARY_C1 = Case("unary_c1", 1, seconds=2, warm_seconds=0.3)
UNARY_C64 = Case("unary_c64", 64, seconds=3, warm_seconds=1)
AGENT_92K = Case("agent_92k", 1, seconds=2, warm_seconds=0.3, agent=True)
STREAM_200 = Case("stream_200", 200, rounds=2, spread_ms=100, chunks=64, delay_ms=10)
STREAM_1000 = Case("stream_1000", 1000, rounds=1, spread_ms=500, chunks=64, delay_ms=50)
STREAM_2000 = Case("stream_2000", 2000, rounds=1, spread_ms=1000, chunks=24, delay_ms=200)
ALL = (UNARY_C1, UNARY_C64, AGENT_92K, STREAM_200, STREAM_1000, STREAM_2000)
if tuple(case.name for case in ALL) != CASES:
    raise AssertionError("the cases are those of the rows")
