"""Whether one more model would fit a node, beside the sidecars that the playbook gives it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.control.desired.expand import NodePlaybook
from fleet.control.desired.fit import Fit, SidecarLoad, fit, kv_reserve
from fleet.control.desired.fitting import load, node_limit, settings_of
from fleet.control.desired.roster import Roster
from fleet.errors import FitError
from fleet.vocabulary.contracts.model import ModelManifest
from fleet.vocabulary.names import NodeName


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How the model would be served. A stated `kv_reserve_bytes` stands for the other two."""

    context_tokens: int | None = None
    concurrency: int = 1
    kv_reserve_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is known of one node. `fits` None = it cannot be known, and `text` says what is lacking.

    `served` means that a sidecar of the node serves the model already: then nothing was added.
    """

    node: NodeName
    fits: bool | None
    tight: bool = False
    served: bool = False
    needed_bytes: int | None = None
    limit_bytes: int | None = None
    text: str = ""


def would_fit(
    book: NodePlaybook,
    own: Roster,
    name: str,
    manifest: ModelManifest,
    manifests: Mapping[str, ModelManifest],
    terms: Terms,
) -> Answer:
    """The node's own sidecars and one of the model; `manifests` are those of the node's own models, by name."""
    served = any(sidecar.model == name for sidecar in own.sidecars)
    loads = [load(sidecar, manifests.get(sidecar.model)) for sidecar in own.sidecars]
    if not served:
        loads.append(_new(name, manifest, terms))
    limit = node_limit(book, settings_of(book, "sysctl"))
    try:
        found: Fit = fit(book.node.name, loads, limit)
    except FitError as error:
        unknown = limit is None or any(one.weights_bytes is None or kv_reserve(one) is None for one in loads)
        return Answer(node=book.node.name, fits=None if unknown else False, served=served, text=error.detail)
    return Answer(
        node=book.node.name,
        fits=True,
        tight=found.tight,
        served=served,
        needed_bytes=found.needed_bytes,
        limit_bytes=found.limit_bytes,
        text=found.text,
    )


def _new(name: str, manifest: ModelManifest, terms: Terms) -> SidecarLoad:
    return SidecarLoad(
        name="(new)",
        model=name,
        weights_bytes=manifest.weights_bytes,
        kv_reserve_bytes=terms.kv_reserve_bytes,
        kv_bytes_per_token=manifest.kv_bytes_per_token,
        context_tokens=terms.context_tokens or manifest.context_tokens,
        concurrency=terms.concurrency,
    )
