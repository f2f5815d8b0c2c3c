"""Whom to measure, as a person writes it: `api=openrouter-flash`, `mlx=http://127.0.0.1:8800/v1,tier=laptop`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlsplit

from fleet.errors import UsageError
from fleet.practice.harness.price import FREE
from fleet.traffic.config import Price
from fleet.vocabulary.hosts import is_loopback
from fleet.vocabulary.money import NotMoney, pico_up
from fleet.vocabulary.names import Tier

FRONT = "front"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_PARTS = ("model", "key", "tier", "price")
_MILLION = Decimal(1_000_000)
_FINEST = -30
"""The power of ten of a price per token below which nobody means it."""
_FORM = "NAME=MODEL, or NAME=https://HOST/v1,model=MODEL,key=env:NAME,price=IN/OUT"


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """`where` is `front` or a base URL, `key` the reference of a secret, `price` None = as its server lists it."""

    name: str
    model: str
    where: str = FRONT
    key: str = ""
    tier: Tier | None = None
    price: Price | None = None


def target_spec(text: str) -> TargetSpec:
    """What `text` means. Raises UsageError.

    Prices are USD per million tokens of prompt and completion, `price=0.10/0.40`; `price=free` for what costs nothing.
    What runs on this machine is tier `laptop` unless it says otherwise.
    """
    name, found, rest = text.partition("=")
    where, *parts = rest.split(",")
    if not found or not _NAME.fullmatch(name) or not where:
        raise UsageError(f"{text!r} is no target", hint=_FORM)
    said: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if key not in _PARTS or not equals or not value or key in said:
            raise UsageError(f"{part!r} in the target {name} is not understood", hint=f"{', '.join(_PARTS)}: {_FORM}")
        said[key] = value
    tier = _tier(said.get("tier"), name)
    if "://" not in where:
        if "model" in said or "key" in said:
            raise UsageError(f"the target {name} has a model or a key twice", hint=f"a front has its own key: {_FORM}")
        return TargetSpec(name=name, model=where, tier=tier, price=_price(said.get("price"), name))
    try:
        local = is_loopback(urlsplit(where).hostname or "")
    except ValueError as problem:
        raise UsageError(f"{where} is no base URL: {problem}", hint=_FORM) from None
    if "model" not in said:
        raise UsageError(f"the target {name} has no model", hint=_FORM)
    price = _price(said.get("price"), name)
    tier = tier or (Tier.LAPTOP if local else Tier.API)
    return TargetSpec(
        name=name,
        model=said["model"],
        where=where,
        key=said.get("key", ""),
        tier=tier,
        price=price,
    )


def price_of(prompt_per_million: str, completion_per_million: str) -> Price:
    """USD per million tokens as a price. Raises ValueError."""
    try:
        parts = [Decimal(text) / _MILLION for text in (prompt_per_million, completion_per_million)]
        countable = all(pico_up(part) >= 0 and part.adjusted() > _FINEST for part in parts)
    except (ArithmeticError, NotMoney):
        raise ValueError("no amounts of USD") from None
    if not countable:
        raise ValueError("no amounts of USD")
    prompt, completion = (f"{part.normalize():f}" if part else "0" for part in parts)
    return Price(prompt=prompt, completion=completion)


def _price(text: str | None, name: str) -> Price | None:
    if text is None:
        return None
    if text == "free":
        return FREE
    prompt, slash, completion = text.partition("/")
    try:
        if slash:
            return price_of(prompt, completion)
    except ValueError:
        pass
    raise UsageError(
        f"the price {text!r} of the target {name} is not understood",
        hint="USD per million tokens, IN/OUT: price=0.10/0.40",
    )


def _tier(text: str | None, name: str) -> Tier | None:
    """As said; a target that is called after a tier is of it."""
    tiers = [tier.value for tier in Tier]
    if text is None:
        return Tier(name) if name in tiers else None
    if text not in tiers:
        raise UsageError(f"the target {name} is of tier {text!r}", hint=f"tiers: {', '.join(tiers)}")
    return Tier(text)
