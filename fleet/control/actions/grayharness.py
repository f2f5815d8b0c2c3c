"""`fleet gray enable --harness RUN`: the run is read, and the front is told what it found. Nobody's word is taken."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fleet.control.actions.graypool import Pool
from fleet.control.actions.harness import run_named
from fleet.control.inventory import Inventory
from fleet.control.inventory.project import Project
from fleet.errors import UsageError
from fleet.practice.harness.passed import harness_found
from fleet.vocabulary.contracts.policy_admin import GrayRequest


def with_harness(
    asked: GrayRequest, text: str, pools: Iterable[Pool], *, inventory: Inventory, project: Project
) -> GrayRequest:
    """The request with what the run `RUN` or `RUN:TARGET` found of the pool's model. Raises UsageError."""
    name, _, target = text.partition(":")
    if "=" in name:
        raise UsageError(f"{text!r} is no run", hint="fleet harness runs lists them; the front is told what it found")
    _, run = run_named(project, name)
    fronts = [one for pool in pools if pool.route == asked.route for one in pool.fronts.values()]
    served = {model for front in fronts for model in front.models}
    if not served:
        raise UsageError(f"no front says which model is in {asked.route}", hint="fleet gray status")
    found = harness_found(run, {**_asked_names(inventory, served), **{one: one for one in served}}, target=target)
    return msgspec.structs.replace(asked, harness=found)


def _asked_names(inventory: Inventory, served: set[str]) -> dict[str, str]:
    """What providers call these models, each with the name under which it is served."""
    return {
        model.asked: name
        for node in inventory.nodes.values()
        for api in node.settings.upstreams.values()
        for name, model in api.served().items()
        if name in served
    }
