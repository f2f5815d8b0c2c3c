"""Show 3: a real gateway process under load, its gray share counted at the simulated API in the order of arrival.

Through a SIGHUP and a kill -9: at every prefix gray <= floor(share * all), and at the end nearly all of it is used.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from gateway_harness import until
from policy_kit import GRAY, GRAY_ROUTES, TERMS, text_of_key, write_front

from fleet.sim.ports import free_port
from fleet.sim.upstreams.mlx import SimulatedMlx
from fleet.sim.upstreams.openrouter import SimulatedOpenRouter
from fleet.traffic.config import Listen, Queue, Retries, Timeouts
from fleet.traffic.policy import GrayTerms, Policy

OWL = "sim/owl-alpha"
CONNECTIONS = 64
BURST = 16
"""With 64 at once their answers begin together: one credit at a time would be full before the next request comes."""
PATIENT = Timeouts(first_token_seconds=60, idle_seconds=60, total_seconds=120, queue_seconds=60)


class Front:
    """The process: `begin` and `kill` it, tell it to read its configuration anew."""

    def __init__(self, config: Path, port: int, http: aiohttp.ClientSession) -> None:
        self._config = config
        self._http = http
        self.url = f"http://127.0.0.1:{port}"
        self.process: Process | None = None

    async def begin(self) -> None:
        argv = (sys.executable, "-s", "-m", "fleet.node.gateway", "--config", str(self._config))
        self.process = await asyncio.create_subprocess_exec(*argv, stderr=DEVNULL)
        async with asyncio.timeout(30):
            while not await self._ready():
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def hang_up(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGHUP)

    async def _ready(self) -> bool:
        try:
            async with self._http.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


async def load(front: Front, http: aiohttp.ClientSession, requests: int, *, done: list[int]) -> None:
    """So many answered requests at 64 connections; what the killed front did not answer is asked again."""
    left = iter(range(requests))
    headers = {"Authorization": f"Bearer {text_of_key('gray')}"}
    body = {"model": "cheap", "messages": [{"role": "user", "content": "a b c d"}], "max_tokens": 5}

    async def client() -> None:
        for _ in left:
            while True:
                try:
                    async with http.post(f"{front.url}/v1/chat/completions", json=body, headers=headers) as answer:
                        await answer.read()
                        if answer.status == 200:
                            break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.02)
            done.append(1)

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))


async def story(folder: Path, requests: int, *, token_share: str | None) -> SimulatedOpenRouter:
    async with AsyncExitStack() as stack:
        openrouter = await stack.enter_async_context(SimulatedOpenRouter())
        mlx = await stack.enter_async_context(SimulatedMlx())
        http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS + 1))
        )
        port = free_port()
        terms = GrayTerms(share="0.10", unlabelled=True, burst=BURST, token_share=token_share)
        routes = (GRAY_ROUTES[0], msgspec.structs.replace(GRAY_ROUTES[1], gray_terms=terms))
        made: dict[str, Any] = {
            "routes": routes,
            "keys": (GRAY,),
            "listen": Listen(host="127.0.0.1", port=port),
            "timeouts": PATIENT,
            "queue": Queue(per_key=1024),
            "retries": Retries(burst=1000),
            "policy": Policy(ledger_file=str(folder / "ledger"), dollar=TERMS),
        }
        config = write_front(folder, openrouter, mlx, **made)
        front = Front(config, port, http)
        await front.begin()
        stack.push_async_callback(front.kill)
        done: list[int] = []
        loading = asyncio.ensure_future(load(front, http, requests, done=done))
        await until(lambda: len(done) >= requests // 3, within=300)
        front.hang_up()
        await until(lambda: len(done) >= 2 * requests // 3, within=300)
        await front.kill()
        await front.begin()
        await loading
        return openrouter


def of_requests(openrouter: SimulatedOpenRouter) -> tuple[int, int]:
    """Gray and all, checked at every prefix, in the order in which they arrived."""
    gray = count = 0
    for exchange in openrouter.exchanges:
        if exchange.request.method == "POST":
            count += 1
            gray += exchange.request.json["model"] == OWL
            assert gray <= count // 10, f"{gray} gray of the first {count}"
    return gray, count


def of_tokens(openrouter: SimulatedOpenRouter) -> None:
    gray = count = 0
    for one in openrouter.bill.generations:
        tokens = one.prompt_tokens + one.completion_tokens
        count += tokens
        gray += tokens if one.model == OWL else 0
        assert 10 * gray <= count, f"{gray} gray tokens of the first {count}"


async def test_gray_never_has_more_than_its_share_of_the_requests(tmp_path: Path) -> None:
    gray, count = of_requests(await story(tmp_path, 600, token_share=None))
    assert count >= 600
    assert gray >= 0.08 * count


async def test_gray_never_has_more_than_its_share_of_the_tokens(tmp_path: Path) -> None:
    openrouter = await story(tmp_path, 400, token_share="0.10")
    of_requests(openrouter)
    of_tokens(openrouter)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_of_ten_thousand_requests_gray_has_its_share_and_no_more(tmp_path: Path) -> None:
    gray, count = of_requests(await story(tmp_path, 10_000, token_share=None))
    assert gray >= 0.095 * count, f"{gray} of {count}"


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_of_the_tokens_of_ten_thousand_requests_gray_has_no_more_than_its_share(tmp_path: Path) -> None:
    openrouter = await story(tmp_path, 10_000, token_share="0.10")
    of_requests(openrouter)
    of_tokens(openrouter)
    assert any(one.model == OWL for one in openrouter.bill.generations)
