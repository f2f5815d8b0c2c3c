"""What a sidecar should be, and the command that makes it so. Pure values; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OptionValue = str | int | float | bool | Mapping[str, object]
"""An option of an engine as the playbook says it: snake_case name, plain value."""


@dataclass(frozen=True, kw_only=True)
class SidecarSpec:
    """One inference server on a node.

    `name` is the sidecar's (`chat`), `serves` the model name under which routes and clients know it. `model_path` and
    `hub_dir` are absolute paths on the node (`hub_dir` becomes HF_HOME and belongs to the service's owner). `options`
    are the engine's own, by its spelling with underscores; `environment` is added to the engine's. `context_tokens`
    is the longest request that the gateway lets through. `memory_bytes` (of the node) and `kv_reserve_bytes` (what
    the fit counted for key-value caches) only shape defaults; None = not known.
    """

    name: str
    model_path: str
    serves: str
    port: int
    hub_dir: str
    engine: str = "mlx_lm"
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    context_tokens: int | None = None
    memory_bytes: int | None = None
    kv_reserve_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class EngineCommand:
    """How an engine is started: `INTERPRETER -s` and `argv_tail`, in `environment`.

    `directories` must exist, owned by the service's owner, before the start: the desired state makes them.
    """

    argv_tail: tuple[str, ...]
    environment: Mapping[str, str]
    directories: tuple[str, ...] = ()
