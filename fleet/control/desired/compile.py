"""Inventory + playbook + templates + supplies -> the desired state of each node. Reads the project's files, no more.

The same project, facts and supplies give the same state ids, whoever compiles and wherever the checkout lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleet.control.desired.expand import expand, refuse_tags
from fleet.control.desired.manifests import manifests_of
from fleet.control.desired.nodestate import NodeCompiler
from fleet.control.desired.roster import Roster, rosters
from fleet.control.desired.states import Compiled
from fleet.control.desired.supplies import Supplies
from fleet.control.desired.templates import Templates
from fleet.control.inventory import Inventory, Node, Project
from fleet.control.playbook.playbook import Playbook
from fleet.control.playbook.tasks import AgentDaemon, CustomDaemon, GatewayDaemon, OpenClawDaemon, SidecarDaemon
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.names import NodeName


def compile_states(
    inventory: Inventory,
    playbook: Playbook,
    *,
    facts: Mapping[NodeName, Facts],
    nodes: Sequence[Node],
    supplies: Supplies,
    project: Project,
    tags: Sequence[str] = (),
) -> Mapping[NodeName, Compiled]:
    """The desired states of those `nodes` that a play names.

    Raises ConfigError for what is wrong in a file, NotAdopted for a node that lacks salt or pin, FitError.
    """
    refuse_tags(tuple(tags))
    books = expand(inventory, playbook, facts=facts, templates=Templates(project, digests=supplies.digests))
    lists = rosters(books)
    elsewhere = daemon_names(playbook, lists)
    manifests = manifests_of(books, project)
    return {
        node.name: NodeCompiler(
            books[node.name], lists, supplies, project, elsewhere, manifests, clients=inventory.client_keys
        ).compile()
        for node in nodes
        if node.name in books
    }


def daemon_names(playbook: Playbook, lists: Mapping[NodeName, Roster]) -> frozenset[str]:
    """Every daemon that the playbook names, also those that `when` keeps off every node."""
    names = {sidecar.service for entry in lists.values() for sidecar in entry.sidecars}
    for task in (task for play in playbook.plays for task in play.tasks):
        match task.action:
            case AgentDaemon() | GatewayDaemon() | OpenClawDaemon():
                names.add(task.action.service)
            case SidecarDaemon():
                names.add(f"sidecar.{task.action.name}")
            case CustomDaemon():
                names.add(task.action.label)
    return frozenset(names)
