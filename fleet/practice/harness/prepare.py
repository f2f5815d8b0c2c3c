"""Before anything is asked: which targets are there, what they cost, and whether the ceiling can be held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fleet.errors import FleetError, ProtocolError, Unreachable, UsageError
from fleet.practice.harness.door import Door
from fleet.practice.harness.price import FREE, is_listed, listed_price, own_upstreams, takes_max_price
from fleet.practice.harness.results import TargetHead, with_learned
from fleet.practice.harness.targets import FRONT, TargetSpec
from fleet.vocabulary.names import Tier


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The targets in their order; the doors of those that are there, and why the others are not.

    `learned`: targets of a run that goes on, which were away when it began: only now they say what they cost.
    """

    targets: tuple[TargetHead, ...]
    doors: Mapping[str, Door]
    absent: Mapping[str, str]
    learned: tuple[TargetHead, ...] = ()


def prepared(specs: Sequence[TargetSpec], open_door: Callable[[TargetSpec], Door]) -> Prepared:
    """Look at every target. One that cannot be had is absent: that is a finding, not a failure.

    Raises UsageError: two of one name, or an address that is none.
    """
    targets: list[TargetHead] = []
    doors: dict[str, Door] = {}
    absent: dict[str, str] = {}
    for spec in specs:
        if any(target.name == spec.name for target in targets):
            raise UsageError(f"two targets are called {spec.name}", hint="give each its own name")
        price, tier = spec.price, spec.tier
        own: tuple[str, ...] = ()
        bounded = False
        try:
            door = open_door(spec)
            listed = _listed(door, spec)
        except UsageError:
            raise
        except FleetError as problem:
            absent[spec.name] = problem.text.splitlines()[0]
        else:
            if listed is not None and not is_listed(listed, spec.model) and (spec.where == FRONT or tier is Tier.API):
                absent[spec.name] = f"there is no model {spec.model} there"
            else:
                doors[spec.name] = door
                own = () if listed is None else own_upstreams(listed, spec.model)
                bounded = listed is not None and takes_max_price(listed, spec.model)
                price = price or (None if listed is None else listed_price(listed, spec.model))
                if price is None and spec.where != FRONT and tier is not Tier.API:
                    price = FREE  # a server of one's own that lists no price
        if tier is None and price is not None:
            tier = Tier.FLEET if price == FREE else Tier.API
        targets.append(
            TargetHead(
                name=spec.name,
                model=spec.model,
                where=spec.where,
                key=spec.key,
                tier=tier,
                price=price,
                own=own,
                max_price=bounded and price is not None,
            )
        )
    return Prepared(targets=tuple(targets), doors=doors, absent=absent)


def again(head: Sequence[TargetHead], open_door: Callable[[TargetSpec], Door]) -> Prepared:
    """The same for a run that goes on: its targets keep the prices that they had, if they had any."""
    specs = [
        TargetSpec(name=one.name, model=one.model, where=one.where, key=one.key, tier=one.tier, price=one.price)
        for one in head
    ]
    found = prepared(specs, open_door)
    unpriced = {one.name for one in head if one.price is None}
    learned = tuple(one for one in found.targets if one.name in unpriced and one.price is not None)
    return Prepared(targets=with_learned(head, learned), doors=found.doors, absent=found.absent, learned=learned)


def check_doors(found: Prepared) -> None:
    """Raises Unreachable when no target at all can be asked."""
    if not found.doors:
        told = "\n".join(f"{name}: {why}" for name, why in found.absent.items())
        raise Unreachable("no target can be asked", detail=told)


def check_ceiling(found: Prepared, ceiling_pico: int | None) -> None:
    """Raises UsageError when a price is unknown, so that nothing would keep the run below its ceiling."""
    unknown = [one.name for one in found.targets if one.price is None and one.name in found.doors]
    if ceiling_pico is not None and unknown:
        raise UsageError(
            f"nobody says what {', '.join(unknown)} costs, so no ceiling can be held",
            hint="state it (USD per million tokens): --target NAME=...,price=0.10/0.40\n"
            "or go without a ceiling for it: --allow-unknown-price",
        )


def _listed(door: Door, spec: TargetSpec) -> bytes | None:
    """Its list of models; None where a server has none that can be read."""
    try:
        return door.models()
    except ProtocolError:
        if spec.where == FRONT:
            raise
        return None
