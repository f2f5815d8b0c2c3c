"""What the budgets, labels and tracks of a node may not say, once they have the right types. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

from fleet.control.inventory.nearest import did_you_mean
from fleet.control.inventory.node import Node
from fleet.control.inventory.serving import OPENROUTER, RouteSetting, route_of
from fleet.errors import InventoryError
from fleet.vocabulary.names import Sensitivity, Track

_OF_GRAY = ("share", "token_share", "burst", "unlabelled", "least_calls", "suspend")
_DEFAULT_SHARE = 0.10
_TEAM = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_policy(node: Node) -> None:
    """Check budgets, tracks and labels of a node. Raises InventoryError at the first that cannot be."""
    routes = {name: route_of(written) for name, written in node.settings.routes.items()}
    for name, route in routes.items():
        _check_fold(node, name, routes)
        _check_gray_words(node, name, route)
        if route.track is Track.GRAY:
            _check_gray_route(node, name, route, routes)
        if route.gray is not None:
            _check_feeder(node, name, route, routes)
        if route.track is Track.DOLLAR:
            _check_dollar_route(node, name, route)
        if route.sensitivity is Sensitivity.RESTRICTED and all(_api_of(node, model) for model in route.models):
            raise InventoryError(
                f"routes.{name} is restricted, and only APIs serve its models",
                place=node.place_of("routes", name, "sensitivity"),
                hint="what is restricted runs on own machines: name a model of one first",
            )
    _check_caps(node, routes)
    _check_words(node)


def _check_fold(node: Node, name: str, routes: Mapping[str, RouteSetting]) -> None:
    """A fold leads to a route that is there, and at last to one that folds no more."""
    path = [name]
    while (target := routes[path[-1]].folds_to) is not None:
        place = node.place_of("routes", path[-1], "folds_to")
        if target not in routes:
            raise InventoryError(
                f"routes.{path[-1]} folds to {target!r}, which is no route",
                place=place,
                hint=did_you_mean(target, routes) or "name one of `routes`",
            )
        if target in path:
            raise InventoryError(
                f"routes.{name} folds in a circle: {' → '.join([*path, target])}",
                place=place,
                hint="the last route of a chain has no folds_to",
            )
        path.append(target)


def _check_gray_words(node: Node, name: str, route: RouteSetting) -> None:
    said = next((word for word in _OF_GRAY if getattr(route, word) is not None), None)
    if said is not None and route.track is not Track.GRAY:
        raise InventoryError(
            f"routes.{name}.{said}: only a gray route has one",
            place=node.place_of("routes", name, said),
            hint="track: gray, and let a token route name it: gray: " + name,
        )


def _check_gray_route(node: Node, name: str, route: RouteSetting, routes: Mapping[str, RouteSetting]) -> None:
    place = node.place_of("routes", name)
    if route.folds_to is None:
        raise InventoryError(
            f"routes.{name} is gray and folds nowhere",
            place=place,
            detail="a request that the pool does not take is never an error: another route serves it",
            hint="folds_to: a token route",
        )
    if routes[route.folds_to].track in (Track.GRAY, Track.DOLLAR):
        raise InventoryError(
            f"routes.{name} is gray and folds to {route.folds_to}, whose track is {routes[route.folds_to].track}",
            place=node.place_of("routes", name, "folds_to"),
            hint="a gray route folds to one that is proven and needs no ticket",
        )
    if route.gray is not None:
        raise InventoryError(
            f"routes.{name} is gray and feeds another gray route",
            place=node.place_of("routes", name, "gray"),
            hint="token routes feed gray ones",
        )


def _check_feeder(node: Node, name: str, route: RouteSetting, routes: Mapping[str, RouteSetting]) -> None:
    place = node.place_of("routes", name, "gray")
    pool = routes.get(route.gray or "")
    if pool is None or pool.track is not Track.GRAY:
        raise InventoryError(
            f"routes.{name}.gray: {route.gray!r} is no gray route",
            place=place,
            hint=did_you_mean(route.gray or "", [one for one, its in routes.items() if its.track is Track.GRAY])
            or f"{route.gray}: {{models: [...], track: gray, share: 0.10, folds_to: {name}}}",
        )
    if pool.share == 0:
        raise InventoryError(
            f"routes.{name} feeds {route.gray}, whose share is 0",
            place=node.place_of("routes", route.gray or "", "share"),
            hint=f"share: {_DEFAULT_SHARE:.2f}, or take `gray: {route.gray}` out of {name}",
        )
    if route.track in (Track.DOLLAR, Track.PRIVATE):
        raise InventoryError(
            f"routes.{name} is {route.track} and feeds a gray route",
            place=place,
            hint="only token routes feed gray ones",
        )


def _check_dollar_route(node: Node, name: str, route: RouteSetting) -> None:
    if node.settings.budgets.dollar is None:
        raise InventoryError(
            f"routes.{name} is on the dollar track, which has no terms",
            place=node.place_of("routes", name, "track"),
            hint="budgets: {dollar: {monthly_usd: 800}}",
        )
    for model, api in _unpriced(node, route):
        raise InventoryError(
            f"routes.{name} is on the dollar track, and nobody says what {model!r} of {api} costs",
            place=node.place_of("upstreams", api),
            hint="price: {prompt_per_million: 5, completion_per_million: 25} beside the model",
        )


def _check_caps(node: Node, routes: Mapping[str, RouteSetting]) -> None:
    """What costs nobody knows how much cannot be kept below a cap."""
    budgets = node.settings.budgets
    for name, route in routes.items():
        cap = {Track.GRAY: budgets.gray, Track.DOLLAR: None, Track.PRIVATE: None}.get(
            route.track or Track.TOKEN, budgets.token
        )
        capped = [one for one in (cap, budgets.fleet) if one is not None and one.monthly_usd is not None]
        for model, api in _unpriced(node, route) if capped else ():
            raise InventoryError(
                f"routes.{name} has a cap in USD, and nobody says what {model!r} of {api} costs",
                place=node.place_of("upstreams", api),
                hint="price: {prompt_per_million: 0.1, completion_per_million: 0.4} beside the model",
            )


def _check_words(node: Node) -> None:
    settings = node.settings
    dollar, zone = settings.budgets.dollar, settings.budgets.timezone
    if dollar is not None:
        try:
            re.compile(dollar.ticket_pattern)
        except re.error as problem:
            raise InventoryError(
                f"budgets.dollar.ticket_pattern: {problem}",
                place=node.place_of("budgets", "dollar", "ticket_pattern"),
                hint=r"like ^[A-Z][A-Z0-9]+-\d+$",
            ) from None
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise InventoryError(
            f"budgets.timezone: {zone!r} is no time zone",
            place=node.place_of("budgets", "timezone"),
            hint="like UTC or Europe/Berlin",
        ) from None
    for team in settings.teams:
        if not _TEAM.fullmatch(team):
            raise InventoryError(
                f"teams: {team!r} cannot name a team",
                place=node.place_of("teams", team),
                hint="small letters, digits, dots and dashes, 64 at most",
            )


def _unpriced(node: Node, route: RouteSetting) -> Iterator[tuple[str, str]]:
    """The models of a route that an API serves at a price that nobody says. OpenRouter says its own."""
    for model in route.models:
        for name, api in node.settings.upstreams.items():
            served = api.served().get(model)
            if served is not None and served.price is None and api.engine_of(name) != OPENROUTER:
                yield model, name


def _api_of(node: Node, model: str) -> bool:
    return any(model in api.served() for api in node.settings.upstreams.values())
