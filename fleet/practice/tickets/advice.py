"""From a finding to what should be done about it. A proposal only: a person decides. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from fleet.practice.rankings.finding import Finding, Kind, PricePair
from fleet.practice.rankings.ours import CATALOGUED, OurModel, OurRoute, Ours
from fleet.practice.tickets.change import Do, RouteChange
from fleet.vocabulary.names import Track

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Sentences, and the changes of the routes file that they come to; no changes = nothing to edit."""

    sentences: tuple[str, ...]
    changes: tuple[RouteChange, ...] = ()


def advise(finding: Finding, ours: Ours) -> Advice:
    """What to do about a finding."""
    match finding.kind:
        case Kind.RISE | Kind.ENTRANT:
            return _more(finding, ours)
        case Kind.FALL | Kind.DROPOUT:
            return _less(finding, ours)
        case Kind.VANISHED | Kind.EXPIRING:
            return _gone(finding, ours)
        case Kind.PRICE:
            return _repriced(finding, ours)


def _more(finding: Finding, ours: Ours) -> Advice:
    if not finding.subject.served:
        return _new(finding, ours)
    changes, said = [], []
    for served, route in _places(finding, ours):
        if route.track is Track.GRAY:
            said.append(
                f"It is in the gray pool {route.name}: `fleet gray status` and the harness say whether it stays."
            )
            continue
        order = _first_of_apis(served, route, ours)
        if order == route.models:
            said.append(f"Route {route.name} asks it before any other model of an API already.")
        else:
            changes.append(RouteChange(do=Do.FIRST, route=route.name, served=served, models=order))
    if changes:
        said.append("Apply it when the harness agrees: `fleet harness run`, then `fleet harness compare`.")
    if not changes and not said:
        said.append("No route names it, though it is offered: nothing to change.")
    return Advice(sentences=tuple(said), changes=tuple(changes))


def _new(finding: Finding, ours: Ours) -> Advice:
    subject = finding.subject
    upstream = next((one.upstream for one in ours.models if one.catalogued), "")
    if not subject.id:
        return Advice(
            sentences=(
                "No route of ours names it.",
                "Its id is not known: no archived list of models has it. `fleet rankings fetch` reads the list.",
            )
        )
    if not upstream:
        return Advice(sentences=(f"No route of ours names it, and no upstream is {CATALOGUED}: nothing to change.",))
    name = subject.key
    if name in {one.served for one in ours.models} | {model for route in ours.routes for model in route.models}:
        return Advice(sentences=(f"The name {name} is taken by another model of ours: name {subject.id} yourself.",))
    price = finding.price
    if price is not None and price.prompt == price.completion == "0":
        return Advice(
            sentences=(
                "No route of ours names it.",
                "It is free of charge: such a model is tried in a gray pool only, with nothing sensitive.",
            )
        )
    change = RouteChange(do=Do.ADD_MODEL, upstream=upstream, served=name, asked=subject.id)
    pools = [route.name for route in ours.routes if route.track is Track.GRAY]
    then = f", then give it the gray pool {pools[0]}" if pools else ""
    cost = "" if price is None or None in (price.prompt, price.completion) else _cost(price)
    return Advice(
        sentences=(
            f"No route of ours names it.{cost} Offered under a name of its own, it is asked only by that name.",
            f"Measure it first: `fleet harness run`{then}.",
        ),
        changes=(change,),
    )


def _cost(price: PricePair) -> str:
    prompt, completion = _per_million(price.prompt or "0"), _per_million(price.completion or "0")
    return f" It costs {prompt} USD in and {completion} out, per million tokens."


def _less(finding: Finding, ours: Ours) -> Advice:
    if not finding.subject.served:
        return Advice(sentences=("No route of ours names it: nothing to change.",))
    changes, said = [], []
    for served, route in _places(finding, ours):
        order = (*(name for name in route.models if name != served), served)
        if len(route.models) == 1:
            said.append(f"Route {route.name} has no other model: name one before this one is demoted.")
        elif order == route.models:
            said.append(f"Route {route.name} asks it last already.")
        else:
            changes.append(RouteChange(do=Do.LAST, route=route.name, served=served, models=order))
    if changes:
        said.append("Others leaving it is no proof: compare it with your own figures (`fleet usage`, the harness).")
    if not changes and not said:
        said.append("No route names it, though it is offered: nothing to change.")
    return Advice(sentences=tuple(said), changes=tuple(changes))


def _gone(finding: Finding, ours: Ours) -> Advice:
    if not finding.subject.served:
        return Advice(sentences=("No route of ours names it: nothing to change.",))
    changes, said, stuck = list[RouteChange](), list[str](), set[str]()
    for served, route in _places(finding, ours):
        left = tuple(name for name in route.models if name not in finding.subject.served)
        if left:
            changes.append(RouteChange(do=Do.REMOVE, route=route.name, served=served, models=left))
        elif route.track is Track.GRAY:
            feeding = [one.name for one in ours.routes if one.gray == route.name]
            changes += [RouteChange(do=Do.UNGRAY, route=name) for name in feeding]
            changes.append(RouteChange(do=Do.DROP_ROUTE, route=route.name))
            said.append(
                f"Or give the gray pool {route.name} another model; until then its share goes where it folds to."
            )
        else:
            stuck.add(served)
            said.append(f"Route {route.name} has no other model, so it answers nobody: name one that is there.")
    changes += _dropped_models(finding, ours, stuck)
    if finding.kind is Kind.EXPIRING:
        said.append(f"Do it before {finding.expires_on}.")
    return Advice(sentences=tuple(said) or ("Nothing answers under that name.",), changes=tuple(changes))


def _dropped_models(finding: Finding, ours: Ours, stuck: set[str]) -> Iterator[RouteChange]:
    """Out of the models of its API, unless a route is left without any, or the API without."""
    for one in _ours(finding, ours):
        others = [other for other in ours.models if other.upstream == one.upstream and other.served != one.served]
        if one.served not in stuck and others:
            yield RouteChange(do=Do.DROP_MODEL, upstream=one.upstream, served=one.served)


def _repriced(finding: Finding, ours: Ours) -> Advice:
    written = [one for one in _ours(finding, ours) if one.prompt is not None and one.completion is not None]
    price = finding.price
    if not finding.subject.served:
        return Advice(sentences=("No route of ours names it: nothing to change.",))
    if not written or price is None or price.prompt is None or price.completion is None:
        return Advice(sentences=("We write no price for it: a front reads prices from the list every hour.",))
    prompt, completion = _per_million(price.prompt), _per_million(price.completion)
    changes = tuple(
        RouteChange(
            do=Do.PRICE,
            upstream=one.upstream,
            served=one.served,
            prompt_per_million=prompt,
            completion_per_million=completion,
        )
        for one in written
        if (_per_million(one.prompt or "0"), _per_million(one.completion or "0")) != (prompt, completion)
    )
    if not changes:
        return Advice(sentences=("That price is what is written already.",))
    return Advice(sentences=("What we write counts: reservations and `provider.max_price` go by it.",), changes=changes)


def _places(finding: Finding, ours: Ours) -> Iterator[tuple[str, OurRoute]]:
    """(served name, route that names it)."""
    for served in finding.subject.served:
        for route in ours.naming(served):
            yield served, route


def _ours(finding: Finding, ours: Ours) -> list[OurModel]:
    """The models that it is about. Of a vanished or repriced one, only where exactly that is asked."""
    return [one for one in ours.models if one.served in finding.subject.served]


def _first_of_apis(served: str, route: OurRoute, ours: Ours) -> tuple[str, ...]:
    apis = {one.served for one in ours.models}
    others = [name for name in route.models if name != served]
    at = next((at for at, name in enumerate(others) if name in apis), len(others))
    at = min(at, route.models.index(served))
    return (*others[:at], served, *others[at:])


def _per_million(usd_per_token: str) -> str:
    exact = Decimal(usd_per_token) * _MILLION
    return f"{exact.normalize():f}" if exact else "0"
