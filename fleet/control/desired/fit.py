"""Whether the models of a node fit its memory: the sum of all its sidecars against the GPU wired limit. Pure.

Everything is in bytes. What is not known fails closed: a guess that is too kind freezes a Mac (FACTS section 9: six
sidecars that each took "75 % of RAM" hung a 512 GB machine).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fleet.errors import FitError
from fleet.vocabulary.units import GIB, MIB, bytes_text

SIDECAR_OVERHEAD_BYTES = 512 * MIB
"""Interpreter, MLX's buffers and Metal's command queues of one sidecar, apart from weights and key-value caches."""

_SMALL_MAC_BYTES = 36 * GIB
TIGHT_RATIO = 0.8
"""Above this share of the limit the reported panics cluster (mlx/FACTS section 5)."""


@dataclass(frozen=True, kw_only=True)
class SidecarLoad:
    """What one sidecar takes. None = not known.

    `kv_reserve_bytes` is what the operator stated for live and cached prompts together. Without it the reserve is
    `kv_bytes_per_token` x `context_tokens` x `concurrency` for what is being generated, and `prompt_cache_bytes` (as
    much again when that is not stated) for what is cached.
    """

    name: str
    model: str
    weights_bytes: int | None
    kv_reserve_bytes: int | None = None
    kv_bytes_per_token: int | None = None
    context_tokens: int | None = None
    concurrency: int | None = None
    prompt_cache_bytes: int | None = None
    overhead_bytes: int = SIDECAR_OVERHEAD_BYTES


@dataclass(frozen=True, kw_only=True)
class GpuLimit:
    """How much memory the GPU may wire, and where that number is from."""

    limit_bytes: int
    source: str


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The arithmetic of a node whose models fit."""

    needed_bytes: int
    limit_bytes: int
    text: str
    """One line per term, then the sum and the limit."""

    @property
    def tight(self) -> bool:
        """Whether less than a fifth of the limit stays free."""
        return self.needed_bytes > TIGHT_RATIO * self.limit_bytes


def gpu_limit(
    *, stated_mb: int | None, set_mb: int | None, observed_mb: int | None, memory_bytes: int | None
) -> GpuLimit | None:
    """The GPU wired limit of a node; None when it cannot be known.

    In this order: `stated_mb` (inventory), `set_mb` (a sysctl task of the playbook), `observed_mb` (the node's
    `iogpu.wired_limit_mb`, where 0 means the system's own default), else a share of the memory: two thirds up to
    36 GiB and three quarters above. Measured defaults are 10.67 of 16 GB (67 %, exo PR 1672) and 107.5 of 128 GiB
    (84 %, antirez/ds4 #893); peers/monitoring.md says about 75 % on larger machines. The device's own word is better:
    state `wired_limit_mb` where it is known. No limit is taken to be more than the memory itself.
    """
    for value, source in (
        (stated_mb, "wired_limit_mb of the inventory"),
        (set_mb, "the playbook's sysctl iogpu.wired_limit_mb"),
        (observed_mb, "the node's iogpu.wired_limit_mb"),
    ):
        if value is not None and value > 0:
            limit = value * MIB
            if memory_bytes is not None and limit > memory_bytes:
                return GpuLimit(limit_bytes=memory_bytes, source=f"{source}, cut to the node's memory")
            return GpuLimit(limit_bytes=limit, source=source)
    if memory_bytes is None:
        return None
    if memory_bytes <= _SMALL_MAC_BYTES:
        return GpuLimit(limit_bytes=memory_bytes * 2 // 3, source=f"2/3 of {bytes_text(memory_bytes)}")
    return GpuLimit(limit_bytes=memory_bytes * 3 // 4, source=f"3/4 of {bytes_text(memory_bytes)}")


def kv_reserve(load: SidecarLoad) -> tuple[int, str] | None:
    """The key-value reserve of a sidecar and how it was found; None when it cannot be known."""
    cache = load.prompt_cache_bytes
    if load.kv_reserve_bytes is not None:
        if cache is not None and cache > load.kv_reserve_bytes:
            return cache, "prompt_cache_bytes, more than the stated kv_reserve"
        return load.kv_reserve_bytes, "stated"
    if load.kv_bytes_per_token is None or load.context_tokens is None or load.concurrency is None:
        return None
    live = load.kv_bytes_per_token * load.context_tokens * load.concurrency
    how = f"{load.kv_bytes_per_token} B x {load.context_tokens} tokens x {load.concurrency} at once"
    if cache is None:
        return 2 * live, f"{how}, as much again for the prompt cache"
    return live + cache, f"{how} + prompt cache {bytes_text(cache)}"


def fit(node: str, loads: Sequence[SidecarLoad], limit: GpuLimit | None) -> Fit:
    """The sum over all sidecars of a node against its limit. Raises FitError, with the arithmetic."""
    lines: list[str] = []
    unknown: list[str] = []
    needed = 0
    for load in loads:
        reserve = kv_reserve(load)
        if load.weights_bytes is None:
            unknown.append(f"{load.name}: the size of {load.model} is not known")
        if reserve is None:
            unknown.append(f"{load.name}: the key-value reserve is not known ({_lacking(load)})")
        if load.weights_bytes is None or reserve is None:
            continue
        total = load.weights_bytes + reserve[0] + load.overhead_bytes
        needed += total
        lines.append(
            f"{load.name} ({load.model}): weights {bytes_text(load.weights_bytes)}"
            f" + KV {bytes_text(reserve[0])} ({reserve[1]})"
            f" + overhead {bytes_text(load.overhead_bytes)} = {bytes_text(total)}"
        )
    if limit is None:
        unknown.append("neither the GPU wired limit nor the memory of the node is known")
    if unknown or limit is None:
        raise FitError(
            "whether the models fit cannot be known",
            node=node,
            detail="\n".join([*lines, *unknown]),
            hint="state kv_reserve in the sidecar's task, memory_gb or wired_limit_mb in the inventory;"
            "\nfleet model lock writes sizes into the manifest",
        )
    room = limit.limit_bytes - needed
    verdict = f"{bytes_text(room)} free" if room >= 0 else f"{bytes_text(-room)} too much"
    lines.append(f"sum {bytes_text(needed)} of {bytes_text(limit.limit_bytes)} ({limit.source}): {verdict}")
    text = "\n".join(lines)
    if room < 0:
        raise FitError(
            f"its models need {bytes_text(needed)} and the GPU may wire {bytes_text(limit.limit_bytes)}",
            node=node,
            detail=text,
            hint="a smaller model or kv_reserve, fewer sidecars on the node, or a higher iogpu.wired_limit_mb",
        )
    return Fit(needed_bytes=needed, limit_bytes=limit.limit_bytes, text=text)


def _lacking(load: SidecarLoad) -> str:
    terms = {
        "kv_bytes_per_token of the manifest": load.kv_bytes_per_token,
        "context": load.context_tokens,
        "options.decode_concurrency": load.concurrency,
    }
    return "no kv_reserve, and no " + ", no ".join(name for name, value in terms.items() if value is None)
