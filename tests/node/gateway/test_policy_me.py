"""The owner of a key sees what it may and what it used, and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from policy_kit import ANN, TERMS, Policed, a_key, begin, text_of_key

from fleet.traffic.keyring import KeyLimits
from fleet.traffic.policy import Policy

Front = Callable[..., Awaitable[Policed]]
BEN = a_key(
    "ben",
    person="ben",
    team="web",
    limits=KeyLimits(monthly_usd="2", monthly_tokens=10_000, requests_per_minute=10, concurrency=3),
)


@pytest.fixture(name="front")
async def _front(tmp_path: Path) -> AsyncIterator[Front]:
    async with AsyncExitStack() as stack:

        async def go(**changes: Any) -> Policed:
            policy = Policy(ledger_file=str(tmp_path / "ledger"), dollar=TERMS, budget_share="0.5")
            return await begin(stack, tmp_path, policy=policy, keys=(ANN, BEN), **changes)

        yield go


async def me(running: Policed, key: str | None) -> Any:
    headers = {"Authorization": f"Bearer {text_of_key(key)}"} if key else {}
    answer = await running.http.get(f"{running.url}/me", headers=headers)
    return answer.status, await answer.json()


async def test_a_key_is_told_what_it_used_of_this_fronts_part_of_its_caps(front: Front) -> None:
    running = await front()
    for _ in range(2):
        assert (await running.ask(key="ben")).status == 200
    await running.requests()
    status, said = await me(running, "ben")
    assert status == 200
    assert (said["key"], said["person"], said["team"]) == ("ben", "ben", "web")
    month = said["month"]
    assert month["cap_usd"] == "1"
    assert month["cap_tokens"] == 5_000
    assert Decimal(month["spent_usd"]) * 10**12 == running.openrouter.bill.total_pico > 0
    assert Decimal(month["left_usd"]) == 1 - Decimal(month["spent_usd"])
    assert month["left_tokens"] == 5_000 - month["tokens"] < 5_000
    assert (said["minute"]["requests"], said["minute"]["requests_limit"], said["minute"]["at_once"]) == (2, 10, 0)
    assert said["paid_routes"] == "open"


async def test_a_key_without_bounds_has_none_and_sees_nobody_elses_use(front: Front) -> None:
    running = await front()
    assert (await running.ask(key="ben")).status == 200
    await running.requests()
    status, said = await me(running, "ann")
    assert status == 200
    assert said["month"]["spent_usd"] == "0"
    assert said["month"]["cap_usd"] is said["month"]["left_tokens"] is said["minute"]["requests"] is None
    assert "ben" not in str(said)


async def test_without_a_key_nothing_is_told(front: Front) -> None:
    running = await front()
    assert (await me(running, None))[0] == 401
    assert (await me(running, "nobody"))[0] == 401
