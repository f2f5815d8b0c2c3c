"""Stand-ins for what only a deploy has: lint compiles every node without network, secrets or a node. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import msgspec

from fleet.control.desired.supplies import ModelNeed, Needs, Packed, Supplies
from fleet.control.inventory import Inventory, Node
from fleet.control.inventory.secretrefs import parse_secret_ref
from fleet.errors import PlaybookError
from fleet.vocabulary.contracts.desired import Blob
from fleet.vocabulary.contracts.model import ModelManifest
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.secret import Secret

_PIN = f"sha256//{'A' * 43}="


def as_if_adopted(inventory: Inventory) -> Inventory:
    """The inventory with a salt and an edge pin for every node that has none yet."""
    nodes: Mapping[NodeName, Node] = {name: _adopted(node) for name, node in inventory.nodes.items()}
    return replace(inventory, nodes=nodes)


def rehearsal_supplies(needs: Needs) -> Supplies:
    """Supplies whose digests follow from the needs. Manifests are the real ones where they are there.

    Raises PlaybookError for a manifest that is no manifest, SupplyError for what is no reference to a secret.
    """
    for need in needs.secrets:
        parse_secret_ref(need.reference)
    return Supplies(
        app=_packed("app"),
        envs={need: _packed(f"env {need.name} {need.lock_sha256}") for need in needs.envs},
        models={need: _manifest(need) for need in needs.models},
        archives={need: _packed(f"archive {need.name} {need.sha256}") for need in needs.archives},
        interpreters={
            need: None if need.path else _packed(f"python {need.python_version}") for need in needs.interpreters
        },
        secrets={need.reference: Secret(f"https://stand-in.invalid/{need.reference}") for need in needs.secrets},
    )


def _adopted(node: Node) -> Node:
    settings = node.settings
    stand_in = {"secret_salt": settings.secret_salt or "rehearsal", "edge_key": settings.edge_key or _PIN}
    return replace(node, settings=msgspec.structs.replace(settings, **stand_in))


def _packed(name: str) -> Packed:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return Packed(digest=digest, archive=Blob(digest=f"sha256:{digest}", size=0))


def _manifest(need: ModelNeed) -> ModelManifest:
    path = need.manifest_path
    if not path.is_file():
        return ModelManifest(
            name=path.stem, source="(missing)", files=(), weights_bytes=0, kv_bytes_per_token=0, context_tokens=1
        )
    try:
        return msgspec.json.decode(path.read_bytes(), type=ModelManifest)
    except (msgspec.DecodeError, OSError) as error:
        raise PlaybookError(
            f"not a manifest of a model: {error}", place=str(path), hint="fleet model lock writes one"
        ) from None
