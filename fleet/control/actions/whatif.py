"""`fleet cost whatif`: what it needs of a project and of files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

import msgspec

from fleet.control.desired.apiupstreams import price_per_token
from fleet.control.inventory import Inventory
from fleet.control.inventory.misfit import misfit
from fleet.control.inventory.nearest import did_you_mean
from fleet.control.inventory.serving import RouteSetting
from fleet.control.inventory.yamlsource import Positioned, load_yaml, parse_yaml
from fleet.errors import ConfigError, UsageError
from fleet.practice.usage import Usage
from fleet.practice.whatif.mix import reckoned
from fleet.practice.whatif.mixfile import BadMix, MixFile, check
from fleet.practice.whatif.outcome import WhatIf
from fleet.practice.whatif.prices import ModelPrice, NoPrice, of_upstream, stated
from fleet.practice.whatif.replay import Elsewhere, Move, move_of, replayed

_CASES = "cases"


def mix_of_file(path: Path) -> WhatIf:
    """The answer to a file of the user's. Raises ConfigError with its place."""
    return _of(load_yaml(path, error=ConfigError))


def mix_of_case(name: str) -> WhatIf:
    """The answer to a case that comes with fleet. Raises UsageError."""
    known = case_names()
    if name not in known:
        raise UsageError(
            f"there is no case {name!r}", hint=did_you_mean(name, known) or f"there is: {', '.join(known)}"
        )
    text = (files("fleet.practice.whatif") / _CASES / f"{name}.yml").read_text()
    return _of(parse_yaml(text, name=f"{name}.yml", error=ConfigError))


def case_names() -> tuple[str, ...]:
    """The cases that come with fleet."""
    folder = files("fleet.practice.whatif") / _CASES
    return tuple(sorted(one.name.removesuffix(".yml") for one in folder.iterdir() if one.name.endswith(".yml")))


def _of(source: Positioned) -> WhatIf:
    found = misfit(source.value, MixFile)
    if found is not None:
        where = ".".join(map(str, found.path))
        raise ConfigError(f"{where}: {found.said}".removeprefix(": "), place=source.place(found.path), hint=found.hint)
    mix = msgspec.convert(source.value, MixFile)
    try:
        check(mix)
        return reckoned(mix)
    except BadMix as error:
        raise ConfigError(str(error), place=source.place(error.path)) from None


def elsewhere_of(inventory: Inventory, usage: Usage, *, moves: Iterable[str], prices: Iterable[str]) -> Elsewhere:
    """What a person wants to be different, with the prices of the inventory. Raises UsageError."""
    try:
        asked = [move_of(one) for one in moves]
        given = dict(stated(one) for one in prices)
    except NoPrice as error:
        raise UsageError(str(error), hint="--move opus=flash:0.5, --price flash=0.14,0.28 (USD per million)") from None
    routes = _routes(inventory)
    known = {**_prices(inventory), **given}
    own = frozenset(line.names[1] for line in usage.lines if line.names[2] == "fleet")
    asked = [_resolved(move, routes, {*known, *own}) for move in asked]
    return Elsewhere(moves=asked, prices=known, repriced=frozenset(given), own=own)


def replay_of(usage: Usage, elsewhere: Elsewhere, *, title: str) -> WhatIf:
    """The answer to a ledger. Raises UsageError."""
    names = [(line.names[0], line.names[1]) for line in usage.lines]
    served = dict.fromkeys(model for _, model in names)
    for model in sorted(elsewhere.repriced - {move.to for move in elsewhere.moves}):
        if usage.lines and model not in served:
            raise UsageError(
                f"nothing of {model} is in that time, and nothing is moved to it, so its price says nothing",
                hint=did_you_mean(model, served) or f"there are: {', '.join(filter(None, served))}",
            )
    for move in elsewhere.moves:
        if usage.lines and not any(move.takes(asked, model) for asked, model in names):
            known = dict.fromkeys(asked if move.is_route else model for asked, model in names)
            raise UsageError(
                f"nothing of {'route ' if move.is_route else ''}{move.of} is in that time",
                hint=did_you_mean(move.of, known) or f"there are: {', '.join(filter(None, known))}",
            )
    try:
        return replayed(usage, elsewhere, title=title)
    except NoPrice as error:
        raise UsageError(str(error), hint="the parts of one model or route are at most 1") from None


def _resolved(move: Move, routes: Mapping[str, str], models: Iterable[str]) -> Move:
    """To the first model of a route, where a route is named and no model is."""
    if move.to in models or move.to not in routes:
        return move
    return Move(of=move.of, to=routes[move.to], part=move.part, is_route=move.is_route)


def _routes(inventory: Inventory) -> dict[str, str]:
    """Each route's first model."""
    found = {}
    for node in inventory.nodes.values():
        for name, route in node.settings.routes.items():
            models = route.models if isinstance(route, RouteSetting) else route
            if models:
                found[name] = models[0]
    return found


def _prices(inventory: Inventory) -> dict[str, ModelPrice]:
    """Of every model of every API that says what it costs. Of one with several upstreams the first one's."""
    found: dict[str, ModelPrice] = {}
    for node in inventory.nodes.values():
        for name, api in node.settings.upstreams.items():
            for served, model in api.served().items():
                if model.price is not None and served not in found:
                    found[served] = of_upstream(price_per_token(model.price), said_by=f"the inventory's {name}")
    return found
