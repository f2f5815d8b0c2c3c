"""The real process: starts, reloads, waits for its port, drains, and logs no prompt."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fake_mlx import STREAM_HEAD, chunk, hangs, sends_and_hangs
from gateway_harness import HELLO, KEY, events, sidecar, until, write_config

from fleet.sim.ports import free_port
from fleet.traffic.config import Listen, Route

Launch = Callable[[Path], Awaitable[Process]]


@pytest.fixture
async def launch() -> AsyncIterator[Launch]:
    started: list[Process] = []

    async def go(config: Path) -> Process:
        argv = (sys.executable, "-s", "-m", "fleet.node.gateway", "--config", str(config))
        process = await asyncio.create_subprocess_exec(*argv, stderr=PIPE)
        started.append(process)
        return process

    yield go
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line(process: Process, word: str) -> str:
    """The first line of the log with that word."""
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while text := (await process.stderr.readline()).decode():
            if word in text:
                return text
    raise AssertionError(f"the gateway ended without {word!r}")


async def health(http: aiohttp.ClientSession, port: int, path: str = "/healthz") -> tuple[int, Any]:
    async with http.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.json()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def chat(http: aiohttp.ClientSession, port: int, **fields: Any) -> Any:
    body = {"messages": HELLO, **fields}
    return http.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, headers={"x-api-key": KEY})


async def test_a_new_configuration_is_taken_and_a_broken_one_is_not(
    launch: Launch, mlx: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    fake, port = await mlx(), free_port()
    listen = Listen(host="127.0.0.1", port=port)
    config = write_config(tmp_path, sidecar(fake), listen=listen)
    process = await launch(config)
    await line(process, "listening")
    first = (await health(http, port))[1]["config_sha256"]

    write_config(tmp_path, sidecar(fake), listen=listen, routes=(Route(name="new", upstreams=("mini-1.chat",)),))
    process.send_signal(signal.SIGHUP)
    await line(process, "reloaded")
    second = (await health(http, port))[1]["config_sha256"]
    assert second != first
    assert (await chat(http, port, model="new")).status == 200

    config.write_text('{"node": 1}')
    process.send_signal(signal.SIGHUP)
    await line(process, "reload_refused")
    _, alive = await health(http, port)
    assert alive["config_sha256"] == second
    assert "gateway.json" in alive["config_problem"]
    assert (await health(http, port, "/readyz"))[1]["notes"] == [alive["config_problem"]]
    assert (await chat(http, port, model="new")).status == 200


async def test_on_sigterm_it_drains_ends_what_is_left_with_an_error_and_exits_0(
    launch: Launch, mlx: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    fake, port = await mlx(sends_and_hangs(STREAM_HEAD + chunk(content="x"))), free_port()
    config = write_config(tmp_path, sidecar(fake), listen=Listen(host="127.0.0.1", port=port), drain_seconds=0.5)
    process = await launch(config)
    await line(process, "listening")
    finishing, stuck = await chat(http, port, stream=True), await chat(http, port, stream=True)
    one, two = await fake.next(), await fake.next()
    process.terminate()
    await line(process, "draining")
    assert (await health(http, port, "/readyz"))[0] == 503
    refused = await chat(http, port)
    assert refused.status == 503
    assert "Retry-After" in refused.headers
    await one.send(chunk("stop") + b"data: [DONE]\n\n")
    assert events(await finishing.read())[-1] == "[DONE]"
    last = events(await stuck.read())
    assert last[-1]["error"]["code"] == "draining"
    async with asyncio.timeout(60):
        await two.gone.wait()
        assert await process.wait() == 0


async def test_a_port_that_somebody_holds_is_waited_for(
    launch: Launch, mlx: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        process = await launch(write_config(tmp_path, listen=Listen(host="127.0.0.1", port=port)))
        assert "waiting for it" in await line(process, "port_taken")
    await line(process, "listening")
    assert (await health(http, port))[0] == 200


async def test_it_can_be_stopped_while_it_waits_for_its_port(launch: Launch, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        listen = Listen(host="127.0.0.1", port=holder.getsockname()[1])
        process = await launch(write_config(tmp_path, listen=listen))
        await line(process, "port_taken")
        process.terminate()
        async with asyncio.timeout(60):
            assert await process.wait() == 0


async def test_a_wrong_configuration_is_one_message_and_no_traceback(launch: Launch, tmp_path: Path) -> None:
    process = await launch(write_config(tmp_path, listen=Listen(host="0.0.0.0", port=free_port())))
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"refusing to speak plain HTTP" in said
    assert b"Traceback" not in said


async def test_the_log_holds_no_prompt_no_answer_and_no_key_and_stays_small(
    launch: Launch, mlx: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    fake, port, log = await mlx(), free_port(), tmp_path / "log" / "gateway.log"
    config = write_config(
        tmp_path, sidecar(fake), listen=Listen(host="127.0.0.1", port=port), log_file=str(log), log_bytes=4000
    )
    await launch(config)
    await until(lambda: log.exists() and "listening" in log.read_text(), within=60)
    for _ in range(20):
        answer = await chat(http, port, messages=[{"role": "user", "content": "my secret plan"}])
        assert answer.status == 200
    fake.script = hangs
    await until(lambda: "outcome=ok" in log.read_text())
    text = "".join(path.read_text() for path in log.parent.iterdir())
    assert "completion_tokens=6" in text
    assert not [word for word in ("secret plan", "scripted model", KEY) if word in text]
    assert sum(path.stat().st_size for path in log.parent.iterdir()) <= 4000
