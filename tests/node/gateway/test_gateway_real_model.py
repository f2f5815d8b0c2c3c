"""A real `mlx_lm server` behind the gateway, started by the engine's own command; asked by OpenAI's own SDK."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from gateway_harness import HELLO, KEY, Running, Start, until

from fleet.engines import SidecarSpec, engine
from fleet.sim.models.tiny import make_tiny
from fleet.sim.ports import free_port
from fleet.traffic.config import Limits, Timeouts, Upstream

pytestmark = [pytest.mark.model, pytest.mark.timeout(180)]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


@dataclass
class Sidecar:
    """A running server and what it logs."""

    process: asyncio.subprocess.Process
    upstream: Upstream
    log: Path


async def started(folder: Path, model: Path, **options: Any) -> Sidecar:
    """The server, by the command that deploy would write into its plist."""
    port = free_port()
    spec = SidecarSpec(
        name="chat",
        model_path=str(model),
        serves="tiny",
        port=port,
        hub_dir=str(folder / "hf"),
        options=options,
        environment={"MLX_DISABLE_COMPILE": "1"},
    )
    command = engine("mlx_lm").command(spec)
    for directory in map(Path, command.directories):
        directory.mkdir(parents=True, exist_ok=True)
    log = folder / "sidecar.log"
    with log.open("wb") as out:
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONUNBUFFERED": "1", **command.environment}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-s", *command.argv_tail, env=environment, stdout=out, stderr=out
        )
    upstream = Upstream(
        name="chat", kind="sidecar", url=f"http://127.0.0.1:{port}", engine="mlx_lm", serves="tiny",
        model="default_model", context_tokens=8192,
    )  # fmt: skip
    return Sidecar(process, upstream, log)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("mlx_lm")
    folders = {name: tmp_path_factory.mktemp(name) for name in ("scripted", "talker")}
    for name, folder in folders.items():
        make_tiny(folder, scripted=name == "scripted")
    return folders


@pytest.fixture
async def run(tmp_path: Path, models: dict[str, Path]) -> AsyncIterator[Any]:
    running: list[Sidecar] = []

    async def go(name: str, **options: Any) -> Sidecar:
        sidecar = await started(tmp_path, models[name], **options)
        running.append(sidecar)
        return sidecar

    yield go
    for sidecar in running:
        if sidecar.process.returncode is None:
            sidecar.process.kill()
            await sidecar.process.wait()


async def ready(start: Start, sidecar: Sidecar, **changes: Any) -> Running:
    patient = Timeouts(first_token_seconds=60, idle_seconds=60)
    gateway = await start(sidecar.upstream, **{"timeouts": patient, **changes})
    live = gateway.gateway.upstreams.live["chat"]
    await until(lambda: live.readiness == "ready", within=60)
    return gateway


async def test_the_sdk_gets_text_stream_usage_and_a_tool_round_trip(start: Start, run: Any) -> None:
    gateway = await ready(start, await run("scripted"))
    client = openai.AsyncOpenAI(api_key=KEY, base_url=f"{gateway.url}/v1", max_retries=0)
    hello: Any = HELLO

    unary = await client.chat.completions.create(model="tiny", messages=hello, seed=1)
    assert unary.choices[0].message.content == "Hello from the scripted model."
    assert unary.choices[0].finish_reason == "stop"
    assert unary.model == "tiny"
    assert unary.usage is not None
    assert unary.usage.completion_tokens == 6

    options: Any = {"include_usage": True}
    stream = await client.chat.completions.create(model="tiny", messages=hello, stream=True, stream_options=options)
    chunks = [one async for one in stream]
    assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == (
        "Hello from the scripted model."
    )
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == chunks[-1].usage.prompt_tokens + 6
    assert {one.model for one in chunks} == {"tiny"}

    asked = await client.chat.completions.create(model="tiny", messages=hello, tools=TOOLS)
    (call,) = asked.choices[0].message.tool_calls or ()
    assert asked.choices[0].finish_reason == "tool_calls"
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Paris"}')
    turn: Any = [
        *hello,
        asked.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    told = await client.chat.completions.create(model="tiny", messages=turn, tools=TOOLS)
    assert told.choices[0].message.content == "It is sunny in Paris."

    async with client.chat.completions.stream(model="tiny", messages=hello, tools=TOOLS) as helper:
        final = await helper.get_final_completion()
    assert final.choices[0].message.role == "assistant"
    assert (final.choices[0].message.tool_calls or ())[0].function.name == "get_weather"

    assert [model.id async for model in client.models.list()] == ["tiny"]
    with pytest.raises(openai.BadRequestError, match="temperature"):
        await client.chat.completions.create(model="tiny", messages=hello, temperature=-1)
    with pytest.raises(openai.NotFoundError, match="tiny"):
        await client.chat.completions.create(model="gpt-4", messages=hello)
    await client.close()


async def test_many_at_once_are_all_answered(start: Start, run: Any) -> None:
    """The server's listen backlog is 5; bursts of 32 lost connections without a gateway (mlx/FACTS section 3)."""
    gateway = await ready(start, await run("scripted"))
    answers = await asyncio.gather(*(gateway.chat(model="tiny", stream=n % 2 == 0) for n in range(32)))
    assert {answer.status for answer in answers} == {200}
    bodies = await asyncio.gather(*(answer.read() for answer in answers))
    assert all(b"scripted" in body for body in bodies)
    assert gateway.books.words == ["ok"] * 32


@pytest.mark.parametrize("stream", [False, True])
async def test_generation_stops_when_the_client_leaves(start: Start, run: Any, *, stream: bool) -> None:
    """The talker would go on for 8,000 tokens; the server says how many it made only when it is let finish."""
    sidecar = await run("talker", max_tokens=8000)
    gateway = await ready(start, sidecar, limits=Limits(default_max_tokens=8000))
    asking = asyncio.create_task(gateway.chat(model="tiny", stream=stream))
    live = gateway.gateway.upstreams.live["chat"]
    await until(lambda: live.in_flight == 1)
    if stream:
        answer = await asking
        for _ in range(60):  # thirty tokens, with an empty line after each
            await answer.content.readline()
        answer.close()
    else:
        await asyncio.sleep(0.3)
        asking.cancel()
        await asyncio.wait((asking,))
    await until(lambda: gateway.books.words == ["cancelled"])
    await until(lambda: b"Broken pipe" in sidecar.log.read_bytes() or b"reset" in sidecar.log.read_bytes(), within=60)
    assert live.pace is not None
    assert not stream or live.pace.tokens_total >= 28  # what it gave speaks of its pace


async def test_a_killed_sidecar_is_refused_quickly_and_found_again(start: Start, run: Any, models: Any) -> None:
    sidecar = await run("scripted")
    gateway = await ready(start, sidecar)
    sidecar.process.kill()
    await sidecar.process.wait()
    async with asyncio.timeout(60):
        answer = await gateway.chat(model="tiny")
    assert answer.status == 503
    assert "Retry-After" in answer.headers


async def test_a_server_whose_model_cannot_load_never_becomes_ready(
    start: Start, run: Any, models: dict[str, Path], tmp_path: Path
) -> None:
    """/health of mlx_lm says 503 then, /v1/models still 200, and the process stays."""
    models["broken"] = tmp_path / "broken"
    models["broken"].mkdir()
    sidecar = await run("broken")
    gateway = await start(sidecar.upstream)
    live = gateway.gateway.upstreams.live["chat"]
    await until(lambda: "not able to generate" in live.reason or "could not load" in live.reason, within=60)
    assert live.readiness == "down"
    pace = live.pace
    assert pace is not None
    await until(lambda: pace.refusing_since is not None, within=60)
    assert (await gateway.get("/readyz", key=None)).status == 503
