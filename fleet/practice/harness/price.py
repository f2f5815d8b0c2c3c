"""What a target costs: as stated, as its server lists it, or nothing on an own machine. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fleet.traffic.budget.reserve import Prompt, Rates, bound
from fleet.traffic.config import Price
from fleet.vocabulary.money import NotMoney, pico_up

FREE = Price()


def listed_price(models: bytes, model: str) -> Price | None:
    """The price of `model` in a list of models (OpenRouter's, or a front's); None = it does not say.

    A front that would ask several upstreams says the dearest of them (`most`), or nothing that holds.
    """
    entry = _entry(models, model)
    fleet = entry.get("fleet")
    if isinstance(fleet, dict):
        upstreams = fleet.get("upstreams")
        several = isinstance(upstreams, list) and len(upstreams) > 1
        return _price(fleet.get("most")) if "most" in fleet or several else _price(entry.get("pricing"))
    return _price(entry.get("pricing"))


def own_upstreams(models: bytes, model: str) -> tuple[str, ...]:
    """The upstreams of a route that cost nothing, where a front says so: what they answer is not billed."""
    fleet = _entry(models, model).get("fleet")
    own = fleet.get("own") if isinstance(fleet, dict) else None
    return tuple(name for name in own if isinstance(name, str)) if isinstance(own, list) else ()


def takes_max_price(models: bytes, model: str) -> bool:
    """Whether the list is OpenRouter's: it says the cheapest provider's price, and `max_price` holds it to that."""
    return "top_provider" in _entry(models, model)


def is_listed(models: bytes, model: str) -> bool:
    """Whether the list has the model."""
    return bool(_entry(models, model))


def worst_case_pico(price: Price, body: bytes, *, messages: int, max_tokens: int) -> int:
    """What a request can cost at most. A tokenizer over bytes makes no more tokens than there are bytes in the body."""
    asked = Prompt(text_bytes=len(body), messages=messages)
    found = bound(asked, Rates.of(price), max_tokens=max_tokens)
    assert found is not None  # only a prompt with files is unbounded
    return found.pico


def _entry(models: bytes, model: str) -> Mapping[str, Any]:
    try:
        listed = msgspec.json.decode(models)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    data = listed.get("data") if isinstance(listed, dict) else None
    for entry in data if isinstance(data, list) else ():
        if isinstance(entry, dict) and model in (entry.get("id"), entry.get("canonical_slug")):
            return entry
    return {}


def _price(pricing: object) -> Price | None:
    """Prices of a list, if they bound what is asked: without conditions, and no part of them unknown or negative."""
    if not isinstance(pricing, dict) or pricing.get("overrides"):
        return None
    parts = {name: pricing.get(name, "0") for name in ("prompt", "completion", "request")}
    if not pricing.get("prompt") or not pricing.get("completion"):
        return None
    try:
        if any(pico_up(str(part)) < 0 for part in parts.values()):
            return None
    except NotMoney:
        return None
    return Price(**{name: str(part) for name, part in parts.items()})
