"""Which models of APIs our own routes name: what a ranking is looked at for. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.practice.rankings.join import tail
from fleet.practice.rankings.ranking import Ranked
from fleet.traffic.config import GatewayConfig
from fleet.vocabulary.names import Track

CATALOGUED = "openrouter"
"""The engine whose list of models says whether a model is still offered."""


@dataclass(frozen=True, kw_only=True)
class OurModel:
    """A model of an API that we may ask. `served` is our name, `asked` its name at the API `upstream`.

    `catalogued`: the API is OpenRouter, so its model list speaks of it. Prices as we wrote them, USD per token.
    """

    served: str
    upstream: str
    asked: str
    catalogued: bool = True
    prompt: str | None = None
    completion: str | None = None


@dataclass(frozen=True, kw_only=True)
class OurRoute:
    """A route and the served names in its order, own machines' among them. `gray` is the gray route that it feeds."""

    name: str
    track: Track
    models: tuple[str, ...]
    gray: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ours:
    """The routes of all fronts, and the models of APIs that are to be had there."""

    models: tuple[OurModel, ...] = ()
    routes: tuple[OurRoute, ...] = ()

    def of(self, ranked: Ranked) -> tuple[OurModel, ...]:
        """Ours that a rank is about: by id, else by the name that both have."""
        if ranked.id:
            return tuple(one for one in self.models if base(one.asked) == base(ranked.id))
        wanted = tail(ranked.slug)
        return tuple(one for one in self.models if wanted in (tail(base(one.asked)), tail(one.asked)))

    def naming(self, served: str) -> tuple[OurRoute, ...]:
        """The routes that name a model."""
        return tuple(route for route in self.routes if served in route.models)


def base(asked: str) -> str:
    """A model without its variant: `vendor/model` of `vendor/model:nitro`. A free variant is another offer."""
    return asked.removesuffix(":nitro").removesuffix(":floor")


def ours_of_config(config: GatewayConfig) -> Ours:
    """What a front's own configuration says. Routes that only carry the name of their model are not told."""
    serves = {one.name: one.serves for one in config.upstreams}
    models = tuple(
        OurModel(
            served=one.serves,
            upstream=one.name.partition("/")[0],
            asked=one.model,
            catalogued=one.engine == CATALOGUED,
            prompt=None if one.price is None else one.price.prompt,
            completion=None if one.price is None else one.price.completion,
        )
        for one in config.upstreams
        if one.kind == "api"
    )
    routes = []
    for route in config.routes:
        named = tuple(dict.fromkeys(serves[name] for name in route.upstreams if name in serves))
        if named != (route.name,):
            routes.append(OurRoute(name=route.name, track=route.track, models=named, gray=route.gray))
    return Ours(models=models, routes=tuple(routes))
