"""What OpenRouter says of its models: price, context, how long they stay. Read at start and hourly; no key is needed.

A reading that fails changes nothing: the last good one stays, and what was never read is unknown, not free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from fleet.node.gateway.caller import Caller
from fleet.node.gateway.failures import UpstreamFailure
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.traffic.config import GatewayConfig, Price

ENGINE = "openrouter"
_PATH = "/v1/models"
_LONGEST_BYTES = 16 * 1024 * 1024
_PATIENCE_SECONDS = 30.0
_NEVER = date(2098, 12, 31)
"""How OpenRouter says that a model stays."""
_DEAREST_USD = Decimal(1)
_FINEST_EXPONENT = -30


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What is known of one model; None = not said. After `expires_on` it may be gone."""

    price: Price | None = None
    context_tokens: int | None = None
    expires_on: date | None = None
    canonical_slug: str | None = None


class Catalogue:
    """The models of every `openrouter` upstream. `follow` after every change of the configuration."""

    def __init__(
        self,
        *,
        caller: Caller,
        config: Callable[[], GatewayConfig],
        gap_seconds: float = 3600.0,
        retry_seconds: float = 60.0,
    ) -> None:
        self._caller = caller
        self._config = config
        self._gap_seconds = gap_seconds
        self._retry_seconds = retry_seconds
        self._known: dict[str, Mapping[str, ModelFacts]] = {}
        self._asked: dict[str, LiveUpstream] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def facts(self, upstream: LiveUpstream) -> ModelFacts | None:
        """What is known of the model that `upstream` is asked for."""
        known = self._known.get(upstream.spec.url)
        return None if known is None else _find(known, upstream.spec.model)

    def listed(self, upstream: LiveUpstream) -> bool | None:
        """Whether the model is still offered; None = the list was never read."""
        known = self._known.get(upstream.spec.url)
        return None if known is None else _find(known, upstream.spec.model) is not None

    def follow(self, upstreams: Iterable[LiveUpstream]) -> None:
        """Read what these name, once per URL, and nothing else."""
        self._asked = {one.spec.url: one for one in upstreams if one.engine.name == ENGINE}
        for url in set(self._tasks) - set(self._asked):
            self._tasks.pop(url).cancel()
            self._known.pop(url, None)
        for url in set(self._asked) - set(self._tasks):
            self._tasks[url] = asyncio.get_running_loop().create_task(self._watch(url))

    async def close(self) -> None:
        """Stop."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, url: str) -> None:
        while True:
            found = await self._read(self._asked[url])
            if found:
                self._known[url] = found
            await asyncio.sleep(self._gap_seconds if found else self._retry_seconds)

    async def _read(self, upstream: LiveUpstream) -> Mapping[str, ModelFacts]:
        """The list of now; empty where it could not be had."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                status, body = await self._caller.get(
                    upstream,
                    _PATH,
                    longest_bytes=_LONGEST_BYTES,
                    connect_seconds=self._config().timeouts.connect_seconds,
                )
        except (TimeoutError, UpstreamFailure):
            return {}
        return parse_catalogue(body) if status == 200 else {}


def parse_catalogue(body: bytes) -> Mapping[str, ModelFacts]:
    """`GET /models` by model id. Total: what is odd is not known, and a body that is no list knows no model."""
    try:
        listed: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    data = listed.get("data") if isinstance(listed, dict) else None
    found: dict[str, ModelFacts] = {}
    for entry in data if isinstance(data, list) else ():
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(name, str) and name:
            slug = entry.get("canonical_slug")
            found[name] = ModelFacts(
                price=_price(entry.get("pricing")),
                context_tokens=_count(entry.get("context_length")),
                expires_on=_expiration(entry.get("expiration_date")),
                canonical_slug=slug if isinstance(slug, str) else None,
            )
    return found


def _find(known: Mapping[str, ModelFacts], model: str) -> ModelFacts | None:
    """By its id, else without the suffix that only says how providers are sorted (`:nitro`, `:floor`)."""
    base, _, _ = model.rpartition(":")
    return known.get(model) or (known.get(base) if model.endswith((":nitro", ":floor")) else None)


def _price(pricing: Any) -> Price | None:
    """Both prices, or none: half a price is no price."""
    if not isinstance(pricing, dict):
        return None
    prompt, completion = _usd(pricing.get("prompt")), _usd(pricing.get("completion"))
    return None if prompt is None or completion is None else Price(prompt=prompt, completion=completion)


def _usd(value: Any) -> str | None:
    """USD per token in plain digits. None for the -1 of models whose price varies, and for what is no price."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        exact = Decimal(value if isinstance(value, str) else repr(value))
    except (InvalidOperation, ValueError):
        return None
    if not exact.is_finite() or not 0 <= exact <= _DEAREST_USD:
        return None
    exponent = exact.as_tuple().exponent
    return f"{exact:f}" if isinstance(exponent, int) and exponent >= _FINEST_EXPONENT else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _expiration(value: Any) -> date | None:
    try:
        day = date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if day is None or day >= _NEVER else day
