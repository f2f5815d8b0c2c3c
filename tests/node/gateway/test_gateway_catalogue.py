"""What OpenRouter's list of models says, read from the simulated one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.engines import engine
from fleet.node.gateway.caller import HttpCaller
from fleet.node.gateway.catalogue import Catalogue, ModelFacts, parse_catalogue
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.sim.upstreams.openrouter import MODELS, SimulatedOpenRouter
from fleet.traffic.config import GatewayConfig, Listen, Price, Upstream
from fleet.vocabulary.names import GatewayRole

CONFIG = GatewayConfig(node="front", role=GatewayRole.FRONT, listen=Listen(host="127.0.0.1", port=1), keys_file="k")


def an_upstream(url: str, *, model: str = "sim/echo-small", kind: str = "openrouter") -> LiveUpstream:
    spec = Upstream(name="cloud", kind="api", url=url, engine=kind, serves="cloud", model=model)
    return LiveUpstream(spec, engine(kind))


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.005)


async def test_prices_and_contexts_are_read_at_the_start_without_a_key() -> None:
    async with SimulatedOpenRouter() as openrouter:
        caller = HttpCaller()
        catalogue = Catalogue(caller=caller, config=lambda: CONFIG)
        small, gone = an_upstream(openrouter.url), an_upstream(openrouter.url, model="sim/gone-alpha")
        floor = an_upstream(openrouter.url, model="sim/echo-small:floor")
        assert catalogue.facts(small) is None
        assert catalogue.listed(small) is None
        catalogue.follow([small, gone, floor])
        await until(lambda: catalogue.listed(small))
        assert catalogue.facts(small) == catalogue.facts(floor)
        assert catalogue.facts(small) == ModelFacts(
            price=Price(prompt="0.0000001", completion="0.0000004"),
            context_tokens=131_072,
            canonical_slug="sim/echo-small-2026-11-01",
        )
        assert catalogue.listed(gone) is False
        assert len(openrouter.exchanges) == 1, "one reading for all upstreams of a URL"
        await catalogue.close()
        caller.close()


async def test_the_last_good_list_stays_while_openrouter_is_down_and_a_new_one_replaces_it() -> None:
    openrouter = await SimulatedOpenRouter().start()
    caller = HttpCaller()
    catalogue = Catalogue(caller=caller, config=lambda: CONFIG, gap_seconds=0.02, retry_seconds=0.02)
    upstream = an_upstream(openrouter.url)
    catalogue.follow([upstream])
    await until(lambda: catalogue.listed(upstream))
    port = openrouter.port
    await openrouter.stop()
    await asyncio.sleep(0.1)
    assert catalogue.facts(upstream) is not None
    async with SimulatedOpenRouter(models=MODELS[1:]) as again:
        await again.stop()
        await again.start(port)
        await until(lambda: catalogue.listed(upstream) is False)
    await catalogue.close()
    caller.close()


async def test_what_is_no_openrouter_is_not_asked_and_what_left_is_forgotten() -> None:
    async with SimulatedOpenRouter() as openrouter:
        caller = HttpCaller()
        catalogue = Catalogue(caller=caller, config=lambda: CONFIG)
        other = an_upstream(openrouter.url, kind="openai_compatible")
        catalogue.follow([other])
        upstream = an_upstream(openrouter.url)
        catalogue.follow([other, upstream])
        await until(lambda: catalogue.listed(upstream))
        catalogue.follow([other])
        assert catalogue.listed(upstream) is None
        await catalogue.close()
        caller.close()


def parsed(**entry: Any) -> ModelFacts:
    return parse_catalogue(json.dumps({"data": [{"id": "m", **entry}]}).encode())["m"]


@pytest.mark.parametrize(
    ("said", "price"),
    [
        ({"prompt": "0.0000001", "completion": "0.0000004"}, Price(prompt="0.0000001", completion="0.0000004")),
        ({"prompt": "2.8e-9", "completion": "0"}, Price(prompt="0.0000000028", completion="0")),
        ({"prompt": 1e-7, "completion": 0}, Price(prompt="0.0000001", completion="0")),
        ({"prompt": "-1", "completion": "-1"}, None),
        ({"prompt": "0.1"}, None),
        ({"prompt": "free", "completion": "0"}, None),
        ({"prompt": "NaN", "completion": "0"}, None),
        ({"prompt": "1e-999999", "completion": "0"}, None),
        ({"prompt": "1e999999", "completion": "0"}, None),
        ({"prompt": True, "completion": "0"}, None),
        (None, None),
        ([], None),
    ],
)
def test_a_price_is_exact_or_unknown_and_never_free_by_mistake(said: object, price: Price | None) -> None:
    assert parsed(pricing=said).price == price


@pytest.mark.parametrize(
    ("said", "day"),
    [("2026-12-01", date(2026, 12, 1)), ("2026-12-01T00:00:00Z", date(2026, 12, 1)), ("2098-12-31", None)]
    + [(odd, None) for odd in (None, "soon", 5, "2026-13-01", "")],
)
def test_a_model_expires_on_a_day_or_stays(said: object, day: date | None) -> None:
    assert parsed(expiration_date=said).expires_on == day


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"data": {}}', b'{"data": [1, {"id": 5}, {}]}', b"\xff"])
def test_a_body_that_is_no_list_knows_no_model(body: bytes) -> None:
    assert parse_catalogue(body) == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
entries = st.dictionaries(
    st.sampled_from(["id", "pricing", "context_length", "expiration_date", "canonical_slug"]),
    json_values | st.dictionaries(st.sampled_from(["prompt", "completion"]), json_values),
)


@given(data=st.lists(entries) | json_values)
def test_any_list_is_read(data: object) -> None:
    for facts in parse_catalogue(json.dumps({"data": data}).encode()).values():
        assert facts.price is None or Decimal(facts.price.prompt) >= 0
        assert facts.context_tokens is None or facts.context_tokens > 0


@given(digits=st.decimals(min_value=0, max_value=1, places=15, allow_nan=False))
def test_no_digit_of_a_price_is_lost(digits: Decimal) -> None:
    price = parsed(pricing={"prompt": str(digits), "completion": "0"}).price
    assert price is not None
    assert Decimal(price.prompt) == digits
