"""The APIs that a front may send requests to, from the inventory's `upstreams`. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from fleet.control.desired.roster import Roster
from fleet.control.inventory.serving import PriceSetting
from fleet.traffic.config import Price, Upstream

_MILLION = Decimal(1_000_000)


def api_upstreams(front: Roster) -> Iterator[Upstream]:
    """One upstream for every model of every API, called NAME/SERVED."""
    files = api_key_files(front)
    for name, api in front.node.settings.upstreams.items():
        for served, model in api.served().items():
            yield Upstream(
                name=f"{name}/{served}",
                kind="api",
                url=api.base_url(name) or "",
                engine=api.engine_of(name),
                serves=served,
                model=model.asked,
                key_file=files[name][1] if name in files else None,
                context_tokens=model.context,
                max_in_flight=model.max_in_flight or api.max_in_flight,
                works=None if model.works is None else tuple(model.works),
                price=None if model.price is None else price_per_token(model.price),
                price_most=None if model.price is None else most_per_token(model.price),
                headers=dict(api.headers),
            )


def api_key_files(front: Roster) -> dict[str, tuple[str, str]]:
    """Upstream -> the secret reference of its key and the front's file that holds it."""
    return {
        name: (api.key, front.layout.etc(f"upstream-{name}.key"))
        for name, api in front.node.settings.upstreams.items()
        if api.key is not None
    }


def price_per_token(price: PriceSetting) -> Price:
    """What the gateway counts with. By decimals: a price is exactly what was written."""
    return Price(
        prompt=_per_token(price.prompt_per_million),
        completion=_per_token(price.completion_per_million),
        request=plain(price.request),
        cached=None if price.cached_per_million is None else _per_token(price.cached_per_million),
    )


def most_per_token(price: PriceSetting) -> Price | None:
    """What is reserved by, where that is another price. Never below what is counted with."""
    most = price.most
    if most is None:
        return None
    return Price(
        prompt=_per_token(max(most.prompt_per_million, price.prompt_per_million)),
        completion=_per_token(max(most.completion_per_million, price.completion_per_million)),
        request=plain(max(most.request, price.request)),
    )


def plain(number: float) -> str:
    """A number of an inventory as decimal text: what was written, without an exponent."""
    exact = Decimal(str(number))
    return f"{exact.normalize():f}" if exact else "0"


def _per_token(usd_per_million: float) -> str:
    per_token = Decimal(str(usd_per_million)) / _MILLION
    return f"{per_token.normalize():f}"
