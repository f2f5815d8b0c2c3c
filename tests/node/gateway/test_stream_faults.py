"""Every fault of the simulated upstreams on every surface, streamed and unary: complete, or a clear error. No third."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_harness import KEY as CLIENT_KEY
from gateway_harness import Running, Start, until
from surface_kit import SURFACES

from fleet.sim.upstreams.mlx import Mode, SimulatedMlx
from fleet.sim.upstreams.openrouter import KEY, SimulatedOpenRouter
from fleet.traffic.choice import Readiness
from fleet.traffic.config import Breaker, Probing, Route, Timeouts, Upstream

WORDS = "one two three four"
TEXT = f"You said: {WORDS}"
EVERYONE = list(SURFACES)
PATIENT = Timeouts(commit_seconds=0.1)
HURRIED = Timeouts(first_token_seconds=0.4, unary_seconds=0.4, idle_seconds=0.4, queue_seconds=0.2, commit_seconds=0.1)
ODD = ["", "@@crlf@@", "@@multiline@@", "@@crlf,multiline,split@@", "@@huge=900000@@"]
ODD += ["@@dupfinish@@", "@@emptyfinish@@", "@@nousage@@"]
BROKEN = ["midfail=0", "midfail=2", "midfail=2,code=502", "midfail=2,code=server_error", "midfail=2,empty"]
BROKEN += [
    "nodone",
    "nofinish",
    "finish=",
    "cut=150",
    "cut=420,how=rst",
    "stall=0",
    "stall=420",
    "hang",
    "drop",
    "reset",
]
BROKEN += ["body_error", "err=500", "err=503", "err=529", "huge=1200000"]
PROBING = Probing(down_seconds=0.05, idle_seconds=0.1, timeout_seconds=1)


class Rig:
    """A gateway with the routes `own` (a sidecar) and `cloud` (OpenRouter), and both in a hurry."""

    def __init__(self, running: Running, mlx: SimulatedMlx, cloud: SimulatedOpenRouter) -> None:
        self.running = running
        self.mlx = mlx
        self.cloud = cloud


def sidecar_at(mlx: SimulatedMlx, name: str = "mini-1.chat") -> Upstream:
    return Upstream(name=name, kind="sidecar", url=mlx.url, engine="mlx_lm", serves="own", model="default_model")


def cloud_at(url: str, key_file: Path) -> Upstream:
    return Upstream(
        name="cloud", kind="api", url=url, engine="openrouter", serves="cloud", model="sim/echo-small",
        key_file=str(key_file),
    )  # fmt: skip


@pytest.fixture(name="key_file")
def _key_file(tmp_path: Path) -> Path:
    path = tmp_path / "openrouter.key"
    path.write_text(KEY)
    path.chmod(0o600)
    return path


@pytest.fixture(name="rig")
async def _rig(start: Start, key_file: Path) -> AsyncIterator[Rig]:
    async with SimulatedMlx() as mlx, SimulatedOpenRouter() as cloud:
        routes = [
            Route(name=f"{name}{how}", upstreams=(upstream,), timeouts=timeouts)
            for name, upstream in (("own", "mini-1.chat"), ("cloud", "cloud"))
            for how, timeouts in (("", PATIENT), ("-hurried", HURRIED))
        ]
        running = await start(
            sidecar_at(mlx), cloud_at(cloud.url, key_file), routes=tuple(routes), breaker=Breaker(failures=10**6)
        )
        yield Rig(running, mlx, cloud)


every_surface = pytest.mark.parametrize("name", EVERYONE)
both_ways = pytest.mark.parametrize("stream", [True, False])
both_upstreams = pytest.mark.parametrize("model", ["own", "cloud"])


@every_surface
@both_ways
@both_upstreams
@pytest.mark.parametrize("switches", ODD)
async def test_what_is_odd_and_complete_arrives_complete(
    rig: Rig, name: str, model: str, switches: str, *, stream: bool
) -> None:
    answer = await SURFACES[name].ask(rig.running, f"{WORDS} {switches}", stream=stream, model=model)
    assert (answer.error, answer.text) == (None, TEXT)


@every_surface
@both_ways
async def test_an_answer_without_a_word_is_complete_and_empty(rig: Rig, name: str, *, stream: bool) -> None:
    answer = await SURFACES[name].ask(rig.running, "@@tokens=0@@", stream=stream, model="own")
    assert (answer.error, answer.text) == (None, "")


@every_surface
@pytest.mark.parametrize("switches", BROKEN)
async def test_what_is_broken_is_an_error_in_the_clients_dialect_when_it_is_streamed(
    rig: Rig, name: str, switches: str
) -> None:
    asking = [
        SURFACES[name].ask(rig.running, f"{WORDS} @@{switches}@@", stream=True, model=f"{model}-hurried")
        for model in ("own", "cloud")
    ]
    for answer in await asyncio.gather(*asking):
        assert answer.error is not None, answer


@every_surface
@pytest.mark.parametrize("switches", BROKEN)
async def test_what_is_broken_is_an_error_when_it_is_not_streamed(rig: Rig, name: str, switches: str) -> None:
    """A sidecar is asked for a stream even then; what only streams can have wrong does not happen to OpenRouter."""
    answer = await SURFACES[name].ask(rig.running, f"{WORDS} @@{switches}@@", stream=False, model="own-hurried")
    assert answer.error is not None, answer
    assert answer.status >= 500


@every_surface
@pytest.mark.parametrize("switches", ["choice_error", "body_error", "cut=100", "cut=100,how=rst", "stall=100", "hang"])
async def test_a_whole_answer_of_an_api_that_is_none_is_an_error(rig: Rig, name: str, switches: str) -> None:
    answer = await SURFACES[name].ask(rig.running, f"{WORDS} @@{switches}@@", stream=False, model="cloud-hurried")
    assert answer.error is not None, answer
    assert answer.status >= 500


@every_surface
@both_upstreams
async def test_one_malformed_event_does_not_end_a_healthy_stream_and_is_counted(
    rig: Rig, name: str, model: str
) -> None:
    """LiteLLM#40404, third row."""
    answer = await SURFACES[name].ask(rig.running, f"{WORDS} @@malformed=2@@", stream=True, model=model)
    assert (answer.error, answer.text) == (None, TEXT)
    assert [outcome.malformed for outcome in rig.running.books.outcomes] == [1]


@every_surface
async def test_a_stream_that_stalls_anywhere_ends_in_an_error_and_its_socket_closes(rig: Rig, name: str) -> None:
    asking = [
        SURFACES[name].ask(rig.running, f"{WORDS} @@stall={most}@@", stream=True, model="own-hurried")
        for most in range(0, 900, 75)
    ]
    for answer in await asyncio.gather(*asking):
        assert answer.error is not None
    await until(lambda: all(exchange.ended_at is not None for exchange in rig.mlx.exchanges))


@every_surface
@both_ways
@pytest.mark.parametrize(
    ("switches", "statuses"),
    [
        ("err=401", {502}),
        ("err=402", {502, 503}),
        ("err=403", {400, 403, 502}),
        ("err=404", {404, 502, 503}),
        ("err=429,retry_after=7", {429}),
        ("err=500", {502, 503}),
        ("err=502", {502, 503}),
        ("err=503,retry_after=7", {503}),
        ("err=524", {502, 503, 504}),
    ],
)
async def test_openrouters_refusals_are_ours_in_the_clients_dialect_and_its_key_is_never_told(
    rig: Rig, name: str, switches: str, statuses: set[int], *, stream: bool
) -> None:
    surface = SURFACES[name]
    body = {"model": "cloud", "stream": stream, **surface._request(f"{WORDS} @@{switches}@@")}
    headers = {"Authorization": f"Bearer {CLIENT_KEY}"}
    async with rig.running.http.post(rig.running.url + surface.path, json=body, headers=headers) as response:
        content = await response.read()
        answer = surface.heard(response.status, response.content_type, content)
    assert answer.error is not None
    assert answer.status in statuses
    assert KEY.encode() not in content
    if answer.status in (429, 503):
        assert int(response.headers["Retry-After"]) >= (7 if "retry_after" in switches else 1)


@every_surface
@both_ways
async def test_openrouter_that_is_not_there_is_a_quick_and_clear_error(
    start: Start, key_file: Path, name: str, *, stream: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    running = await start(cloud_at(f"http://127.0.0.1:{port}/api", key_file), timeouts=PATIENT)
    for _ in range(3):
        answer = await SURFACES[name].ask(running, WORDS, stream=stream, model="cloud")
        assert (answer.status, answer.text) == (503, None)
        assert str(port) not in str(answer.error)


@both_ways
async def test_a_zombie_with_a_healthy_health_is_found_by_a_completion_and_left_alone(
    start: Start, *, stream: bool
) -> None:
    """mlx-lm#1505, #1672: /health says ok, completions hang. Nobody waits for it once it is found."""
    async with SimulatedMlx(mode=Mode.ZOMBIE) as zombie, SimulatedMlx() as healthy:
        running = await start(
            sidecar_at(zombie, "a.chat"), sidecar_at(healthy, "b.chat"), timeouts=PATIENT, probing=PROBING,
            role="front",
        )  # fmt: skip
        live = running.gateway.upstreams.live
        await until(lambda: live["a.chat"].readiness is Readiness.DOWN)
        asked = len([one for one in zombie.exchanges if not _probe(one)])
        for _ in range(4):
            answer = await SURFACES["chat"].ask(running, WORDS, stream=stream, model="own")
            assert answer.text == TEXT
        assert len([one for one in zombie.exchanges if not _probe(one)]) == asked


@pytest.mark.parametrize("name", ["chat", "messages"])
async def test_a_zombie_alone_is_a_quick_refusal_and_serves_again_when_it_is_well(start: Start, name: str) -> None:
    async with SimulatedMlx(mode=Mode.ZOMBIE) as zombie:
        running = await start(sidecar_at(zombie), timeouts=PATIENT, probing=PROBING)
        await until(lambda: running.gateway.upstreams.live["mini-1.chat"].readiness is Readiness.DOWN)
        answer = await SURFACES[name].ask(running, WORDS, stream=True, model="own")
        assert (answer.status, answer.text) == (503, None)
        zombie.mode = Mode.OK
        await until(lambda: running.gateway.upstreams.live["mini-1.chat"].readiness is Readiness.READY)
        assert (await SURFACES[name].ask(running, WORDS, stream=True, model="own")).text == TEXT


async def test_many_troubled_requests_change_nothing_for_a_healthy_one_beside_them(rig: Rig) -> None:
    """Bench README section 6, lesson b: one request's 429, 401, cut or hang is not another's."""
    chat = SURFACES["chat"]
    trouble = ["err=429", "err=401", "cut=300", "hang", "drop", "err=500", "midfail=1", "stall=300"] * 3

    async def one(switches: str) -> str | None:
        answer = await chat.ask(rig.running, f"{WORDS} @@{switches}@@", stream=True, model="cloud-hurried")
        return answer.text

    bad = [asyncio.create_task(one(switches)) for switches in trouble]
    good = [(await chat.ask(rig.running, WORDS, stream=True, model="cloud")).text for _ in range(20)]
    assert good == [TEXT] * 20
    assert await asyncio.gather(*bad) == [None] * len(trouble)
    assert (await chat.ask(rig.running, WORDS, stream=True, model="cloud")).text == TEXT


def _probe(exchange: object) -> bool:
    body = exchange.request.json  # type: ignore[attr-defined]
    return bool(body.get("max_tokens") == 1 and body["messages"] == [{"role": "user", "content": "ping"}])
