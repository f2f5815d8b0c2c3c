"""Which secrets a fleet uses, and what uses them: nodes, files, services. Compiled with stand-ins."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from fleet.control.desired.compile import daemon_names
from fleet.control.desired.expand import expand
from fleet.control.desired.keys import NEXT, PREVIOUS, ring_references
from fleet.control.desired.manifests import manifests_of
from fleet.control.desired.needs import needs_of
from fleet.control.desired.nodestate import NodeCompiler
from fleet.control.desired.rehearsal import as_if_adopted, rehearsal_supplies
from fleet.control.desired.roster import Roster, rosters
from fleet.control.desired.states import Compiled
from fleet.control.desired.templates import Templates
from fleet.control.inventory import Inventory, Project
from fleet.control.playbook import Playbook
from fleet.errors import FleetError
from fleet.vocabulary.contracts.desired import Command, Daemon, File
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.names import GatewayRole, NodeName


@dataclass(frozen=True, kw_only=True)
class Use:
    """A file of a node that follows from a secret. `services` are reloaded when it changes, `restarts` restarted."""

    node: NodeName
    path: str
    services: tuple[str, ...] = ()
    restarts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Uses:
    """Uses by reference, in inventory order. `rings`: references of fleet_key and gateway_key -> those names."""

    by_reference: Mapping[str, tuple[Use, ...]]
    rings: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unknown: Mapping[NodeName, FleetError] = field(default_factory=dict)
    """Nodes whose files cannot be told, and why."""

    def nodes(self, reference: str) -> tuple[NodeName, ...]:
        """The nodes that use it."""
        return tuple(dict.fromkeys(use.node for use in self.by_reference.get(reference, ())))


def uses_of(inventory: Inventory, playbook: Playbook, *, project: Project, facts: Mapping[NodeName, Facts]) -> Uses:
    """Every use in the fleet. Raises ConfigError for what is wrong in a file."""
    whole = as_if_adopted(inventory)
    books = expand(whole, playbook, facts=facts, templates=Templates(project))
    lists = rosters(books)
    elsewhere, manifests = daemon_names(playbook, lists), manifests_of(books, project)
    found: dict[str, list[Use]] = {}
    unknown: dict[NodeName, FleetError] = {}
    for name, book in books.items():
        needs = needs_of([book], lists, project)
        for need in needs.secrets:
            if not need.reference.endswith((NEXT, PREVIOUS)):
                found.setdefault(need.reference, [])
        try:
            compiled = NodeCompiler(
                book, lists, rehearsal_supplies(needs), project, elsewhere, manifests, clients=inventory.client_keys
            ).compile()
        except FleetError as error:
            unknown[name] = error
            continue
        for reference, use in _uses(name, compiled):
            found.setdefault(reference, []).append(use)
    return Uses(
        by_reference={reference: tuple(uses) for reference, uses in found.items()},
        rings=_rings(lists),
        unknown=unknown,
    )


def keys_that_follow(compiled: Compiled, references: Collection[str]) -> frozenset[str]:
    """The keys of the items that a change of these secrets may touch: files, their daemons, commands behind them."""
    digests = {digest for digest, sealed in compiled.secrets.items() if set(sealed.references) & set(references)}
    files = {item.path for item in compiled.state.items if isinstance(item, File) and item.blob.digest in digests}
    keys = {f"file:{path}" for path in files}
    for item in compiled.state.items:
        if (isinstance(item, Daemon) and files & {*item.reload, *item.inputs}) or (
            isinstance(item, Command) and keys & set(item.on_change_of)
        ):
            keys.add(item.key)
    return frozenset(keys)


def _uses(node: NodeName, compiled: Compiled) -> Iterator[tuple[str, Use]]:
    daemons = compiled.state.daemons
    for item in compiled.state.items:
        sealed = compiled.secrets.get(item.blob.digest) if isinstance(item, File) else None
        if not isinstance(item, File) or sealed is None:
            continue
        use = Use(
            node=node,
            path=item.path,
            services=tuple(daemon.service for daemon in daemons if item.path in daemon.reload),
            restarts=tuple(daemon.service for daemon in daemons if item.path in daemon.inputs),
        )
        for reference in sealed.references:
            if not reference.endswith((NEXT, PREVIOUS)):
                yield reference, use


def _rings(lists: Mapping[NodeName, Roster]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for roster in lists.values():
        for name, (own, *_) in ring_references(roster.node).items():
            if roster.role is GatewayRole.FRONT or (roster.role and name == "fleet_key"):
                found[own] = found.get(own, frozenset()) | {name}
    return found
