"""The points at which policy is asked: in which order, how often, and what it may change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from gateway_harness import Start, until

from fleet.node.gateway.call import AdmitAll, Call
from fleet.node.gateway.upstreams import LiveUpstream
from fleet.sim.upstreams.mlx import SimulatedMlx
from fleet.traffic.config import Route, Timeouts, Upstream
from fleet.traffic.openai_error import ApiError

HURRIED = Timeouts(first_token_seconds=0.3, unary_seconds=0.3, idle_seconds=5, queue_seconds=0.2)


class Recorder(AdmitAll):
    """Writes down what it was asked; `refuses` upstreams by name, with a reason or an error."""

    def __init__(self, **refuses: str | ApiError) -> None:
        self.heard: list[str] = []
        self.refuses = refuses
        self.elsewhere: Route | None = None

    async def admit(self, call: Call) -> None:
        self.heard.append("admit")

    async def dispatch(self, call: Call, upstream: LiveUpstream) -> str | ApiError | None:
        self.heard.append(f"dispatch {upstream.name}")
        if upstream.name in self.refuses and self.elsewhere is not None:
            call.route = self.elsewhere
        return self.refuses.get(upstream.name)

    def dressed(self, call: Call, upstream: LiveUpstream, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.heard.append(f"dressed {upstream.name}")
        return {**request, "dressed": True}

    def answered(self, call: Call, upstream: LiveUpstream, headers: Mapping[str, str]) -> None:
        self.heard.append(f"answered {upstream.name}")

    def gave_up(
        self, call: Call, upstream: LiveUpstream, *, sent: bool, refused: bool = False, gone: bool = False
    ) -> None:
        self.heard.append(f"gave_up {upstream.name}{' sent' if sent else ''}{' refused' if refused else ''}")


class Two:
    """A gateway with two sidecars `a` and `b`; the route `both` asks `a` first."""

    def __init__(self, start: Start, stack: AsyncExitStack) -> None:
        self._start = start
        self._stack = stack

    async def begin(self, recorder: Recorder, **changes: Any) -> None:
        self.recorder = recorder
        self.a, self.b = [await self._stack.enter_async_context(SimulatedMlx()) for _ in range(2)]
        upstreams = [
            Upstream(name=name, kind="sidecar", url=mlx.url, engine="mlx_lm", serves=name, model="default_model")
            for name, mlx in (("a", self.a), ("b", self.b))
        ]
        routes = (Route(name="both", upstreams=("a", "b")), Route(name="late", upstreams=("b",)))
        self.running = await self._start(*upstreams, admission=recorder, routes=routes, **changes)
        await until(lambda: all(one.proven_at is not None for one in self.running.gateway.upstreams.live.values()))


@pytest.fixture(name="two")
async def _two(start: Start) -> AsyncIterator[Two]:
    async with AsyncExitStack() as stack:
        yield Two(start, stack)


async def test_an_answer_asks_policy_once_at_each_point(two: Two) -> None:
    await two.begin(Recorder())
    answer = await two.running.chat(model="both")
    assert answer.status == 200
    assert two.recorder.heard == ["admit", "dispatch a", "dressed a", "answered a"]
    assert two.a.exchanges[-1].request.json["dressed"] is True


@pytest.mark.parametrize("stream", [True, False])
async def test_an_attempt_that_was_answered_with_an_error_is_given_up_as_refused(two: Two, *, stream: bool) -> None:
    await two.begin(Recorder())
    two.a.trouble("err=500")
    assert (await two.running.chat(model="both", stream=stream)).status == 200
    assert two.recorder.heard[:4] == ["admit", "dispatch a", "dressed a", "gave_up a sent refused"]
    assert two.recorder.heard[4:] == ["dispatch b", "dressed b", "answered b"]


async def test_an_answer_that_breaks_before_its_first_token_was_answered_and_is_given_up_as_sent(two: Two) -> None:
    await two.begin(Recorder())
    two.a.trouble("cut=0")
    assert (await two.running.chat(model="both", stream=True)).status == 200
    assert "gave_up a sent" in two.recorder.heard


async def test_one_that_was_never_reached_is_given_up_as_unsent(two: Two) -> None:
    await two.begin(Recorder())
    await two.a.stop()
    answer = await two.running.chat(model="both")
    assert answer.status == 200
    assert two.recorder.heard.index("gave_up a") < two.recorder.heard.index("dispatch b")


async def test_a_request_that_its_engine_refuses_is_given_up_as_unsent(two: Two) -> None:
    await two.begin(Recorder())
    answer = await two.running.chat(model="both", messages=[])
    assert answer.status == 400
    assert [word for word in two.recorder.heard if word.startswith("gave_up")] == ["gave_up a", "gave_up b"]


async def test_one_that_is_too_late_is_given_up_as_sent(two: Two) -> None:
    await two.begin(Recorder(), timeouts=HURRIED)
    two.a.trouble("hang")
    assert (await two.running.chat(model="both", stream=True)).status == 200
    assert "gave_up a sent" in two.recorder.heard


async def test_a_client_that_leaves_before_the_first_token_gives_the_attempt_up_as_sent(two: Two) -> None:
    await two.begin(Recorder())
    two.a.trouble("hang")
    asking = asyncio.ensure_future(two.running.chat(model="both", stream=True))
    await until(lambda: "dressed a" in two.recorder.heard)
    await asyncio.sleep(0.05)
    asking.cancel()
    await until(lambda: "gave_up a sent" in two.recorder.heard)
    await until(lambda: two.running.books.words == ["cancelled"])


async def test_after_the_first_token_nothing_is_given_up(two: Two) -> None:
    await two.begin(Recorder())
    two.a.trouble("cut=430")
    await (await two.running.chat(model="both", stream=True)).read()
    assert two.running.books.words == ["truncated"]
    assert not [word for word in two.recorder.heard if word.startswith("gave_up")]


async def test_one_that_is_passed_over_is_not_given_up_and_never_asked(two: Two) -> None:
    await two.begin(Recorder(a="not for this one"))
    answer = await two.running.chat(model="both")
    assert (answer.status, answer.headers["x-fleet-upstream"]) == (200, "b")
    assert two.recorder.heard == ["admit", "dispatch a", "dispatch b", "dressed b", "answered b"]


async def test_the_error_of_policy_is_what_the_client_is_told_when_nobody_was_asked(two: Two) -> None:
    spent = ApiError(status=429, message="the month is spent", code="budget_exhausted", retry_after_seconds=60)
    await two.begin(Recorder(a=spent, b=spent))
    answer = await two.running.chat(model="both")
    assert (answer.status, (await answer.json())["error"]["code"]) == (429, "budget_exhausted")
    assert answer.headers["Retry-After"] == "60"


async def test_who_was_asked_and_failed_says_more_than_who_was_passed_over(two: Two) -> None:
    spent = ApiError(status=429, message="the month is spent", code="budget_exhausted")
    await two.begin(Recorder(b=spent))
    two.a.trouble("err=500")
    answer = await two.running.chat(model="both")
    assert answer.status >= 500


async def test_policy_may_send_a_request_elsewhere_while_it_passes_over(two: Two) -> None:
    recorder = Recorder(a="the cap")
    recorder.elsewhere = Route(name="late", upstreams=("b",))
    await two.begin(recorder)
    answer = await two.running.chat(model="both")
    assert (answer.status, answer.headers["x-fleet-route"]) == (200, "late")


async def test_a_ticket_behind_the_model_is_no_route_without_a_policy(two: Two) -> None:
    await two.begin(Recorder())
    assert (await two.running.chat(model="both@SEC-1")).status == 404
