"""A small project to compile: one front, two nodes with models; supplies that nobody had to fetch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet.control.desired import Compiled, compile_states, needs
from fleet.control.desired.supplies import Needs, Packed, Supplies
from fleet.control.inventory import Inventory, Project, load_inventory
from fleet.control.playbook import Playbook, load_playbook
from fleet.vocabulary.contracts.desired import Blob
from fleet.vocabulary.contracts.model import ModelManifest
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.secret import Secret
from fleet.vocabulary.units import GIB, MIB

INVENTORY = """\
all:
  vars:
    ansible_user: admin
    owner: fleet
    home: /Users/fleet
    fleet_key: file:secrets/fleet.key
    gateway_key: file:secrets/gateway.key
    secret_salt: 00ff
    model: smollm2
  children:
    front:
      hosts:
        front-1:
          ansible_host: front.example
          gateway_bind: 0.0.0.0
          edge_key: sha256//FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF=
      vars:
        routes: {code: [smollm2]}
    mlx:
      hosts:
        mini-1: {ansible_host: 192.0.2.11, edge_key: sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=}
        mini-2: {ansible_host: 192.0.2.12, edge_key: sha256//BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB=}
      vars: {gateway_bind: 0.0.0.0}
"""
MANIFEST = {
    "name": "smollm2",
    "source": "file:smollm2",
    "files": [
        {"path": "config.json", "sha256": "c" * 64, "size_bytes": 700},
        {"path": "model.safetensors", "sha256": "d" * 64, "size_bytes": 270 * MIB},
    ],
    "weights_bytes": 270 * MIB,
    "kv_bytes_per_token": 23040,
    "context_tokens": 8192,
}
FACTS = {
    NodeName(name): Facts(memory_bytes=memory * GIB, os_version="26.4", wired_limit_mb=0, chip="Apple M4")
    for name, memory in (("front-1", 16), ("mini-1", 32), ("mini-2", 64))
}
SECRETS = {
    "file:secrets/fleet.key": Secret("the-fleet-key-of-the-tests"),
    "file:secrets/gateway.key": Secret("the-gateway-key-of-the-tests"),
    "env:HUB_TOKEN": Secret("a-token-for-the-hub"),
}


@dataclass(frozen=True)
class Kit:
    """A project on disk, loaded."""

    project: Project
    inventory: Inventory
    playbook: Playbook

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node, in file order."""
        return tuple(self.inventory.nodes)

    def needs(self, *nodes: str, facts: Mapping[NodeName, Facts] = FACTS) -> Needs:
        """What the states of these nodes need; of all, when none is named."""
        chosen = [self.inventory.node(name) for name in nodes or self.nodes]
        return needs(self.inventory, self.playbook, facts=facts, nodes=chosen, project=self.project)

    def compile(
        self, *nodes: str, facts: Mapping[NodeName, Facts] = FACTS, supplies: Supplies | None = None
    ) -> Mapping[NodeName, Compiled]:
        """The states of these nodes; of all, when none is named."""
        chosen = [self.inventory.node(name) for name in nodes or self.nodes]
        return compile_states(
            self.inventory,
            self.playbook,
            facts=facts,
            nodes=chosen,
            supplies=supplies or stand_in(self.needs(*nodes, facts=facts)),
            project=self.project,
        )

    def one(self, node: str, *, facts: Mapping[NodeName, Facts] = FACTS) -> Compiled:
        """The state of one node."""
        return self.compile(node, facts=facts)[NodeName(node)]


def a_project(
    folder: Path,
    *,
    inventory: str = INVENTORY,
    playbook: str | None = None,
    files: Mapping[str, str] | None = None,
    overrides: tuple[str, ...] = (),
) -> Kit:
    """A project in `folder`; without a playbook the shipped site.yml rules. `files` are written below the folder."""
    written = {
        "inventory/fleet.yml": inventory,
        "models/smollm2.json": json.dumps(MANIFEST),
        "locks/node.lock": "msgspec==0.20.0 --hash=sha256:00\n",
        "locks/mlx.lock": "mlx-lm==0.32.2 --hash=sha256:00\n",
        **({"playbooks/test.yml": playbook} if playbook else {}),
        **(files or {}),
    }
    for name, text in written.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    project = Project(folder, folder / "inventory" / "fleet.yml")
    path = project.file("playbooks", "test.yml" if playbook else "site.yml")
    assert path is not None
    return Kit(project, load_inventory(project, overrides=overrides), load_playbook(path))


def packed(name: str) -> Packed:
    """A pack whose digest follows from its name."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return Packed(digest=digest, archive=Blob(digest=f"sha256:{digest}", size=len(name)))


def stand_in(wanted: Needs) -> Supplies:
    """Supplies for `wanted`: manifests are read, everything else is made up from its name."""
    return Supplies(
        app=packed("app"),
        envs={need: packed(f"env {need.name} {need.lock_sha256} {need.os_version}") for need in wanted.envs},
        models={
            need: msgspec.json.decode(need.manifest_path.read_bytes(), type=ModelManifest) for need in wanted.models
        },
        archives={need: packed(f"archive {need.name} {need.sha256} {need.platform}") for need in wanted.archives},
        interpreters={
            need: None if need.path else packed(f"python {need.python_version}") for need in wanted.interpreters
        },
        secrets=SECRETS,
    )
