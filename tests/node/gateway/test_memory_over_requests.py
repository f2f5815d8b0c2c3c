"""What a gateway keeps after requests: nothing of them. And what it is made of: little."""

from __future__ import annotations

import asyncio
import gc
import re
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import aiohttp
from gateway_harness import HELLO, KEY, Running, Start, until
from surface_kit import SURFACES

from fleet.node.gateway.answering import Answering
from fleet.node.gateway.call import Call, LiveCall
from fleet.node.gateway.places import Place
from fleet.node.gateway.sink import SignsOfLife
from fleet.node.gateway.watch import Watch
from fleet.node.gateway.wire import Wire
from fleet.sim.upstreams.mlx import SimulatedMlx
from fleet.traffic.chat_stream import ChatStreamReader
from fleet.traffic.config import Breaker, Probing, Retries, Route, Timeouts, Upstream

ROOT = Path(__file__).resolve().parents[3]
OF_A_REQUEST = (Answering, Call, ChatStreamReader, LiveCall, Place, SignsOfLife, Watch, Wire)
TROUBLE = ["", "cut=300", "err=500", "err=400", "drop", "hang", "stall=300", "midfail=1", "nodone", "malformed=1"]


def _alive() -> Counter[str]:
    """What there is of a request, in the whole process."""
    gc.collect()
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, OF_A_REQUEST))


async def _gateway(start: Start, mlx: SimulatedMlx) -> Running:
    upstream = Upstream(
        name="a.chat",
        kind="sidecar",
        url=mlx.url,
        engine="mlx_lm",
        serves="own",
        model="default_model",
        max_in_flight=400,
    )
    hurried = Timeouts(first_token_seconds=0.3, idle_seconds=0.3, commit_seconds=0.05)
    return await start(
        upstream,
        routes=(
            Route(name="own", upstreams=("a.chat",)),
            Route(name="hurried", upstreams=("a.chat",), timeouts=hurried),
        ),
        breaker=Breaker(failures=10**6),
        retries=Retries(burst=0, ratio=0.0),
        probing=Probing(idle_seconds=3600),
        timeouts=Timeouts(),
    )


async def _leaves(gateway: Running, *, stream: bool) -> None:
    async with aiohttp.ClientSession() as session:
        messages = [{"role": "user", "content": "x @@tokens=500,gap=20@@"}]
        body = {"model": "own", "messages": messages, "stream": stream}
        post = session.post(f"{gateway.url}/v1/chat/completions", json=body, headers={"x-api-key": KEY})
        task = asyncio.ensure_future(post.__aenter__())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled():
            task.result().close()


async def _round(gateway: Running) -> None:
    """Some of everything that can become of a request."""
    asking = [
        surface.ask(gateway, f"hi @@{switches}@@", stream=stream, model="hurried")
        for surface in SURFACES.values()
        for switches in TROUBLE
        for stream in (True, False)
    ]
    await asyncio.gather(*asking, *(_leaves(gateway, stream=at % 2 == 0) for at in range(6)))
    await until(lambda: not len(gateway.gateway.calls))
    assert {"ok", "refused", "failed", "truncated", "cancelled"} <= {*gateway.books.words}
    gateway.books.outcomes.clear()


async def test_whatever_becomes_of_requests_nothing_of_them_stays(start: Start) -> None:
    """LiteLLM#12685, #15128, #25219, #27954: memory that only ever grows."""
    async with SimulatedMlx() as mlx:
        gateway = await _gateway(start, mlx)
        await _round(gateway)
        mlx.exchanges.clear()
        before, tasks = _alive(), len(asyncio.all_tasks())
        for _ in range(2):
            await _round(gateway)
        await until(lambda: not any(_alive()[name] > before[name] for name in _alive()))
        await until(lambda: len(asyncio.all_tasks()) <= tasks + 4)  # those of kept connections
        live = gateway.gateway.upstreams.live["a.chat"]
        assert (live.in_flight, live.outstanding_tokens) == (0, 0)


async def test_a_stream_of_any_length_takes_no_thread(start: Start) -> None:
    """LiteLLM#6404: one for each chunk, and each of them stayed."""
    async with SimulatedMlx() as mlx:
        gateway = await _gateway(start, mlx)
        await SURFACES["chat"].ask(gateway, "hi", stream=True, model="own")
        before = threading.active_count()
        for surface in SURFACES.values():
            answer = await surface.ask(gateway, "hi @@tokens=3000@@", stream=True, model="own", max_tokens=3000)
            assert answer.text is not None
        assert threading.active_count() <= before


async def test_hundreds_of_streams_at_once_are_all_answered(start: Start) -> None:
    """production-stack#448 died of a thousand users; a thousand and two are the bench's (docs/performance.md)."""
    async with SimulatedMlx() as mlx:
        gateway = await _gateway(start, mlx)
        headers, body = {"x-api-key": KEY}, {"model": "own", "messages": HELLO, "stream": True}
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def one() -> bool:
                async with session.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers) as answer:
                    return (await answer.read()).endswith(b"data: [DONE]\n\n")

            assert all(await asyncio.gather(*(one() for _ in range(300))))


def test_a_gateway_loads_no_sdk_no_second_http_client_and_no_screen() -> None:
    """512 MB were not enough to import LiteLLM; production-stack#569 was slow for its httpx."""
    code = "import sys, fleet.node.gateway.service; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    others = {
        "anthropic",
        "httpx",
        "httpx2",
        "litellm",
        "numpy",
        "openai",
        "pandas",
        "paramiko",
        "pydantic",
        "requests",
    }
    assert not others & {*loaded}
    assert not {"ansible", "click", "fabric", "jinja2", "rich", "textual", "yaml"} & {*loaded}


def test_nodes_install_few_packages_all_of_them_by_hash_and_never_litellm() -> None:
    """BerriAI/litellm#24512: a release with malware. Nothing that is not in the lock, with its hash, reaches a node."""
    lock = (ROOT / "locks" / "node.lock").read_text()
    named = re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE)
    wanted = [line for line in (ROOT / "locks" / "node.in").read_text().splitlines() if line and line[0] not in "#-"]
    assert "litellm" not in named
    assert len(wanted) <= 8
    entries = re.split(r"^(?=[a-z0-9._-]+==)", lock, flags=re.MULTILINE)[1:]
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
