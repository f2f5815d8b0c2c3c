"""What nodes said of themselves, remembered on the laptop: PROJECT/.fleet/facts/NODE.json. Never part of a commit."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from fleet.control.inventory.project import Project
from fleet.vocabulary.contracts.codec import ContractError, canonical, decode
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.names import NodeName


class FactsStore:
    """The last facts of every node. A file that cannot be read counts as not seen."""

    def __init__(self, project: Project) -> None:
        self._dir = project.state_dir / "facts"

    def load(self, nodes: Iterable[NodeName]) -> dict[NodeName, Facts]:
        """The facts of those of `nodes` that were seen."""
        found: dict[NodeName, Facts] = {}
        for node in nodes:
            try:
                found[node] = decode(self._path(node).read_bytes(), Facts)
            except (OSError, ContractError):
                continue
        return found

    def save(self, node: NodeName, facts: Facts) -> None:
        """Remember the facts of a node."""
        path = self._path(node)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_bytes(canonical(facts))
        part.replace(path)

    def _path(self, node: NodeName) -> Path:
        return self._dir / f"{node}.json"
