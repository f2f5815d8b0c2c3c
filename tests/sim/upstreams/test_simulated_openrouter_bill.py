"""What the simulated OpenRouter bills, and tells of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_http import Raw, ask

from fleet.sim.upstreams.openrouter import KEY, MODELS, Bill, Generation, SimulatedOpenRouter
from fleet.sim.upstreams.openrouter.bill import price
from fleet.sim.upstreams.openrouter.catalogue import Provider
from fleet.sim.upstreams.openrouter.datasets import rankings
from fleet.sim.upstreams.openrouter.free import FreeLimits
from fleet.sim.upstreams.openrouter.money import pico, usd

CHAT = "/api/v1/chat/completions"
AUTH = {"Authorization": f"Bearer {KEY}"}
CANCELS, BILLS_ALL = "sim/echo-small", "sim/echo-large"


@pytest.fixture(name="openrouter")
async def _openrouter() -> AsyncIterator[SimulatedOpenRouter]:
    async with SimulatedOpenRouter() as running:
        yield running


def a_chat(text: str, *, model: str = CANCELS, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


async def asked(openrouter: SimulatedOpenRouter, path: str) -> Raw:
    return await ask(openrouter.port, f"/api/v1{path}", headers=AUTH)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.005)


async def billed(openrouter: SimulatedOpenRouter, generation_id: str) -> Generation:
    await until(lambda: openrouter.bill.find(generation_id))
    return openrouter.bill.generations[-1]


async def left_after(openrouter: SimulatedOpenRouter, seen: bytes, body: dict[str, Any]) -> Generation:
    await ask(openrouter.port, CHAT, body, headers=AUTH, leave_after=seen)
    await until(lambda: openrouter.bill.generations)
    return openrouter.bill.generations[-1]


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_is_billed_at_what_its_usage_says(openrouter: SimulatedOpenRouter, stream: bool) -> None:
    for model in (CANCELS, BILLS_ALL, "sim/echo-tiny"):
        answer = await ask(openrouter.port, CHAT, a_chat("Hello there", model=model, stream=stream), headers=AUTH)
        said = answer.events[-2] if stream else answer.body
        usage = json.loads(said, parse_float=Decimal)["usage"]
        line = await billed(openrouter, answer.headers["x-generation-id"])
        assert (line.model, line.streamed, line.cancelled) == (model, stream, False)
        assert (line.prompt_tokens, line.completion_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])
        assert line.cost == usage["cost"]


async def test_a_provider_that_cancels_bills_what_was_said(openrouter: SimulatedOpenRouter) -> None:
    line = await left_after(openrouter, b"w3 ", a_chat("@@tokens=500,gap=5@@", stream=True))
    assert line.cancelled
    assert 4 <= line.completion_tokens < 500
    assert line.cost_pico == 100_000 * line.prompt_tokens + 400_000 * line.completion_tokens


async def test_a_provider_that_does_not_cancel_bills_it_all(openrouter: SimulatedOpenRouter) -> None:
    line = await left_after(openrouter, b"w3 ", a_chat("@@tokens=500,gap=5@@", model=BILLS_ALL, stream=True))
    assert line.cancelled
    assert line.completion_tokens == 500


@pytest.mark.parametrize("stream", [True, False])
async def test_who_leaves_before_the_first_token_pays_nothing_where_cancelling_works(
    openrouter: SimulatedOpenRouter, stream: bool
) -> None:
    body = a_chat("@@tokens=9,first=4000@@", stream=stream)
    if stream:
        line = await left_after(openrouter, b"PROCESSING", body)
    else:
        task = asyncio.create_task(ask(openrouter.port, CHAT, body, headers=AUTH, patience=0.05))
        await task
        await until(lambda: openrouter.bill.generations)
        line = openrouter.bill.generations[-1]
    assert (line.cancelled, line.cost_pico) == (True, 0)
    assert openrouter.exchanges[-1].closed_at is not None


@pytest.mark.parametrize("switch", ["midfail=1", "choice_error"])
async def test_an_answer_that_failed_is_not_billed(openrouter: SimulatedOpenRouter, switch: str) -> None:
    body = a_chat(f"one two @@{switch}@@", stream=switch.startswith("mid"))
    await ask(openrouter.port, CHAT, body, headers=AUTH)
    await until(lambda: openrouter.bill.generations)
    assert (openrouter.bill.total_pico, openrouter.bill.generations[0].finish_reason) == (0, "error")


async def test_a_cut_of_the_network_is_billed_in_full(openrouter: SimulatedOpenRouter) -> None:
    answer = await ask(openrouter.port, CHAT, a_chat("@@tokens=50,cut=900@@", stream=True), headers=AUTH)
    assert len(answer.body) == 900
    await until(lambda: openrouter.bill.generations)
    assert openrouter.bill.generations[0].completion_tokens == 50


async def test_what_was_refused_is_not_on_the_bill(openrouter: SimulatedOpenRouter) -> None:
    for text, model in (("@@err=500@@", CANCELS), ("hi", "no/such"), ("x" * 40_000, "sim/echo-tiny")):
        await ask(openrouter.port, CHAT, a_chat(text, model=model), headers=AUTH)
    assert openrouter.bill.generations == []


async def test_a_generation_is_known_after_its_lag(openrouter: SimulatedOpenRouter) -> None:
    openrouter.lag_seconds = 0.1
    answer = await ask(openrouter.port, CHAT, a_chat("Hello"), headers=AUTH)
    path = f"/generation?id={answer.headers['x-generation-id']}"
    assert (await asked(openrouter, path)).status == 404
    await asyncio.sleep(0.12)
    told = (await asked(openrouter, path)).json["data"]
    assert (told["model"], told["cancelled"], told["provider_name"]) == (CANCELS, False, "Quick")
    assert told["total_cost"] == float(openrouter.bill.generations[0].cost)
    assert (await asked(openrouter, "/generation?id=gen-unknown")).status == 404


async def test_the_key_counts_what_was_spent_and_stops_at_its_limit() -> None:
    async with SimulatedOpenRouter(limit=Decimal("0.00001")) as openrouter:
        statuses = []
        for _ in range(9):
            answer = await ask(openrouter.port, CHAT, a_chat("Hello there", max_tokens=4), headers=AUTH)
            statuses.append(answer.status)
        assert statuses == [200] * 5 + [402] * 4, "1.8e-6 USD each"
        told = json.loads((await asked(openrouter, "/key")).body, parse_float=Decimal)["data"]
        assert told["usage"] == told["usage_daily"] == told["usage_monthly"] == Decimal("0.000009")
        assert told["limit_remaining"] == Decimal("0.000001")
        dear = await ask(openrouter.port, CHAT, a_chat("Hello", max_tokens=10**6), headers=AUTH)
        assert dear.status == 402


async def test_the_bill_can_be_read_and_holds_no_text(openrouter: SimulatedOpenRouter) -> None:
    await ask(openrouter.port, CHAT, a_chat("a secret"), headers=AUTH)
    told = await ask(openrouter.port, "/_sim/bill")
    assert told.json["total_pico"] == openrouter.bill.total_pico > 0
    assert b"secret" not in told.body + (await ask(openrouter.port, "/_sim/requests")).body


async def test_the_bill_outlives_a_restart(tmp_path: Path) -> None:
    async with SimulatedOpenRouter(folder=tmp_path) as first:
        await ask(first.port, CHAT, a_chat("Hello"), headers=AUTH)
    assert Bill(tmp_path).generations == first.bill.generations != []


async def test_endpoints_without_retention_are_listed(openrouter: SimulatedOpenRouter) -> None:
    told = (await asked(openrouter, "/endpoints/zdr")).json["data"]
    assert {(one["model_id"], one["provider_name"]) for one in told} == {
        (CANCELS, "Quiet"),
        (BILLS_ALL, "Bedrock"),
    }


async def test_rankings_are_rows_per_model_and_week(openrouter: SimulatedOpenRouter) -> None:
    path = "/datasets/rankings-daily?period=week&start_date=2026-11-02&end_date=2026-11-15"
    told = (await asked(openrouter, path)).json
    assert {row["date"] for row in told["data"]} == {"2026-11-02", "2026-11-09"}
    assert all(row["total_tokens"].isdecimal() for row in told["data"])
    slugs = {row["model_permaslug"] for row in told["data"]}
    models = (await ask(openrouter.port, "/api/v1/models")).json["data"]
    assert {one["canonical_slug"] for one in models} <= slugs
    assert "other" in slugs
    assert (await asked(openrouter, "/datasets/rankings-daily?period=year")).status == 400


@given(start=st.dates(date(2026, 1, 1), date(2026, 12, 31)), days=st.integers(0, 60))
def test_a_week_begins_on_monday_and_the_same_week_has_the_same_numbers(start: date, days: int) -> None:
    end = date.fromordinal(start.toordinal() + days)
    query = {"period": "week", "start_date": start.isoformat(), "end_date": end.isoformat()}
    status, body = rankings(MODELS, query, today=end)
    assert status == 200
    assert all(date.fromisoformat(row["date"]).weekday() == 0 for row in body["data"])
    assert body == rankings(MODELS, query, today=end)[1]


@given(tokens=st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), at=st.tuples(st.integers(0, 10**9)))
def test_no_price_is_rounded(tokens: tuple[int, int], at: tuple[int]) -> None:
    text = str(usd(at[0]))
    assert pico(text) == at[0]
    provider = Provider(name="x", prompt=text, completion="0.0000000028")
    cost = price(provider, prompt_tokens=tokens[0], completion_tokens=tokens[1])
    assert usd(cost) == Decimal(text) * tokens[0] + Decimal("0.0000000028") * tokens[1]


def test_what_is_finer_than_a_pico_dollar_is_refused() -> None:
    with pytest.raises(ValueError):
        pico("0.0000000000001")


def test_every_model_of_the_catalogue_has_an_exact_price() -> None:
    assert all(pico(one.prompt) >= 0 and pico(one.completion) >= 0 for model in MODELS for one in model.providers)


def test_usage_is_told_by_day_week_and_month() -> None:
    bill = Bill()
    for day in (1, 15, 16, 20):
        at = datetime(2026, 11, day, tzinfo=UTC)
        bill.add(
            Generation(id=str(day), model="m", provider="p", prompt_tokens=1, completion_tokens=1, cost_pico=1, at=at)
        )
    told = bill.usage(datetime(2026, 11, 20, 12, tzinfo=UTC))
    assert {name: pico(value) for name, value in told.items()} == {
        "usage": 4,
        "usage_daily": 1,
        "usage_weekly": 2,
        "usage_monthly": 4,
    }


@given(gaps=st.lists(st.floats(0, 5000), max_size=120))
def test_a_free_variant_never_gets_more_than_its_limits(gaps: list[float]) -> None:
    limits, now, taken = FreeLimits(), 0.0, []
    for gap in gaps:
        now += gap
        if limits.wait_seconds("m", now=now) is None:
            taken.append(now)
    for end in taken:
        assert sum(end - 60 < one <= end for one in taken) <= 20
        assert sum(end - 86_400 < one <= end for one in taken) <= 50


async def test_it_runs_as_a_process_until_it_is_told_to_stop(tmp_path: Path) -> None:
    words = ["-m", "fleet.sim.upstreams.openrouter", "--port", "0", "--state", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            url = (await process.stdout.readline()).decode().strip()
        port = int(url.removeprefix("http://127.0.0.1:").removesuffix("/api"))
        answer = await ask(port, CHAT, a_chat("Hello"), headers=AUTH)
        assert answer.json["choices"][0]["message"]["content"] == "You said: Hello"
    finally:
        process.terminate()
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    assert len(Bill(tmp_path).generations) == 1
