"""`fleet bundle`: everything that a deploy of these nodes would fetch, had here and written into one file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fleet.control.actions.facts import FactsStore
from fleet.control.actions.playbooks import playbook_of
from fleet.control.desired import needs
from fleet.control.inventory import load_inventory
from fleet.control.inventory.project import Project
from fleet.control.supply.bundleindex import BundleIndex
from fleet.control.supply.bundlewriter import ingredients, write_bundle
from fleet.control.supply.cache import Cache
from fleet.control.supply.resolve import resolve
from fleet.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Bundled:
    """What was written."""

    path: Path
    size_bytes: int
    index: BundleIndex


def make_bundle(
    project: Project,
    path: Path,
    *,
    playbook: str,
    on: str | None,
    overrides: tuple[str, ...],
    weights: bool,
    cache: Cache,
    notify: Callable[[str], None],
) -> Bundled:
    """Write the bundle. No node is contacted; what nodes said of themselves before is used. Raises FleetError."""
    inventory = load_inventory(project, overrides=overrides)
    facts = FactsStore(project).load(inventory.nodes)
    nodes = inventory.select(on, facts=facts)
    if not nodes:
        raise UsageError(f"no node fits {on!r}", hint="fleet inventory list shows the nodes")
    wants = needs(inventory, playbook_of(project, playbook), facts=facts, nodes=nodes, project=project)
    wants = replace(wants, secrets=())  # a secret is in no bundle: it is asked for when it is deployed
    supplies = resolve(wants, project=project, cache=cache, notify=notify)
    what = ingredients(wants, supplies, project=project, cache=cache, weights=weights, notify=notify)
    return Bundled(path=path, size_bytes=write_bundle(what, path), index=what.index)
