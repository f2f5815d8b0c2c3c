"""The fit of one node: its sidecars and manifests brought to the arithmetic of `fit`. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.control.desired.expand import NodePlaybook
from fleet.control.desired.fit import Fit, GpuLimit, SidecarLoad, fit, gpu_limit, kv_reserve
from fleet.control.desired.roster import Roster, Sidecar
from fleet.errors import PlaybookError
from fleet.vocabulary.contracts.model import ModelManifest
from fleet.vocabulary.units import GIB, parse_bytes

WIRED_LIMIT = "iogpu.wired_limit_mb"


def node_fit(
    book: NodePlaybook, own: Roster, manifests: Mapping[str, ModelManifest], sysctls: Mapping[str, str]
) -> Fit | None:
    """Whether the node's sidecars fit it; None when it has none. Raises FitError."""
    if not own.sidecars:
        return None
    loads = [load(sidecar, manifests.get(sidecar.model)) for sidecar in own.sidecars]
    return fit(book.node.name, loads, node_limit(book, sysctls))


def node_limit(book: NodePlaybook, sysctls: Mapping[str, str]) -> GpuLimit | None:
    """How much the GPU of the node may wire; None when it cannot be known."""
    set_mb = sysctls.get(WIRED_LIMIT, "")
    return gpu_limit(
        stated_mb=book.node.settings.wired_limit_mb,
        set_mb=int(set_mb) if set_mb.isdigit() else None,
        observed_mb=book.facts.wired_limit_mb if book.facts else None,
        memory_bytes=memory_bytes(book),
    )


def settings_of(book: NodePlaybook, kind: str) -> dict[str, str]:
    """What the `pmset` or `sysctl` tasks of a node set; the last one wins."""
    found: dict[str, str] = {}
    for task in book.tasks:
        if task.kind == kind:
            found |= {name: str(value) for name, value in book.fill(task).items()}
    return found


def memory_bytes(book: NodePlaybook) -> int | None:
    """The node's memory: its own word, else the inventory's."""
    if book.facts and book.facts.memory_bytes is not None:
        return book.facts.memory_bytes
    planned = book.node.settings.memory_gb
    return int(planned * GIB) if planned is not None else None


def load(sidecar: Sidecar, manifest: ModelManifest | None) -> SidecarLoad:
    """What the sidecar takes, as far as task and manifest say. Raises PlaybookError for an option that is no size."""
    options = sidecar.options
    cache = options.get("prompt_cache_bytes")
    concurrency = options.get("decode_concurrency")
    try:
        cache_bytes = parse_bytes(cache) if isinstance(cache, str | int) else None
    except ValueError as error:
        raise PlaybookError(f"prompt_cache_bytes: {error}", place=sidecar.place) from None
    return SidecarLoad(
        name=sidecar.service,
        model=sidecar.model,
        weights_bytes=manifest.weights_bytes if manifest else None,
        kv_reserve_bytes=sidecar.kv_reserve_bytes,
        kv_bytes_per_token=manifest.kv_bytes_per_token if manifest else None,
        context_tokens=sidecar.context_tokens or (manifest.context_tokens if manifest else None),
        concurrency=concurrency if isinstance(concurrency, int) else None,
        prompt_cache_bytes=cache_bytes,
    )


def reserve_bytes(sidecar: Sidecar, manifest: ModelManifest | None) -> int | None:
    """The reserve that the fit counts, which also bounds the engine's own cache."""
    found = kv_reserve(load(sidecar, manifest))
    return found[0] if found else None
