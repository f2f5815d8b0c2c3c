"""What is sensitive reaches nobody who may not see it: under fallback, retry, downgrade and the loss of a node."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gateway_harness import until
from policy_kit import ANN, GRAY, GRAY_ROUTES, ROUTES, SMALL, TERMS, Policed, a_key, api, begin, own

from fleet.sim.upstreams.mlx import SimulatedMlx
from fleet.sim.upstreams.openrouter import SimulatedOpenRouter
from fleet.traffic.config import Breaker, Retries, Route, Upstream
from fleet.traffic.policy import Policy, Repo, Scanning
from fleet.vocabulary.names import Sensitivity, Track

Front = Callable[..., Awaitable[Policed]]
REPOS = (
    Repo(pattern="customers/*", sensitivity=Sensitivity.RESTRICTED),
    Repo(pattern="acme/shop", sensitivity=Sensitivity.SENSITIVE),
    Repo(pattern="acme/web", sensitivity=Sensitivity.PUBLIC),
)
SECRET = "my key is AKIA" + "ABCDEFGHIJKLMNOP"


@pytest.fixture(name="front")
async def _front(tmp_path: Path) -> AsyncIterator[Front]:
    async with AsyncExitStack() as stack:

        async def go(**changes: Any) -> Policed:
            terms = changes.pop("terms", {})
            policy = Policy(**{"ledger_file": str(tmp_path / "ledger"), "dollar": TERMS, "repos": REPOS, **terms})
            return await begin(stack, tmp_path, policy=policy, **changes)

        yield go


def named(repo: str) -> dict[str, str]:
    return {"x-fleet-repo": repo}


async def test_what_is_restricted_runs_at_home_or_nowhere(front: Front) -> None:
    running = await front()
    assert await running.code("cheap", headers=named("customers/secret")) == (503, "sensitivity_no_route")
    answer = await running.ask("mixed", headers=named("git@github.com:customers/secret.git"))
    assert (answer.status, answer.headers["x-fleet-upstream"]) == (200, "mini-1.chat")
    assert answer.headers["x-fleet-sensitivity"] == "restricted"
    running.gateway.upstreams.live["mini-1.chat"].refuted("away")
    assert await running.code("mixed", headers=named("customers/secret")) == (503, "sensitivity_no_route")
    assert running.sent == []


async def test_what_is_sensitive_goes_to_openrouter_only_under_terms_that_no_client_can_weaken(front: Front) -> None:
    running = await front()
    said = {"provider": {"zdr": False, "data_collection": "allow", "sort": "price"}, "plugins": [{"id": "web"}]}
    answer = await running.http.post(
        f"{running.url}/v1/chat/completions",
        json={"model": "cheap", "messages": [{"role": "user", "content": "x"}], **said},
        headers={"Authorization": "Bearer sk-ann-0123456789", **named("acme/shop")},
    )
    assert answer.status == 200
    (body,) = running.sent
    assert body["provider"] == {"zdr": True, "data_collection": "deny", "sort": "price"}
    assert "plugins" not in body
    assert running.openrouter.bill.generations[0].provider == "Quiet"


async def test_an_api_that_cannot_promise_it_gets_nothing_that_is_sensitive(front: Front) -> None:
    def lab(openrouter: SimulatedOpenRouter, mlx: SimulatedMlx) -> tuple[Upstream, ...]:
        other = api(openrouter, "lab", "sim/echo-small", engine="openai_compatible")
        return other, own(mlx)

    running = await front(upstreams=lab, routes=(Route(name="lab", upstreams=("openrouter/lab",), track=Track.TOKEN),))
    assert await running.code("lab", headers=named("acme/shop")) == (503, "sensitivity_no_route")
    assert running.sent == []
    assert (await running.ask("lab")).status == 200


@pytest.mark.parametrize(
    ("asked", "label"),
    [
        ({}, "internal"),
        ({"headers": {"x-fleet-sensitivity": "public"}}, "public"),
        ({"headers": {"x-fleet-sensitivity": "sensitive", "x-fleet-repo": "acme/web"}}, "sensitive"),
        ({"headers": {"x-fleet-sensitivity": "public", "x-fleet-repo": "acme/shop"}}, "sensitive"),
        ({"fleet": {"repo": "acme/web", "sensitivity": "public"}}, "public"),
        ({"fleet": {"sensitivity": "restricted"}, "headers": {"x-fleet-sensitivity": "public"}}, "restricted"),
        ({"key": "gray"}, "public"),
        ({"key": "gray", "headers": {"x-fleet-repo": "nobody/knows"}}, "internal"),
    ],
)
async def test_the_highest_of_all_labels_counts(front: Front, asked: dict[str, Any], label: str) -> None:
    running = await front()
    answer = await running.ask("home", **asked)
    assert (answer.status, answer.headers["x-fleet-sensitivity"]) == (200, label)
    assert (await running.requests())[0].sensitivity.value == label


async def test_a_label_that_is_none_is_refused(front: Front) -> None:
    running = await front()
    assert await running.code("home", headers={"x-fleet-sensitivity": "secret"}) == (400, "unknown_sensitivity")


async def test_a_route_has_a_floor_also_for_what_folds_to_it(front: Front) -> None:
    floor = (
        Route(name="cheap", upstreams=("openrouter/flash",), track=Track.TOKEN, sensitivity=Sensitivity.RESTRICTED),
        *ROUTES[1:],
    )
    running = await front(routes=floor, terms={"dollar": msgspec.structs.replace(TERMS, without_ticket="fold")})
    assert await running.code("hard") == (503, "sensitivity_no_route")
    assert running.sent == []


async def test_a_private_route_stays_at_home_whatever_its_upstreams(front: Front) -> None:
    routes = (Route(name="both", upstreams=("openrouter/flash", "mini-1.chat"), track=Track.PRIVATE),)
    running = await front(routes=routes)
    answer = await running.ask("both", headers={"x-fleet-sensitivity": "public"})
    assert (answer.status, answer.headers["x-fleet-upstream"]) == (200, "mini-1.chat")
    assert running.sent == []


async def test_a_secret_in_the_text_raises_the_label_before_anything_goes_out(front: Front) -> None:
    running = await front(terms={"scanning": Scanning(scan="paid", raise_to=Sensitivity.RESTRICTED)})
    assert await running.code("cheap", say=SECRET) == (503, "sensitivity_no_route")
    assert running.sent == []
    row = (await running.requests())[0]
    assert row.sensitivity is Sensitivity.RESTRICTED
    assert SECRET not in str(row)


async def test_a_secret_marks_its_session_also_after_a_restart(front: Front, tmp_path: Path) -> None:
    scanning = Scanning(scan="paid", raise_to=Sensitivity.RESTRICTED, taint_days=30)
    running = await front(terms={"scanning": scanning})
    session = {"x-fleet-session": "s-1"}
    assert (await running.code("cheap", say=SECRET, headers=session))[0] == 503
    assert (await running.code("cheap", say="go on", headers=session))[0] == 503
    assert (await running.ask("cheap", say="go on")).status == 200
    await running.rows()
    await running.office.close()
    async with AsyncExitStack() as stack:
        policy = running.current.loaded.config.policy
        again = await begin(stack, tmp_path, policy=policy, openrouter=running.openrouter, mlx=running.mlx)
        assert (await again.code("cheap", say="go on", headers=session))[0] == 503


# --- show 6 -----------------------------------------------------------------------------------------------------------

LABELS = ("public", "internal", "sensitive", "restricted")
EVERYWHERE = (
    Route(name="cheap", upstreams=("openrouter/flash",), track=Track.TOKEN, gray="owl"),
    *GRAY_ROUTES[1:2],
    Route(name="mixed", upstreams=("mini-1.chat", "openrouter/flash"), track=Track.TOKEN, gray="owl"),
    Route(name="away", upstreams=("openrouter/large", "openrouter/flash", "mini-2.chat"), track=Track.TOKEN),
    Route(name="home", upstreams=("mini-1.chat", "mini-2.chat"), track=Track.PRIVATE),
    Route(name="hard", upstreams=("openrouter/large",), track=Track.DOLLAR, folds_to="mixed"),
)


@pytest.mark.parametrize("seed", range(3))
async def test_a_restricted_request_never_reaches_an_api_whatever_breaks(front: Front, seed: int) -> None:
    """Show 6, counted at the simulated upstreams: every request says in its text what it is."""
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(SimulatedMlx())

        def upstreams(openrouter: SimulatedOpenRouter, mlx: SimulatedMlx) -> tuple[Upstream, ...]:
            return (
                api(openrouter, "flash", "sim/echo-small"),
                api(openrouter, "large", "sim/echo-large"),
                api(openrouter, "owl", "sim/owl-alpha", SMALL),
                own(mlx),
                own(second, "mini-2.chat"),
            )

        dollar = msgspec.structs.replace(TERMS, monthly_usd="0.001", over_budget="fold", without_ticket="fold")
        running = await front(
            routes=EVERYWHERE,
            upstreams=upstreams,
            terms={"dollar": dollar},
            keys=(ANN, GRAY, a_key("vault", sensitivity=Sensitivity.RESTRICTED)),
            breaker=Breaker(failures=10**6),
            retries=Retries(burst=10**6),
        )
        faults = ("", "", "err=500", "err=429", "drop", "cut=0", "midfail=0", "body_error")

        async def one(number: int) -> None:
            label = chance.choice(LABELS)
            headers = {"x-fleet-sensitivity": label}
            if label == "restricted" and chance.random() < 0.5:
                headers = named("customers/a")
            await running.ask(
                chance.choice(("cheap", "mixed", "away", "home", "hard", "hard@SEC-1", "owl", "flash", "large", "own")),
                key=chance.choice(("ann", "gray", "vault"))
                if label == "restricted"
                else chance.choice(("ann", "gray")),
                say=f"label-{label} {number}",
                headers=headers,
                stream=chance.random() < 0.5,
                max_tokens=20,
                models=["sim/owl-alpha"],
            )

        for round_number in range(12):
            for upstream in (running.openrouter, running.mlx, second):
                upstream.trouble(chance.choice(faults), times=chance.randrange(4))
            away = chance.choice((None, "mini-1.chat", "mini-2.chat"))
            if away is not None:
                running.gateway.upstreams.live[away].refuted("lost")
            await asyncio.gather(*(one(round_number * 20 + at) for at in range(20)))
            for live in running.gateway.upstreams.live.values():
                live.proved(asyncio.get_running_loop().time())
        said = [str(body["messages"]) for body in running.sent]
        assert said
        assert not [text for text in said if "label-restricted" in text]
        open_to_all = [body for body in running.sent if "label-sensitive" in str(body["messages"])]
        assert open_to_all
        assert all(body["provider"]["zdr"] is True for body in open_to_all)
        assert all(body["provider"]["data_collection"] == "deny" for body in open_to_all)
        assert not [body for body in running.sent if "models" in body]
        gray = [body for body in running.sent if body["model"] == "sim/owl-alpha"]
        assert not [body for body in gray if "label-public" not in str(body["messages"])]
        await until(lambda: len(running.books.outcomes) == 240)
