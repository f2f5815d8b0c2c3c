"""What the inventory says of routes and of models of APIs, as a ranking is looked at for. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.control.desired.apiupstreams import price_per_token
from fleet.control.inventory import Inventory, Node
from fleet.control.inventory.serving import UpstreamSetting, route_of
from fleet.errors import UsageError
from fleet.practice.rankings.ours import CATALOGUED, OurModel, OurRoute, Ours
from fleet.vocabulary.names import Track


def ours_of(inventory: Inventory) -> Ours:
    """The routes and API models of all nodes. Where two nodes say one name differently, the first counts."""
    models: dict[tuple[str, str], OurModel] = {}
    routes: dict[str, OurRoute] = {}
    for node in inventory.nodes.values():
        for model in _models(node):
            models.setdefault((model.upstream, model.served), model)
        for route in _routes(node):
            routes.setdefault(route.name, route)
    return Ours(models=tuple(models.values()), routes=tuple(routes.values()))


def rankings_upstream(inventory: Inventory, named: str | None) -> tuple[str, UpstreamSetting]:
    """The upstream whose key may read rankings: the one that is named, else the first that is OpenRouter.

    Raises UsageError.
    """
    found = {name: one for node in inventory.nodes.values() for name, one in node.settings.upstreams.items()}
    fitting = [name for name, one in found.items() if one.engine_of(name) == CATALOGUED]
    if named is not None and named not in fitting:
        hint = f"of that engine: {', '.join(fitting) or 'none'}"
        raise UsageError(f"no upstream {named!r} of engine {CATALOGUED}", hint=hint)
    if not fitting:
        raise UsageError(
            f"the inventory has no upstream of engine {CATALOGUED}",
            hint="one with a key makes `fetch` possible (docs/inventory.md); `fleet rankings import FILE` needs none",
        )
    name = named or fitting[0]
    return name, found[name]


def _models(node: Node) -> Iterator[OurModel]:
    for name, upstream in node.settings.upstreams.items():
        for served, model in upstream.served().items():
            price = None if model.price is None else price_per_token(model.price)
            yield OurModel(
                served=served,
                upstream=name,
                asked=model.asked,
                catalogued=upstream.engine_of(name) == CATALOGUED,
                prompt=None if price is None else price.prompt,
                completion=None if price is None else price.completion,
            )


def _routes(node: Node) -> Iterator[OurRoute]:
    apis = {served for upstream in node.settings.upstreams.values() for served in upstream.served()}
    for name, written in node.settings.routes.items():
        route = route_of(written)
        track = route.track or (Track.TOKEN if apis & set(route.models) else Track.PRIVATE)
        yield OurRoute(name=name, track=track, models=tuple(route.models), gray=route.gray)
