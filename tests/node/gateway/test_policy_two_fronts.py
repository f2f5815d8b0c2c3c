"""Two fronts that share nothing: together they stay below every cap and the gray share, and either may die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
from policy_kit import GRAY_ROUTES, TERMS, Policed, begin

from fleet.sim.upstreams.mlx import SimulatedMlx
from fleet.sim.upstreams.openrouter import SimulatedOpenRouter
from fleet.traffic.budget.limits import Kind, Scope
from fleet.traffic.policy import Policy, TrackTerms
from fleet.vocabulary.money import pico

CAP = "0.01"


class Pair:
    """Two fronts of one inventory, each with half of every cap; both ask the same API."""

    def __init__(self, stack: AsyncExitStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder

    async def begin(self) -> None:
        self.openrouter = await self.stack.enter_async_context(SimulatedOpenRouter())
        self.mlx = await self.stack.enter_async_context(SimulatedMlx())
        self.first, self.second = [await self.front(name) for name in ("front-1", "front-2")]

    async def front(self, name: str) -> Policed:
        policy = Policy(
            ledger_file=str(self.folder / f"{name}.ledger"),
            budget_share="0.5",
            dollar=msgspec.structs.replace(TERMS, monthly_usd=CAP, over_budget="refuse"),
            tracks={"token": TrackTerms(monthly_usd=CAP)},
        )
        return await begin(
            self.stack,
            self.folder,
            name=name,
            policy=policy,
            routes=GRAY_ROUTES,
            openrouter=self.openrouter,
            mlx=self.mlx,
        )


@pytest.fixture(name="pair")
async def _pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        pair = Pair(stack, tmp_path)
        await pair.begin()
        yield pair


def spent(front: Policed, track: str) -> int:
    book = front.office.treasury.book
    return book.sum(Scope(Kind.TRACK, track), book.calendar.month(front.office.treasury.now)).committed


async def test_together_they_never_spend_more_than_the_cap(pair: Pair) -> None:
    asked = [front.code("hard@SEC-1", max_tokens=20) for _ in range(60) for front in (pair.first, pair.second)]
    codes = [status for status, _ in await asyncio.gather(*asked)]
    assert set(codes) == {200, 402}
    assert spent(pair.first, "dollar") <= pico(CAP) // 2
    assert spent(pair.second, "dollar") <= pico(CAP) // 2
    assert 0 < pair.openrouter.bill.total_pico <= pico(CAP)


async def test_when_one_dies_the_other_serves_everybody_within_its_own_part(pair: Pair) -> None:
    for _ in range(3):
        assert (await pair.first.ask("hard@SEC-1", max_tokens=5)).status == 200
        assert (await pair.second.ask("hard@SEC-1", max_tokens=5)).status == 200
    before = spent(pair.first, "dollar")
    await pair.first.gateway.close()
    answers = [await pair.second.ask(key="gray", max_tokens=5) for _ in range(20)]
    assert {answer.status for answer in answers} == {200}
    while (await pair.second.code("hard@SEC-1", max_tokens=20))[0] == 200:
        pass
    assert spent(pair.second, "dollar") <= pico(CAP) // 2
    assert (await pair.second.ask("home")).status == 200
    assert spent(pair.first, "dollar") == before


async def test_one_that_comes_back_knows_what_it_had_spent(pair: Pair) -> None:
    while (await pair.first.code("hard@SEC-1", max_tokens=20))[0] == 200:
        pass
    before = spent(pair.first, "dollar")
    await pair.first.gateway.close()
    await pair.first.office.close()
    again = await pair.front("front-1")
    assert spent(again, "dollar") == before > 0
    assert await again.code("hard@SEC-1", max_tokens=20) == (402, "budget_exhausted")
    assert (await pair.second.ask("hard@SEC-1", max_tokens=20)).status == 200


async def test_the_gray_share_holds_over_both_without_a_word_between_them(pair: Pair) -> None:
    """Theorem 2: what holds for each holds for the sum, at every prefix of what the API saw."""
    for _ in range(4):
        asked = [front.ask(key="gray", max_tokens=5) for _ in range(12) for front in (pair.first, pair.second)]
        assert {answer.status for answer in await asyncio.gather(*asked)} == {200}
    gray = count = 0
    for exchange in pair.openrouter.exchanges:
        if exchange.request.method == "POST":
            count += 1
            gray += exchange.request.json["model"] == "sim/owl-alpha"
            assert gray <= count // 10
    assert gray > 0
