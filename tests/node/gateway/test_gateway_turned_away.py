"""A request that one upstream turned away stands in line for the others, like one that was never sent."""

from __future__ import annotations

import asyncio
from typing import Any

from fake_mlx import STREAM_HEAD, chunk, hangs, head
from gateway_harness import QUICK, Start, sidecar, text_of, until
from msgspec.structs import replace

from fleet.traffic.config import Retries

PATIENT = replace(QUICK, queue_seconds=20)
WHOLE = STREAM_HEAD + chunk(content="x") + chunk("stop") + b"data: [DONE]\n\n"


async def busy_pair(start: Start, mlx: Any, **timeouts: Any) -> Any:
    """Two upstreams: one with its only place taken, and one that has a request which it may refuse."""
    full, roomy = await mlx(hangs), await mlx(hangs)
    gateway = await start(
        sidecar(full, "full", max_in_flight=1), sidecar(roomy, "roomy", max_in_flight=2),
        timeouts=replace(PATIENT, **timeouts),
    )  # fmt: skip
    first, second = asyncio.create_task(gateway.chat(stream=True)), asyncio.create_task(gateway.chat(stream=True))
    running = await full.next()
    await roomy.next()
    third = asyncio.create_task(gateway.chat(stream=True))
    refusing = await roomy.next()
    await refusing.send(head(503) + b'{"error": "stopping"}')
    refusing.writer.close()
    return gateway, running, full, third, (first, second)


async def test_it_waits_for_a_place_at_another(start: Start, mlx: Any) -> None:
    """So a node that is drained under load costs nobody a request: those who came too late wait for the others."""
    gateway, running, full, third, others = await busy_pair(start, mlx)
    await until(lambda: [live.call.phase for live in gateway.gateway.calls].count("queued") == 1)
    await running.send(WHOLE)
    running.gone.set()
    again = await full.next()
    await again.send(WHOLE)
    again.gone.set()
    answer = await third
    assert (answer.status, answer.headers["x-fleet-upstream"], answer.headers["x-fleet-attempts"]) == (200, "full", "2")
    assert text_of(await answer.read()) == "x"
    for one in others:
        one.cancel()


async def test_it_waits_no_longer_than_anybody_may_and_is_told_what_turned_it_away(start: Start, mlx: Any) -> None:
    *_, third, others = await busy_pair(start, mlx, queue_seconds=0.1)
    answer = await third
    assert answer.status == 503
    assert "roomy: " in (await answer.json())["error"]["message"]
    for one in others:
        one.cancel()


async def test_who_met_nobody_is_sent_on_whatever_the_budget_of_retries_says(start: Start, mlx: Any) -> None:
    """What refuses connections is out at once: no storm can come of it, so that a stopped node costs no request."""
    dead, good = await mlx(), await mlx()
    gateway = await start(sidecar(dead, "dead"), sidecar(good, "good"), retries=Retries(burst=0, ratio=0.0))
    live = gateway.gateway.upstreams.live
    await until(lambda: all(one.readiness == "ready" for one in live.values()))
    await dead.stop()
    answer = await gateway.chat()
    assert (answer.status, answer.headers["x-fleet-upstream"], answer.headers["x-fleet-attempts"]) == (200, "good", "2")
    assert gateway.gateway.attempts.retried == 1
