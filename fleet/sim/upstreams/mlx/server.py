"""The simulated `mlx_lm server`: HTTP/1.0, ended by EOF, blind to a client that left until it writes."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from fleet.sim.upstreams.faults import NONE, Faults
from fleet.sim.upstreams.http import Exchange
from fleet.sim.upstreams.mlx.answer import Voice
from fleet.sim.upstreams.mlx.checks import problem
from fleet.sim.upstreams.script import prompt_of, script, switches, token_count
from fleet.sim.upstreams.simulated import SimulatedUpstream
from fleet.sim.upstreams.wire import Frame, Kind, Wire, before_headers, event, troubled

_SERVER = {"Server": "BaseHTTP/0.6 Python/3.11.7", "Access-Control-Allow-Origin": "none"}
_JSON = {**_SERVER, "Content-type": "application/json"}
_STREAM = {**_SERVER, "Content-type": "text/event-stream", "Cache-Control": "no-cache"}
_DEFAULT_TOKENS = 512
_PATHS = {"/v1/chat/completions": True, "/chat/completions": True, "/v1/completions": False}
_PING = [{"role": "user", "content": "ping"}]


class Mode(StrEnum):
    """How the server is."""

    OK = "ok"
    ZOMBIE = "zombie"
    """/health says 200, every completion hangs: 0.32.0 and before, with a dead generation thread."""
    DEAD = "dead"
    """/health says 503, completions 404: the same thread, 0.32.2."""
    RUDE = "rude"
    """Bad parameters close the connection without an answer: 0.32.0 and before."""


class SimulatedMlx(SimulatedUpstream):
    """`async with SimulatedMlx() as mlx:` then ask `mlx.url` + `/v1/...`.

    `faults` hold for every request but probes that does not say otherwise in its prompt; `times` of them are left.
    `swap_seconds` is what the attempt to load another model takes, `step_tokens` one step of the prefill.
    """

    def __init__(self, *, mode: Mode = Mode.OK, cache_entries: int = 10, step_tokens: int = 2048) -> None:
        super().__init__(self._handle)
        self.mode = mode
        self.swap_seconds = 0.0
        self._step_tokens = step_tokens
        self._cache: deque[str] = deque(maxlen=cache_entries)
        self._arrived: asyncio.Queue[Exchange] = asyncio.Queue()

    async def next(self, *, within: float = 5.0) -> Exchange:
        """The next completion that is no probe. Raises TimeoutError."""
        async with asyncio.timeout(within):
            return await self._arrived.get()

    async def _handle(self, exchange: Exchange) -> None:
        request = exchange.request
        match request.method, request.path:
            case "GET", "/health":
                dead = self.mode is Mode.DEAD
                await _say(exchange, 503 if dead else 200, {"status": "unavailable" if dead else "ok"})
            case "GET", path if path.startswith("/v1/models"):
                listed = [{"id": "/models/simulated", "object": "model", "created": int(time.time())}]
                await _say(exchange, 200, {"object": "list", "data": listed})
            case "POST", path if path in _PATHS:
                await self._complete(exchange, chat=_PATHS[path])
            case _, path if path.startswith("/_sim/"):
                await self._control(exchange)
            case _:
                await exchange.head(404, _JSON, version="1.0")
                await exchange.send(b"Not Found")

    async def _complete(self, exchange: Exchange, *, chat: bool) -> None:
        body = exchange.request.json
        probe = isinstance(body, Mapping) and body.get("max_tokens") == 1 and body.get("messages") == _PING
        self.exchanges.append(exchange)
        faults = NONE
        if not probe:
            self._arrived.put_nowait(exchange)
            faults = (switches(body) if isinstance(body, Mapping) else NONE).over(self._server_faults())
        await before_headers(exchange, faults)
        if self.mode is Mode.ZOMBIE:
            await exchange.hang()
        found = problem(body, chat=chat)
        if found is not None and found[0] == 400 and self.mode is Mode.RUDE:
            exchange.hang_up()
            return
        if faults.err is not None:
            found = faults.err, "simulated failure"
        elif self.mode is Mode.DEAD and (found is None or found[0] == 404):
            found = 404, "generation thread died"
        if found is not None:
            if found[0] == 404:
                await exchange.pause(self.swap_seconds, blind=True)
            await _say(exchange, found[0], {"error": found[1]})
            return
        if faults.body_error:
            await _say(exchange, 200, {"error": "simulated failure"})
            return
        voice = self._voice(body, faults, chat=chat)
        if body.get("stream") is True:
            await self._stream(exchange, voice)
        else:
            await self._whole(exchange, voice)

    def _server_faults(self) -> Faults:
        if self.times is not None:
            self.times -= 1
            if self.times < 0:
                self.faults, self.times = NONE, None
        return self.faults

    def _voice(self, body: Mapping[str, Any], faults: Faults, *, chat: bool) -> Voice:
        prompt = prompt_of(body)
        common = max((_common(prompt, old) for old in self._cache), default=0)
        self._cache.append(prompt)
        return Voice(
            id=f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4()}",
            created=int(time.time()),
            script=script(body, faults, default_tokens=_DEFAULT_TOKENS),
            cached_tokens=min(common // 4, token_count(prompt) - 1),
            chat=chat,
            faults=faults,
            options=body.get("stream_options"),
        )

    async def _stream(self, exchange: Exchange, voice: Voice) -> None:
        faults = voice.faults
        wire = Wire(exchange, faults)
        await exchange.head(200, _STREAM, version="1.0")
        await self._prefill(exchange, voice, wire)
        for frame in troubled(voice.frames(), faults, error=voice.failure()):
            if frame.kind is Kind.TEXT:
                await exchange.pause(faults.gap / 1000, blind=True)
                if voice.script.call is not None:
                    await exchange.pause(faults.silent / 1000, blind=True)  # not a byte, and nobody looks
                exchange.generated_tokens += frame.tokens
            await wire.write(event(frame, faults))

    async def _prefill(self, exchange: Exchange, voice: Voice, wire: Wire) -> None:
        """A comment a step; between them nothing notices a client that left."""
        total, done = voice.script.prompt_tokens, voice.cached_tokens
        steps = max(1, -(-(total - done) // self._step_tokens))
        for _ in range(steps):
            await exchange.pause(voice.faults.first / 1000 / steps, blind=True)
            done = min(total, done + self._step_tokens)
            await wire.write(event(Frame(Kind.COMMENT, b" keepalive %d/%d" % (done, total)), voice.faults))

    async def _whole(self, exchange: Exchange, voice: Voice) -> None:
        """To the end, whether or not somebody waits."""
        faults = voice.faults
        await exchange.pause(faults.first / 1000, blind=True)
        for _ in range(voice.script.completion_tokens):
            if faults.gap:
                await exchange.pause(faults.gap / 1000, blind=True)
            exchange.generated_tokens += 1
        data = json.dumps(voice.whole()).encode()
        await exchange.head(200, {**_JSON, "Content-Length": str(len(data))}, version="1.0")
        await Wire(exchange, faults).write(data)

    async def _control(self, exchange: Exchange) -> None:
        """The door of tests that have it as a process. No text of a prompt."""
        body = exchange.request.json
        match exchange.request.method, exchange.request.path:
            case "POST", "/_sim/faults" if isinstance(body, Mapping):
                times = body.get("times")
                self.trouble(str(body.get("faults", "")), times=times if isinstance(times, int) else None)
                if body.get("mode") in list(Mode):
                    self.mode = Mode(body["mode"])
                await _say(exchange, 200, {"ok": True})
            case "GET", "/_sim/requests":
                told = [
                    {
                        "path": one.request.path,
                        "generated_tokens": one.generated_tokens,
                        "seconds": None if one.ended_at is None else one.ended_at - one.arrived_at,
                        "client_left_seconds": None if one.closed_at is None else one.closed_at - one.arrived_at,
                    }
                    for one in self.exchanges
                ]
                await _say(exchange, 200, {"requests": told})
            case _:
                await _say(exchange, 404, {"error": "no such control"})


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


async def _say(exchange: Exchange, status: int, body: Mapping[str, Any]) -> None:
    await exchange.head(status, _JSON, version="1.0")
    await exchange.send(json.dumps(body).encode())
