"""The moments at which a client may leave: how each is brought about, and when the leaving has arrived."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

from bench.cancel.client import Client, body_of, request_of
from bench.cancel.pair import FULL_EDGE, FULL_FRONT, WIDE, Gateway, Pair, until

_SETTLED_SECONDS = 0.03


class Phase(StrEnum):
    """How far a request is when its client leaves."""

    QUEUED_FRONT = "queued_front"
    """No upstream of the front has a place. Nothing was sent; its leaving has arrived when the front forgot it."""
    QUEUED_EDGE = "queued_edge"
    """The edge has it, its sidecar has no place. Its leaving has arrived when the edge forgot it."""
    PREFILL_SILENT = "prefill_silent"
    """The sidecar has it and says nothing at all."""
    PREFILL = "prefill"
    """The sidecar reads the prompt and says so by comments."""
    MID_STREAM = "mid_stream"
    """The answer has begun."""
    MID_STREAM_SILENT = "mid_stream_silent"
    """The answer has begun, and stopped: a tool call in the making."""


QUEUED = (Phase.QUEUED_FRONT, Phase.QUEUED_EDGE)
_MODEL = {Phase.QUEUED_FRONT: FULL_FRONT, Phase.QUEUED_EDGE: FULL_EDGE}
_SWITCHES = {
    Phase.PREFILL_SILENT: "@@hang@@",
    Phase.PREFILL: "@@first=60000@@" + " x" * 8000,  # a step of one token: a comment every 15 ms
    Phase.MID_STREAM: "@@tokens=4000,gap=10@@",
    Phase.MID_STREAM_SILENT: "@@tokens=4000,gap=1,stall=2600@@",
}


def prompt_of(phase: Phase) -> str:
    """What brings the sidecar there. Never the same twice: a prompt that it knows has no prefill."""
    return f"{secrets.token_hex(8)} {_SWITCHES.get(phase, '')}"


@asynccontextmanager
async def held(pair: Pair, phase: Phase) -> AsyncIterator[None]:
    """The one place is taken meanwhile, for a phase that waits for it."""
    if phase not in QUEUED:
        yield
        return
    body = body_of("chat", model=_MODEL[phase], prompt="@@hang@@", stream=False)
    holder = await Client.asks(pair.front.port, request_of("chat", body))
    try:
        await pair.mlx.next()
        yield
    finally:
        holder.leave()
        await until(pair.idle)


async def left(pair: Pair, surface: str, phase: Phase, *, stream: bool, reset: bool = False) -> float:
    """Ask, leave in that phase, and wait until the leaving arrived: after how many seconds. Raises TimeoutError."""
    body = body_of(surface, model=_MODEL.get(phase, WIDE), prompt=prompt_of(phase), stream=stream)
    client = await Client.asks(pair.front.port, request_of(surface, body))
    try:
        if phase in QUEUED:
            gateway = pair.front if phase is Phase.QUEUED_FRONT else pair.edge
            await until(lambda: _queued(gateway))
            at = client.leave(reset=reset)
            await until(lambda: _forgotten(gateway))
            return time.monotonic() - at
        exchange = await pair.mlx.next()
        if phase is Phase.PREFILL:
            await asyncio.sleep(_SETTLED_SECONDS)  # some comments are on their way
        elif phase in (Phase.MID_STREAM, Phase.MID_STREAM_SILENT):
            if stream:
                await client.hear(b"w3 ")
            await until(lambda: exchange.generated_tokens > 3)
        if phase is Phase.MID_STREAM_SILENT:
            await asyncio.sleep(_SETTLED_SECONDS)
        if exchange.gone.is_set():
            raise RuntimeError("the sidecar was left before its client left")
        at = client.leave(reset=reset)
        await asyncio.wait_for(exchange.gone.wait(), 2.0)
        return (exchange.closed_at or 0.0) - at
    finally:
        client.leave()


async def _queued(gateway: Gateway) -> bool:
    return any(one["phase"] == "queued" for one in await gateway.requests())


async def _forgotten(gateway: Gateway) -> bool:
    """Only the one that holds the place is left."""
    return await gateway.in_flight() == 1
