"""The agent's configuration file: what deploy writes to ROOT/etc/agent.json. Schema 1."""

from __future__ import annotations

import msgspec


class AgentService(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A launchd job that the agent watches."""

    name: str
    label: str


class Golden(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A long prompt whose greedy answer is known: it proves more than one token does. `every_seconds` apart."""

    prompt: str
    answer: str
    max_tokens: int = 32
    every_seconds: float = 3600.0


class Care(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the agent may do for a sidecar by itself; seconds, None = never.

    It is restarted (drained first, `drain_seconds` at most) when it has refused or generated nothing for
    `restart_after_seconds`, when its footprint passes its limit, and every `refresh_seconds` when nothing runs on it.
    `quarantine`: a model that ran when the kernel panicked is tried once more, then drained with a notice.
    At most `most_restarts` within an hour.
    """

    restart_after_seconds: float | None = 120.0
    drain_seconds: float = 120.0
    refresh_seconds: float | None = None
    quarantine: bool = True
    cure_pended: bool = True
    most_restarts: int = 3


class AgentSidecar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sidecar that the agent probes. `model` is what its server is asked for, `serves` what clients call it.

    `version` is that of the engine's package: with model and OS it names a baseline.
    """

    name: str
    model: str
    port: int
    engine: str = "mlx_lm"
    serves: str = ""
    version: str = ""
    footprint_limit_bytes: int | None = None
    golden: Golden | None = None
    care: Care = Care()


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the agent of one node runs.

    `readings` is `macos`, `linux` or `file:PATH` (a folder of recorded command outputs: simulation and replay).
    `token_file` holds the bearer token of its loopback listener (0600); the gateway's admin door at
    `gateway_admin_port` takes it too, with the scope `care`. `wired_limit` is what deploy provisioned, and
    `wired_limit_job` the label of the job that sets it. `helper`: the words before a label that make launchd start a
    daemon that it puts off; empty = it may not.
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
    gateway_admin_port: int | None = None
    wired_limit_bytes: int | None = None
    wired_limit_job: str = ""
    helper: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    log_limit_bytes: int = 16_000_000
    log_files: int = 4
    schema: int = 1
