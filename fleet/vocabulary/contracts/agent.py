"""The agent's configuration file: what deploy writes to ROOT/etc/agent.json. Schema 1."""

from __future__ import annotations

import msgspec


class AgentService(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A launchd job that the agent watches."""

    name: str
    label: str


class AgentSidecar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sidecar that the agent probes. `model` is what its server is asked for, `serves` what clients call it."""

    name: str
    model: str
    port: int
    engine: str = "mlx_lm"
    serves: str = ""


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the agent of one node runs.

    `readings` is `macos`, `linux` or `file:PATH` (a folder of recorded command outputs: simulation and replay).
    `token_file` holds the bearer token of its loopback listener (0600).
    """

    node: str
    port: int
    token_file: str
    readings: str
    domain: str
    launchctl: str
    var_dir: str
    disks: tuple[str, ...] = ("/",)
    services: tuple[AgentService, ...] = ()
    sidecars: tuple[AgentSidecar, ...] = ()
    commands: dict[str, str] = {}
    fast_seconds: float = 5.0
    slow_seconds: float = 30.0
    schema: int = 1
