"""Names of upstreams: a resolver that hangs or fails is the trouble of those that have names, of nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gateway_harness import sidecar, until

from fleet.traffic.config import Upstream


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """Set at the end: what waits for it in a thread is let go."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_resolver_that_hangs_keeps_nobody_from_our_own_machines(
    start: Any, mlx: Any, stuck: threading.Event
) -> None:
    gateway = await start(sidecar(await mlx()))
    await until(lambda: gateway.gateway.upstreams.live["mini-1.chat"].proven_at)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    waiting = loop.run_in_executor(None, stuck.wait)
    answer = await gateway.chat()
    assert answer.status == 200, await answer.text()
    stuck.set()
    await waiting


async def test_a_name_that_cannot_be_one_is_an_upstream_out_of_reach_and_no_crash(start: Any) -> None:
    url = f"https://{'a' * 70}.example"
    api = Upstream(name="odd", kind="api", url=url, engine="openai_compatible", serves="smol", model="m")
    gateway = await start(api)
    answer = await gateway.chat()
    assert answer.status == 503
    assert (await answer.json())["error"]["message"] == "odd: its name is not known"
