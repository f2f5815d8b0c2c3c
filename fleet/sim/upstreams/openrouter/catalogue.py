"""The models of the simulated OpenRouter, and which provider gets a request. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from fleet.sim.upstreams.openrouter.money import TOKENS_PER_PRICE, pico

NO_EXPIRATION = "2098-12-31"


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Who runs a model. Prices in USD per token, as text. `cancels`: it stops, and bills no more, when a client leaves.

    `zdr`: it retains nothing. `collects`: it may train on what it is sent.
    """

    name: str
    prompt: str
    completion: str
    cancels: bool = True
    zdr: bool = False
    collects: bool = False


@dataclass(frozen=True, kw_only=True)
class SimModel:
    """A model. `retired` is the availability code that it answers with, when it is no longer to be had."""

    id: str
    providers: tuple[Provider, ...]
    name: str = ""
    context_tokens: int = 131_072
    canonical_slug: str = ""
    expiration_date: str | None = None
    embeds: bool = False
    retired: str | None = None

    @property
    def free(self) -> bool:
        """Whether the limits of free variants hold."""
        return self.id.endswith(":free")

    def entry(self) -> dict[str, Any]:
        """As `GET /models` tells it: the prices of the cheapest provider."""
        best = min(self.providers, key=cost_order)
        return {
            "id": self.id,
            "canonical_slug": self.canonical_slug or f"{self.id}-2026-11-01",
            "name": self.name or self.id,
            "created": 1_790_000_000,
            "context_length": self.context_tokens,
            "architecture": {
                "input_modalities": ["text"],
                "output_modalities": ["embeddings" if self.embeds else "text"],
            },
            "pricing": {
                "prompt": best.prompt,
                "completion": best.completion,
                "request": "0",
                "image": "0",
                "input_cache_read": "0",
            },
            "top_provider": {
                "context_length": self.context_tokens,
                "max_completion_tokens": None,
                "is_moderated": False,
            },
            "supported_parameters": ["max_tokens", "temperature", "tools", "tool_choice", "reasoning", "seed", "stop"],
            "expiration_date": self.expiration_date,
        }


MODELS = (
    SimModel(
        id="sim/echo-small",
        providers=(
            Provider(name="Quick", prompt="0.0000001", completion="0.0000004", collects=True),
            Provider(name="Quiet", prompt="0.00000012", completion="0.0000005", zdr=True),
        ),
    ),
    SimModel(
        id="sim/echo-large",
        providers=(Provider(name="Bedrock", prompt="0.000005", completion="0.000025", cancels=False, zdr=True),),
        context_tokens=1_000_000,
        expiration_date=NO_EXPIRATION,
    ),
    SimModel(
        id="sim/echo-tiny",
        providers=(Provider(name="Quick", prompt="0.0000000028", completion="0.0000000112"),),
        context_tokens=8_192,
    ),
    SimModel(
        id="sim/echo-small:free",
        providers=(Provider(name="Quick", prompt="0", completion="0", collects=True),),
        canonical_slug="sim/echo-small-2026-11-01",
    ),
    SimModel(
        id="sim/owl-alpha",
        providers=(Provider(name="Stealth", prompt="0", completion="0", collects=True),),
        context_tokens=1_048_576,
        expiration_date="2026-12-01",
    ),
    SimModel(
        id="sim/gone-alpha",
        providers=(Provider(name="Stealth", prompt="0", completion="0", collects=True),),
        retired="model_deprecated",
    ),
    SimModel(id="sim/embed", providers=(Provider(name="Quick", prompt="0.00000002", completion="0"),), embeds=True),
)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why no provider gets the request: OpenRouter's availability code, and the filters that left none."""

    code: str
    model: str
    message: str
    excluded_by: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Picked:
    """Who answers."""

    model: SimModel
    provider: Provider


def cost_order(provider: Provider) -> tuple[int, int]:
    """Cheapest first."""
    return pico(provider.completion), pico(provider.prompt)


def pick(models: Mapping[str, SimModel], wanted: Sequence[str], prefs: Mapping[str, Any]) -> Picked | Refusal:
    """The first of the wanted models that a provider may answer, and that provider; else why the first has none."""
    first: Refusal | None = None
    for name in wanted:
        found = _pick_one(models, name, prefs)
        if isinstance(found, Picked):
            return found
        first = first or found
    return first or Refusal(code="model_not_found", model="", message="No models provided")


def _pick_one(models: Mapping[str, SimModel], name: str, prefs: Mapping[str, Any]) -> Picked | Refusal:
    model = models.get(name) or models.get(name.removesuffix(":nitro").removesuffix(":floor"))
    if model is None:
        return Refusal(code="model_not_found", model=name, message=f"{name} is not a valid model ID")
    if model.retired is not None:
        return Refusal(code=model.retired, model=name, message=f"{name} is no longer available")
    left = list(model.providers)
    excluded: list[str] = []
    for filter_name, keeps in _filters(prefs):
        kept = [one for one in left if keeps(one)]
        if len(kept) < len(left):
            excluded.append(filter_name)
        left = kept
    if not left:
        private = excluded[-1] in ("zdr", "data_collection")
        return Refusal(
            code="privacy_restricted" if private else "constraint_filtered",
            model=name,
            message="No endpoints found matching your data policy" if private else "No endpoints meet the constraints",
            excluded_by=tuple(excluded),
            detail=str(prefs.get(excluded[-1])),
        )
    order = prefs.get("order")
    names = [str(one).lower() for one in order] if isinstance(order, list) else []
    return Picked(
        model=model,
        provider=min(left, key=lambda one: (_place(names, one), *cost_order(one))),
    )


def _filters(prefs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for field, wanted in (("only", True), ("ignore", False)):
        if isinstance(names := prefs.get(field), list):
            lower = {str(one).lower() for one in names}
            found.append((field, lambda one, lower=lower, wanted=wanted: (one.name.lower() in lower) is wanted))
    if prefs.get("allow_fallbacks") is False and isinstance(order := prefs.get("order"), list):
        first = {str(one).lower() for one in order}
        found.append(("order", lambda one: one.name.lower() in first))
    if prefs.get("zdr") is True:
        found.append(("zdr", lambda one: one.zdr))
    if prefs.get("data_collection") == "deny":
        found.append(("data_collection", lambda one: not one.collects))
    prices = prefs.get("max_price")
    for kind in ("prompt", "completion"):
        if not isinstance(prices, Mapping):
            break
        most = _decimal(prices.get(kind))
        if most is not None:
            found.append(
                (
                    "max_price",
                    lambda one, kind=kind, most=most: Decimal(getattr(one, kind)) * TOKENS_PER_PRICE <= most,
                )
            )
    return found


def _decimal(value: Any) -> Decimal | None:
    try:
        return None if value is None or isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        return None


def _place(names: list[str], provider: Provider) -> int:
    return names.index(provider.name.lower()) if provider.name.lower() in names else len(names)
