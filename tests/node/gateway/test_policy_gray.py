"""Whose requests go gray, what a refusal looks like (like nothing), and what the pool does when its model is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from policy_kit import GRAY, GRAY_ROUTES, TERMS, Policed, a_key, begin

from fleet.traffic.config import Route
from fleet.traffic.gray.standing import DISABLED
from fleet.traffic.policy import GrayTerms, Policy, Repo
from fleet.vocabulary.contracts.ledger import Note
from fleet.vocabulary.names import Sensitivity, Track

Front = Callable[..., Awaitable[Policed]]
OWL = "sim/owl-alpha"
PUBLIC = {"x-fleet-sensitivity": "public"}


@pytest.fixture(name="front")
async def _front(tmp_path: Path) -> AsyncIterator[Front]:
    async with AsyncExitStack() as stack:

        async def go(**changes: Any) -> Policed:
            terms = changes.pop("terms", {})
            policy = Policy(**{"ledger_file": str(tmp_path / "ledger"), "dollar": TERMS, **terms})
            return await begin(stack, tmp_path, **{"routes": GRAY_ROUTES, "policy": policy, **changes})

        yield go


def routes_with(**terms: Any) -> tuple[Route, ...]:
    changed = msgspec.structs.replace(GRAY_ROUTES[1], gray_terms=GrayTerms(**{"unlabelled": True, **terms}))
    return (GRAY_ROUTES[0], changed, *GRAY_ROUTES[2:])


async def asked(running: Policed, times: int, **how: Any) -> list[bool]:
    """Whether each of so many requests, one after the other, went gray."""
    before = len(running.sent)
    for _ in range(times):
        assert (await running.ask(**{"key": "gray", **how})).status == 200
    return [body["model"] == OWL for body in running.sent[before:]]


async def test_every_tenth_request_of_a_key_that_may_goes_gray_and_says_so(front: Front) -> None:
    running = await front()
    assert await asked(running, 21) == [False] * 9 + [True] + [False] * 9 + [True] + [False]
    answers = [await running.ask(key="gray") for _ in range(9)]
    answer = answers[-1]
    assert answer.headers["x-fleet-track"] == "gray"
    assert (answer.headers["x-fleet-gray"], answer.headers["x-fleet-route"]) == ("owl", "cheap")
    assert "x-fleet-gray" not in answers[0].headers
    rows = await running.requests()
    assert [row.gray for row in rows].count(True) == 3
    assert all(row.eligible for row in rows)
    assert {(row.route, row.track) for row in rows if row.gray} == {("owl", Track.GRAY)}
    assert [one.gray for one in await running.reservations()].count(True) == 3


@pytest.mark.parametrize(
    "how",
    [
        {"key": "ann", "headers": PUBLIC},
        {"headers": {"x-fleet-sensitivity": "internal"}},
        {"say": "AKIA" + "ABCDEFGHIJKLMNOP"},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}
            ]
        },
    ],
)
async def test_what_may_not_go_gray_is_served_by_the_proven_route(front: Front, how: dict[str, Any]) -> None:
    running = await front()
    assert await asked(running, 12, **how) == [False] * 12
    assert not any(row.eligible for row in await running.requests())


async def test_without_a_repository_nothing_goes_gray_unless_the_pool_says_so(front: Front) -> None:
    repos = (Repo(pattern="acme/web", sensitivity=Sensitivity.PUBLIC),)
    running = await front(routes=routes_with(unlabelled=False), terms={"repos": repos})
    assert await asked(running, 12) == [False] * 12
    assert any(await asked(running, 12, headers={"x-fleet-repo": "acme/web"}))


async def test_the_gray_route_by_name_and_its_model_by_name_have_no_more_than_the_share(front: Front) -> None:
    running = await front()
    by_name = await asked(running, 20, route="owl")
    by_model = await asked(running, 20, route="owl")
    assert by_name.count(True) + by_model.count(True) <= 4
    answer = await running.ask("owl", key="ann")
    assert (answer.status, answer.headers["x-fleet-downgraded"]) == (200, "gray-key")
    assert await asked(running, 12, key="ann", route="owl", headers=PUBLIC) == [False] * 12


async def test_a_share_of_nothing_and_a_pool_that_is_off_are_the_same_to_a_client(front: Front) -> None:
    running = await front(routes=routes_with(share="0"))
    assert not any(await asked(running, 15))
    running.reload(routes=GRAY_ROUTES)
    now = running.office.treasury.now
    running.office.treasury.write(Note(id="off", kind=DISABLED, subject="owl", at_milliseconds=now))
    assert not any(await asked(running, 15))
    assert all(row.eligible for row in await running.requests())


async def test_a_gray_attempt_that_fails_is_answered_by_the_proven_route_and_keeps_its_place_in_the_count(
    front: Front,
) -> None:
    running = await front()
    await asked(running, 9)
    running.openrouter.trouble("err=500", times=1)
    answer = await running.ask(key="gray")
    assert (answer.status, answer.headers["x-fleet-upstream"]) == (200, "openrouter/flash")
    assert answer.headers["x-fleet-track"] == "token"
    assert (await running.requests())[-1].gray
    assert not any(await asked(running, 9))


async def test_another_share_begins_at_nothing_and_the_same_keeps_its_credit(front: Front) -> None:
    running = await front()
    await asked(running, 9)
    running.reload(routes=GRAY_ROUTES)
    assert await asked(running, 1) == [True]
    await asked(running, 9)
    running.reload(routes=routes_with(share="0.5"))
    assert await asked(running, 2) == [False, True]


async def test_a_client_cannot_name_the_gray_model_past_the_pool(front: Front) -> None:
    running = await front()
    await running.ask("cheap", key="gray", models=[OWL], route_="x", preset="owl")
    assert "models" not in running.sent[0]
    assert "preset" not in running.sent[0]


async def test_a_gray_upstream_in_a_token_route_is_gray_there_too(front: Front) -> None:
    sneaky = Route(name="sneaky", upstreams=("openrouter/owl", "openrouter/flash"), track=Track.TOKEN)
    running = await front(routes=(*GRAY_ROUTES, sneaky))
    went = await asked(running, 30, route="sneaky")
    assert went.count(True) <= 3
    assert not any(await asked(running, 12, route="sneaky", key="ann"))


async def test_tokens_are_capped_as_well_where_that_is_wanted(front: Front) -> None:
    running = await front(routes=routes_with(token_share="0.10"))
    await asked(running, 120, say="a b c d e f g h i j " * 10, max_tokens=5)
    of_gray = of_all = 0
    for one in running.openrouter.bill.generations:
        tokens = one.prompt_tokens + one.completion_tokens
        of_all += tokens
        of_gray += tokens if one.model == OWL else 0
        assert of_gray * 10 <= of_all


async def test_requests_at_once_do_not_share_a_credit(front: Front) -> None:
    running = await front(keys=(GRAY, a_key("ann")))
    await asked(running, 9)
    await asyncio.gather(*(running.ask(key="gray") for _ in range(30)))
    models = [body["model"] for body in running.sent]
    for count in range(1, len(models) + 1):
        assert models[:count].count(OWL) * 10 <= count
