"""What a front's own rows let it tell of its use: conversations, and money under the model's one name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from policy_kit import Policed, begin

from fleet.node.gateway.ledger.usage import usage
from fleet.vocabulary.contracts.usage import Measure, UsageBy, UsageQuery
from fleet.vocabulary.quantiles import bucket_of


@pytest.fixture(name="front")
async def _front(tmp_path: Path) -> AsyncIterator[Policed]:
    async with AsyncExitStack() as stack:
        yield await begin(stack, tmp_path)


def ledger_file(front: Policed) -> Path:
    return Path(front.policy().ledger_file)


async def test_the_turns_of_a_conversation_are_counted_and_its_name_is_not_kept(front: Policed) -> None:
    for _ in range(3):
        await front.ask(headers={"x-fleet-session": "the-secret-project"})
    await front.ask(say="something else")
    await front.ask(say="something else", key="gray")
    assert len({row.session for row in await front.requests()}) == 3

    (line,) = usage(ledger_file(front), UsageQuery(by=(), measures=(Measure.TURNS,)))

    assert (line.requests, line.sessions) == (5, 3)
    assert line.spreads[Measure.TURNS] == {bucket_of(1): 2, bucket_of(3): 1}
    kept = b"".join(one.read_bytes() for one in ledger_file(front).parent.glob("front-1.ledger*"))
    assert b"secret-project" not in kept
    assert b"something else" not in kept


async def test_requests_and_their_money_stand_under_one_name_of_the_model(front: Policed) -> None:
    await front.ask("cheap")
    await front.ask("home")
    settled = sum(row.pico for row in await front.settlements())
    assert settled > 0

    lines = usage(ledger_file(front), UsageQuery(by=(UsageBy.MODEL, UsageBy.TIER, UsageBy.NODE)))

    assert [(line.names, line.requests, line.spent_pico) for line in lines] == [
        (("flash", "api", ""), 1, settled),
        (("own", "fleet", "mini-1"), 1, 0),
    ]
