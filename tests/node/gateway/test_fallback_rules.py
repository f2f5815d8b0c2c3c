"""Whom a request is sent to after a failure, whom never, and that one request's trouble is not another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from gateway_harness import NODE_KEY, Identity, Running, Start, until
from surface_kit import SURFACES, Answer

from fleet.sim.upstreams.mlx import SimulatedMlx
from fleet.sim.upstreams.openrouter import KEY, SimulatedOpenRouter
from fleet.traffic.choice import Readiness
from fleet.traffic.config import Breaker, Probing, Retries, Route, Timeouts, Upstream
from fleet.vocabulary.names import Intent

WORDS = "one two three four"
TEXT = f"You said: {WORDS}"
EVERYONE = list(SURFACES)
PATIENT = Timeouts(commit_seconds=0.1)
HURRIED = Timeouts(first_token_seconds=1, unary_seconds=1, idle_seconds=1, queue_seconds=0.2, commit_seconds=0.1)
STORMED = Timeouts(first_token_seconds=5, unary_seconds=5, idle_seconds=5, queue_seconds=0.2, commit_seconds=0.1)
"""What hangs is given up; what answers may be slow, when everybody asks at once."""
NO_PROBES = Probing(down_seconds=3600, idle_seconds=3600, edge_seconds=3600, timeout_seconds=10)
NEVER_OPEN = Breaker(failures=10**6)
PLENTY = Retries(burst=1000)
every_surface = pytest.mark.parametrize("name", EVERYONE)
both_ways = pytest.mark.parametrize("stream", [True, False])


def sidecar_at(mlx: SimulatedMlx, name: str, serves: str = "own") -> Upstream:
    return Upstream(name=name, kind="sidecar", url=mlx.url, engine="mlx_lm", serves=serves, model="default_model")


class Pair:
    """Two sidecars behind a gateway, the first preferred."""

    def __init__(self, running: Running, first: SimulatedMlx, second: SimulatedMlx) -> None:
        self.running = running
        self.first = first
        self.second = second

    async def ask(self, name: str = "chat", *, stream: bool = True, prompt: str = WORDS) -> Answer:
        return await SURFACES[name].ask(self.running, prompt, stream=stream, model="both")

    @property
    def asked(self) -> tuple[int, int]:
        return asked(self.first), asked(self.second)


def _timeouts(switches: str) -> Timeouts:
    """Short only where there is something to wait for: on a busy machine a healthy answer takes its time."""
    return HURRIED if "hang" in switches or "stall" in switches else PATIENT


def asked(mlx: SimulatedMlx) -> int:
    """How many requests came that are no probe."""
    return sum(exchange.request.json.get("max_tokens") != 1 for exchange in mlx.exchanges)


Pairs = Callable[..., Any]


@pytest.fixture(name="pair")
async def _pair(start: Start) -> AsyncIterator[Pairs]:
    async with AsyncExitStack() as stack:

        async def go(**changes: Any) -> Pair:
            first, second = [await stack.enter_async_context(SimulatedMlx()) for _ in range(2)]
            values = {"timeouts": PATIENT, "breaker": NEVER_OPEN, "retries": PLENTY, "probing": NO_PROBES, **changes}
            running = await start(
                sidecar_at(first, "a.chat", "preferred"),
                sidecar_at(second, "b.chat", "other"),
                routes=(Route(name="both", upstreams=("a.chat", "b.chat")),),
                **values,
            )
            await until(lambda: all(one.proven_at is not None for one in running.gateway.upstreams.live.values()))
            return Pair(running, first, second)

        yield go


BEFORE = ["drop", "reset", "hang", "err=429", "err=500", "err=503", "body_error", "cut=0", "cut=150,how=rst"]
BEFORE += ["stall=100", "midfail=0", "delay=250,drop", "first=250,cut=100"]


@every_surface
@both_ways
@pytest.mark.parametrize("switches", BEFORE)
async def test_before_the_first_token_the_next_upstream_answers_and_the_client_sees_nothing_of_it(
    pair: Pairs, name: str, switches: str, *, stream: bool
) -> None:
    """LiteLLM#40404, #6957. Also after 200 and the comments went out: those of `hang`, `delay` and `first` are late."""
    two = await pair(timeouts=_timeouts(switches))
    two.first.trouble(switches)
    answer = await two.ask(name, stream=stream)
    assert (answer.error, answer.text) == (None, TEXT)
    assert two.running.books.words == ["ok"]
    assert two.running.books.outcomes[0].call.tried == ["a.chat", "b.chat"]


AFTER = ["cut=430", "cut=430,how=rst", "stall=430", "midfail=1", "midfail=2,code=429", "midfail=2,empty", "nodone"]


@every_surface
@pytest.mark.parametrize("switches", AFTER)
async def test_after_the_first_token_nobody_else_is_asked_and_no_two_answers_are_joined(
    pair: Pairs, name: str, switches: str
) -> None:
    """LiteLLM#19077, #25843, PR#27967: what began with one model is not ended by another."""
    two = await pair(timeouts=_timeouts(switches))
    two.first.trouble(switches)
    answer = await two.ask(name)
    assert answer.error is not None
    assert two.asked == (1, 0)


async def test_a_fault_of_the_request_itself_is_asked_of_nobody_else(pair: Pairs) -> None:
    two = await pair()
    answer = await two.ask(prompt=f"{WORDS} @@err=400@@")
    assert answer.status == 400
    assert two.asked == (1, 0)


async def test_fallbacks_stop_when_their_budget_is_spent_and_the_client_is_told_of_the_failure(pair: Pairs) -> None:
    two = await pair(retries=Retries(burst=2, ratio=0.0))
    two.first.trouble("err=500")
    answers = [await two.ask(stream=False) for _ in range(6)]
    assert [answer.text for answer in answers] == [TEXT, TEXT, None, None, None, None]
    assert two.asked == (6, 2)
    assert two.running.gateway.attempts.retries_refused == 4


async def test_a_request_is_tried_no_more_often_than_is_configured(pair: Pairs) -> None:
    two = await pair(retries=Retries(burst=100, attempts=1))
    two.first.trouble("err=500")
    assert (await two.ask()).error is not None
    assert two.asked == (1, 0)


async def test_when_all_fail_each_was_asked_once_and_the_last_word_is_an_error(pair: Pairs) -> None:
    two = await pair()
    two.first.trouble("err=500")
    two.second.trouble("drop")
    answer = await two.ask(stream=False)
    assert answer.status in (502, 503)
    assert two.asked[0] == 1


@every_surface
async def test_the_last_upstream_that_can_serve_is_asked_however_often_it_failed(start: Start, name: str) -> None:
    """Bench README section 6, lesson a: LiteLLM's cooldown took out the only deployment for a 401."""
    async with SimulatedMlx() as mlx:
        leave_alone = Breaker(failures=1, first_seconds=3600, longest_seconds=3600)
        running = await start(
            sidecar_at(mlx, "a.chat"), timeouts=HURRIED, breaker=leave_alone, probing=NO_PROBES, retries=PLENTY
        )
        for switches in ("err=500", "err=500", "hang", "drop", "err=503", "err=429", "midfail=1", "body_error"):
            answer = await SURFACES[name].ask(running, f"{WORDS} @@{switches}@@", stream=True, model="own")
            assert answer.error is not None, switches
            assert (await SURFACES[name].ask(running, WORDS, stream=True, model="own")).text == TEXT, switches


async def test_an_open_upstream_is_asked_when_the_only_other_one_is_drained(pair: Pairs) -> None:
    two = await pair(breaker=Breaker(failures=1, first_seconds=3600, longest_seconds=3600))
    two.first.trouble("err=500", times=1)
    assert (await two.ask()).text == TEXT
    assert (await two.ask()).text == TEXT
    assert two.asked == (1, 2)
    two.running.gateway.upstreams.live["b.chat"].intent = Intent.DRAINING
    assert (await two.ask()).text == TEXT
    assert two.asked == (2, 2)


@pytest.fixture(name="key_file")
def _key_file(tmp_path: Path) -> Path:
    path = tmp_path / "openrouter.key"
    path.write_text(KEY)
    path.chmod(0o600)
    return path


def cloud_at(
    cloud: SimulatedOpenRouter, key_file: Path, name: str = "cloud", model: str = "sim/echo-small"
) -> Upstream:
    return Upstream(
        name=name, kind="api", url=cloud.url, engine="openrouter", serves=name, model=model,
        key_file=str(key_file),
    )  # fmt: skip


async def test_a_busy_upstream_is_passed_over_while_another_serves_and_asked_when_none_does(
    start: Start, key_file: Path
) -> None:
    async with SimulatedOpenRouter() as first, SimulatedOpenRouter() as second:
        running = await start(
            cloud_at(first, key_file, "first"), cloud_at(second, key_file, "second"), timeouts=PATIENT,
            routes=(Route(name="both", upstreams=("first", "second")),), retries=PLENTY, probing=NO_PROBES,
        )  # fmt: skip

        async def ask() -> str | None:
            return (await SURFACES["chat"].ask(running, WORDS, stream=True, model="both")).text

        def posts() -> tuple[int, ...]:
            return tuple(sum(one.request.method == "POST" for one in cloud.exchanges) for cloud in (first, second))

        first.trouble("err=429,retry_after=60", times=1)
        assert [await ask() for _ in range(3)] == [TEXT] * 3
        assert posts() == (1, 3)
        running.gateway.upstreams.live["second"].intent = Intent.DRAINING
        assert await ask() == TEXT
        assert posts() == (2, 3)


async def test_no_upstream_is_asked_for_a_kind_of_work_that_it_does_not_do(start: Start, key_file: Path) -> None:
    async with SimulatedMlx() as mlx, SimulatedOpenRouter() as cloud:
        running = await start(
            cloud_at(cloud, key_file, model="sim/embed"), sidecar_at(mlx, "a.chat"),
            routes=(Route(name="mixed", upstreams=("a.chat", "cloud")), Route(name="own", upstreams=("a.chat",))),
            timeouts=PATIENT, breaker=NEVER_OPEN, retries=PLENTY, probing=NO_PROBES,
        )  # fmt: skip
        await until(lambda: running.gateway.upstreams.live["a.chat"].proven_at is not None)

        async def embed(model: str) -> int:
            headers = {"Authorization": "Bearer sk-client-0123456789"}
            body = {"model": model, "input": "x"}
            async with running.http.post(f"{running.url}/v1/embeddings", json=body, headers=headers) as response:
                return response.status

        assert await embed("mixed") == 200
        cloud.trouble("err=500")
        assert await embed("mixed") in (502, 503)
        assert await embed("own") == 404
        assert asked(mlx) == 0


STORM = [
    "err=429,retry_after=60",
    "err=401",
    "err=402",
    "err=403",
    "err=404",
    "err=500",
    "err=503",
    "drop",
    "reset",
    "hang",
]
STORM += ["cut=0", "cut=300,how=rst", "stall=300", "midfail=1", "body_error", "nodone", "err=400"]


async def _storm(ask: Callable[[str, bool], Any], *, healthy: int = 40) -> tuple[list[Answer], list[Answer]]:
    """Troubled and healthy requests beside one another: their answers."""
    gate = asyncio.Semaphore(4)

    async def one(switches: str, *, stream: bool) -> Answer:
        async with gate:
            answer: Answer = await ask(f"{WORDS} @@{switches}@@" if switches else WORDS, stream)
            return answer

    bad = [one(switches, stream=at % 2 == 0) for at, switches in enumerate(STORM * 2)]
    good = [one("", stream=at % 3 == 0) for at in range(healthy)]
    mixed = [coroutine for couple in zip(bad, good, strict=False) for coroutine in couple] + good[len(bad) :]
    answers = await asyncio.gather(*mixed)
    return list(answers[: 2 * len(bad) : 2]), [*answers[1 : 2 * len(bad) : 2], *answers[2 * len(bad) :]]


async def test_no_trouble_of_one_request_is_another_ones_at_two_sidecars(pair: Pairs) -> None:
    """Lesson b: 9router served its first 429 from memory to the next eleven requests."""
    two = await pair(breaker=Breaker(), probing=Probing(timeout_seconds=10), timeouts=STORMED)
    bad, good = await _storm(lambda prompt, stream: two.ask(stream=stream, prompt=prompt))
    assert [answer.text for answer in good] == [TEXT] * len(good), [answer.error for answer in good if answer.error]
    assert {answer.text for answer in bad} == {None}
    assert not {answer.status for answer in bad} & {401, 402, 403}


async def test_no_trouble_of_one_request_is_another_ones_at_openrouter(start: Start, key_file: Path) -> None:
    async with SimulatedOpenRouter() as cloud:
        running = await start(cloud_at(cloud, key_file), timeouts=STORMED, retries=PLENTY)

        async def ask(prompt: str, stream: bool) -> Answer:
            return await SURFACES["chat"].ask(running, prompt, stream=stream, model="cloud")

        bad, good = await _storm(ask)
    assert [answer.text for answer in good] == [TEXT] * len(good), [answer.error for answer in good if answer.error]
    assert not {answer.status for answer in bad} & {401, 402}


async def test_no_trouble_of_one_request_is_another_ones_behind_a_front_and_its_only_edge(
    start: Start, identity: Callable[[str], Identity], tmp_path: Path
) -> None:
    tls = identity("edge")
    token = tmp_path / "edge.token"
    token.write_text(NODE_KEY)
    token.chmod(0o600)
    async with SimulatedMlx() as mlx:
        edge = await start(sidecar_at(mlx, "mini-2.chat"), listen=tls.listen, timeouts=STORMED, retries=PLENTY)
        upstream = Upstream(
            name="mini-2/own", kind="edge", url=edge.url, engine="mlx_lm", serves="own", model="own", pin=tls.pin,
            key_file=str(token),
        )  # fmt: skip
        front = await start(upstream, name="front", timeouts=PATIENT, retries=PLENTY)
        live = front.gateway.upstreams.live["mini-2/own"]
        await until(lambda: live.readiness is Readiness.READY)

        async def ask(prompt: str, stream: bool) -> Answer:
            return await SURFACES["chat"].ask(front, prompt, stream=stream, model="own")

        bad, good = await _storm(ask)
    assert [answer.text for answer in good] == [TEXT] * len(good), [answer.error for answer in good if answer.error]
    assert not {answer.status for answer in bad} & {401, 402, 403}
