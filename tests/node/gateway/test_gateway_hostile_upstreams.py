"""Every switch of the simulated upstreams, seen through the gateway: a complete answer or a clear error, no third."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_harness import Running, Start, until

from fleet.sim.upstreams.mlx import Mode, SimulatedMlx
from fleet.sim.upstreams.openrouter import KEY, SimulatedOpenRouter
from fleet.traffic.config import Breaker, Route, Timeouts, Upstream

WORDS = "one two three four"
TEXT = f"You said: {WORDS}"
IMPATIENT = Timeouts(
    connect_seconds=1,
    first_token_seconds=0.4,
    idle_seconds=0.4,
    total_seconds=1.5,
    queue_seconds=0.2,
    commit_seconds=0.1,
)
PATIENT = Timeouts(commit_seconds=0.1)
NEVER_OPEN = Breaker(failures=1000)
COMPLETE = ["delay=20", "first=50", "gap=2", "crlf", "multiline", "split", "crlf,multiline,split", "huge=60000"]
COMPLETE += ["emptyfinish", "nousage"]
FAILED = ["err=400", "err=401", "err=402", "err=403", "err=404", "err=429", "err=500", "err=502", "err=503", "err=504"]
FAILED += ["err=524", "err=529", "drop", "reset", "body_error"]
BROKEN_STREAMS = [
    "cut=0",
    "cut=1",
    "cut=150",
    "cut=400,how=rst",
    "cut=400",
    "cut=500,how=clean",
    "midfail=0",
    "midfail=2",
]
BROKEN_STREAMS += ["midfail=2,code=server_error", "midfail=2,empty", "nodone", "nofinish", "finish="]
SILENT = ["hang", "stall=0", "stall=350"]


class Rig:
    """A gateway with one route per simulated upstream."""

    def __init__(self, running: Running, mlx: SimulatedMlx, openrouter: SimulatedOpenRouter) -> None:
        self.running = running
        self.mlx = mlx
        self.openrouter = openrouter

    async def ask(self, model: str, switches: str, *, stream: bool, **more: Any) -> tuple[int, bytes]:
        messages = [{"role": "user", "content": f"{WORDS} @@{switches}@@"}]
        response = await self.running.chat(model=model, messages=messages, stream=stream, **more)
        async with response:
            return response.status, await response.read()


@pytest.fixture(name="rig")
async def _rig(start: Start, tmp_path: Path) -> AsyncIterator[Rig]:
    key_file = tmp_path / "openrouter.key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    async with SimulatedMlx() as mlx, SimulatedOpenRouter() as openrouter:
        sidecar = Upstream(
            name="mini-1.chat", kind="sidecar", url=mlx.url, engine="mlx_lm", serves="own", model="default_model"
        )
        cloud = Upstream(
            name="cloud",
            kind="api",
            url=openrouter.url,
            engine="openrouter",
            serves="cloud",
            model="sim/echo-small",
            key_file=str(key_file),
        )
        routes = [
            Route(name=f"{name}{how}", upstreams=(upstream,), timeouts=timeouts)
            for name, upstream in (("own", sidecar.name), ("cloud", cloud.name))
            for how, timeouts in (("", PATIENT), ("-hurried", IMPATIENT))
        ]
        changes = {"routes": tuple(routes), "breaker": NEVER_OPEN}
        yield Rig(await start(sidecar, cloud, **changes), mlx, openrouter)


def events(body: bytes) -> list[Any]:
    """The events of a stream, the lines of each joined; [DONE] as text."""
    blocks = [[line[6:] for line in block.split(b"\n") if line.startswith(b"data: ")] for block in body.split(b"\n\n")]
    data = [b"\n".join(lines) for lines in blocks if lines]
    return ["[DONE]" if one == b"[DONE]" else json.loads(one) for one in data]


def said(body: bytes, *, stream: bool) -> str | None:
    """What a complete answer says; None for a clear error. Fails for anything else."""
    if not stream:
        answer = json.loads(body)
        if "error" in answer:
            assert answer["error"]["message"]
            return None
        assert answer["choices"][0]["finish_reason"] == "stop"
        return str(answer["choices"][0]["message"]["content"])
    if not body.startswith((b"data:", b":")):
        assert json.loads(body)["error"]["message"]
        return None
    found = events(body)
    if found[-1] != "[DONE]":
        assert found[-1]["error"]["message"], "a stream that ends without [DONE] ends with an error"
        assert "[DONE]" not in found
        return None
    choices = [choice for one in found if isinstance(one, dict) for choice in one["choices"]]
    assert [one["finish_reason"] for one in choices if one["finish_reason"]] == ["stop"]
    return "".join(one["delta"].get("content") or "" for one in choices)


@pytest.mark.parametrize("model", ["own", "cloud"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("switches", COMPLETE)
async def test_an_odd_answer_that_is_complete_arrives_complete(
    rig: Rig, model: str, stream: bool, switches: str
) -> None:
    status, body = await rig.ask(model, switches, stream=stream)
    assert (status, said(body, stream=stream)) == (200, TEXT)


@pytest.mark.parametrize("model", ["own", "cloud"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("switches", FAILED)
async def test_a_failure_before_the_answer_is_an_error_and_never_the_gateways_key(
    rig: Rig, model: str, stream: bool, switches: str
) -> None:
    status, body = await rig.ask(model, switches, stream=stream)
    assert status >= 400 or (stream and switches in ("drop", "reset")), (
        "a lost connection is tried again, and 200 is out"
    )
    assert status not in (401, 402)
    assert said(body, stream=stream) is None
    assert KEY.encode() not in body


@pytest.mark.parametrize("model", ["own", "cloud"])
@pytest.mark.parametrize("switches", BROKEN_STREAMS)
async def test_a_stream_that_breaks_off_ends_with_an_error(rig: Rig, model: str, switches: str) -> None:
    _, body = await rig.ask(model, switches, stream=True)
    assert said(body, stream=True) is None


@pytest.mark.parametrize("switches", BROKEN_STREAMS)
async def test_a_stream_of_our_own_that_breaks_off_is_no_whole_answer(rig: Rig, switches: str) -> None:
    status, body = await rig.ask("own", switches, stream=False)
    assert status >= 500
    assert said(body, stream=False) is None


@pytest.mark.parametrize("switches", ["cut=0", "cut=1", "cut=200", "cut=200,how=rst", "choice_error"])
async def test_a_whole_answer_of_an_api_that_breaks_off_is_an_error(rig: Rig, switches: str) -> None:
    status, body = await rig.ask("cloud", switches, stream=False)
    assert status >= 500
    assert said(body, stream=False) is None


@pytest.mark.parametrize("model", ["own", "cloud"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("switches", SILENT)
async def test_silence_ends_in_an_error(rig: Rig, model: str, stream: bool, switches: str) -> None:
    _, body = await rig.ask(f"{model}-hurried", switches, stream=stream)
    assert said(body, stream=stream) is None


@pytest.mark.parametrize("model", ["own", "cloud"])
async def test_a_malformed_event_does_not_kill_a_stream(rig: Rig, model: str) -> None:
    status, body = await rig.ask(model, "malformed=2", stream=True)
    good = b"\n\n".join(block for block in body.split(b"\n\n") if b"chatcmpl-broken" not in block)
    assert good != body
    assert (status, said(good, stream=True)) == (200, TEXT)


async def test_an_answer_is_not_put_together_around_a_malformed_event(rig: Rig) -> None:
    status, body = await rig.ask("own", "malformed=2", stream=False)
    assert (status, said(body, stream=False)) == (502, None)


async def test_a_zombie_answers_nobody_and_its_client_is_told(rig: Rig) -> None:
    rig.mlx.mode = Mode.ZOMBIE
    status, body = await rig.ask("own-hurried", "", stream=False)
    assert status in (503, 504)
    assert said(body, stream=False) is None


async def test_the_cost_of_an_api_reaches_the_client(rig: Rig) -> None:
    _, body = await rig.ask("cloud", "", stream=False)
    usage = json.loads(body)["usage"]
    assert usage["cost"] == float(rig.openrouter.bill.generations[-1].cost) > 0
    _, body = await rig.ask("cloud", "", stream=True, stream_options={"include_usage": True})
    assert events(body)[-2]["usage"]["cost"] == usage["cost"]


@pytest.mark.parametrize("stream", [True, False])
async def test_who_leaves_stops_the_generation_of_an_api_and_its_bill(rig: Rig, stream: bool) -> None:
    asking = asyncio.create_task(rig.ask("cloud", "tokens=500,gap=20", stream=stream))
    await until(lambda: rig.openrouter.exchanges and rig.openrouter.exchanges[-1].request.method == "POST")
    await asyncio.sleep(0.2)
    asking.cancel()
    await until(lambda: rig.openrouter.bill.generations)
    line = rig.openrouter.bill.generations[0]
    assert line.cancelled, line
    assert line.completion_tokens < 100
