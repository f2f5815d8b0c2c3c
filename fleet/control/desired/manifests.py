"""The manifests of every node's models: a front must know the sidecars of nodes that a deploy does not touch.

Read from the project, as compile may: the same checkout gives the same state, whichever nodes are deployed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from fleet.control.desired.expand import NodePlaybook
from fleet.control.desired.needs import model_need, model_tasks
from fleet.control.inventory import Project
from fleet.vocabulary.contracts.model import ModelManifest
from fleet.vocabulary.names import NodeName

Manifests = Mapping[NodeName, Mapping[str, ModelManifest]]


def manifests_of(books: Mapping[NodeName, NodePlaybook], project: Project) -> Manifests:
    """By node and by the model's name there. What is missing or broken is left out: its own node's compile says so."""
    read: dict[Path, ModelManifest | None] = {}
    found: dict[NodeName, dict[str, ModelManifest]] = {}
    for node, book in books.items():
        found[node] = {}
        for _, model in model_tasks(book):
            path = model_need(model, project).manifest_path
            if path not in read:
                read[path] = _read(path)
            manifest = read[path]
            if manifest is not None:
                found[node][model.name] = manifest
    return found


def _read(path: Path) -> ModelManifest | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=ModelManifest)
    except (OSError, msgspec.DecodeError):
        return None
