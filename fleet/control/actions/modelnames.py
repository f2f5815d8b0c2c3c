"""What a model's name means: for a node its playbook's task of that name, else the manifest models/NAME.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.control.actions.facts import FactsStore
from fleet.control.actions.playbooks import playbook_of
from fleet.control.desired.expand import NodePlaybook, expand
from fleet.control.desired.manifests import Manifests, manifests_of
from fleet.control.desired.roster import Roster, rosters
from fleet.control.desired.templates import Templates
from fleet.control.inventory import Inventory
from fleet.control.inventory.project import Project
from fleet.control.supply.models import read_manifest
from fleet.errors import UsageError
from fleet.vocabulary.contracts.model import ModelManifest
from fleet.vocabulary.names import NodeName


@dataclass(frozen=True, kw_only=True)
class ModelBook:
    """What project and playbook know of models. Nodes that no play names have no book."""

    project: Project
    books: Mapping[NodeName, NodePlaybook]
    rosters: Mapping[NodeName, Roster]
    manifests: Manifests

    def manifest(self, name: str, node: NodeName | None = None) -> ModelManifest:
        """The manifest. Raises UsageError when there is none, ConfigError for one that is broken."""
        own = self.manifests.get(node, {}).get(name) if node else None
        if own is not None:
            return own
        path = self.project.file("models", f"{name}.json")
        if path is not None:
            return read_manifest(path)
        for known in self.manifests.values():
            if name in known:
                return known[name]
        raise UsageError(f"no model {name!r}", hint=f"fleet model lock SOURCE --name {name} writes models/{name}.json")

    def asking_for(self, name: str) -> tuple[NodeName, ...]:
        """The nodes that the playbook gives the model to."""
        return tuple(node for node, known in self.manifests.items() if name in known)

    def names(self) -> Mapping[str, str]:
        """Names by the first 16 digits of their manifests' digests, as the folders on nodes end."""
        return {one.digest[:16]: name for known in self.manifests.values() for name, one in known.items()}


def model_book(project: Project, inventory: Inventory, playbook: str) -> ModelBook:
    """Read what is needed; no node is contacted. Raises ConfigError, UsageError."""
    facts = FactsStore(project).load(inventory.nodes)
    books = expand(inventory, playbook_of(project, playbook), facts=facts, templates=Templates(project))
    return ModelBook(project=project, books=books, rosters=rosters(books), manifests=manifests_of(books, project))
