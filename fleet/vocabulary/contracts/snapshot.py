"""What an agent says of its node: /v1/snapshot on loopback, /node/snapshot on the edge. Schema 1.

Every reading may be None: unknown is never 0 (macos/FACTS section 4, monitoring study section 2.2).
"""

from __future__ import annotations

import msgspec


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of the node, bytes. `app` = anonymous minus purgeable; `compressed` = RAM that the compressor occupies.

    The two totals are pages since boot. `wired_limit_expected` is what deploy set: macOS forgets it at a boot.
    """

    total_bytes: int | None = None
    wired_bytes: int | None = None
    compressed_bytes: int | None = None
    app_bytes: int | None = None
    cached_bytes: int | None = None
    free_bytes: int | None = None
    pressure_level: int | None = None
    free_ratio: float | None = None
    wired_limit_bytes: int | None = None
    wired_headroom_bytes: int | None = None
    wired_limit_expected_bytes: int | None = None
    recommended_working_set_bytes: int | None = None
    compressions_total: int | None = None
    decompressions_total: int | None = None


class Swap(msgspec.Struct, frozen=True, kw_only=True):
    """Swap. The counters are real swap-ins and swap-outs since boot, not psutil's file paging."""

    used_bytes: int | None = None
    total_bytes: int | None = None
    swapins_bytes_total: int | None = None
    swapouts_bytes_total: int | None = None
    swapin_bytes_per_second: float | None = None
    swapout_bytes_per_second: float | None = None


class Thermal(msgspec.Struct, frozen=True, kw_only=True):
    """Thermal pressure: 0 nominal, 1 moderate, 2 heavy, 3 trapping, 4 sleeping.

    `ever_nonzero` tells a real 0 from a key that nobody publishes.
    """

    pressure_level: int | None = None
    ever_nonzero: bool = False


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """One file system that matters."""

    mount: str
    total_bytes: int | None = None
    free_bytes: int | None = None


class ServiceReading(msgspec.Struct, frozen=True, kw_only=True):
    """One launchd job, as `launchctl print` says. `up` None = could not be read."""

    name: str
    label: str
    up: bool | None = None
    state: str | None = None
    pid: int | None = None
    runs: int | None = None
    last_exit: str | None = None
    pended: str | None = None
    started_at_seconds: float | None = None
    resident_bytes: int | None = None
    footprint_bytes: int | None = None


class CareReading(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent does for a sidecar by itself.

    `state`: watching, draining, restarting, refreshing, quarantined. `reason` says why, for people; `since_seconds` is
    the time of that state. The last restart is told with its reason as long as the agent remembers it.
    """

    state: str = "watching"
    reason: str = ""
    since_seconds: float | None = None
    restarts_total: int = 0
    restarted_at_seconds: float | None = None
    restarted_for: str = ""


class SidecarReading(msgspec.Struct, frozen=True, kw_only=True):
    """A sidecar as its probes say: `live` = /health, `ready` = a 1-token completion (None = not tried yet).

    `served_at_seconds`: when the node's gateway last had a whole answer of it (then no probe is needed). Its pace comes
    from the gateway; `baseline` is what is usual for this model on this node, `pace_ratio` the one by the other, like
    with like (as many requests at once), and `recent_pace_ratio` that of the last seconds: routing goes by it, and it
    is unknown while nothing is answered. `golden_ok`: the long prompt with the known answer, where one is set.
    """

    name: str
    model: str
    port: int
    live: bool | None = None
    ready: bool | None = None
    probed_at_seconds: float | None = None
    probe_seconds: float | None = None
    problem: str | None = None
    decode_tokens_per_second: float | None = None
    baseline_tokens_per_second: float | None = None
    pace_ratio: float | None = None
    recent_pace_ratio: float | None = None
    first_token_seconds: float | None = None
    baseline_first_token_seconds: float | None = None
    in_flight: int | None = None
    served_at_seconds: float | None = None
    golden_ok: bool | None = None
    golden_at_seconds: float | None = None
    golden_seconds: float | None = None
    footprint_limit_bytes: int | None = None
    care: CareReading | None = None


class CollectorReading(msgspec.Struct, frozen=True, kw_only=True):
    """How one collector did when it last ran. `tier`: fast, slow or daily; "" = an agent that knew no tiers."""

    name: str
    ok: bool
    seconds: float
    problem: str | None = None
    tier: str = ""


class Panics(msgspec.Struct, frozen=True, kw_only=True):
    """Panic reports of the machine. None = nobody could look; the newest one's time is that of its file."""

    count: int | None = None
    newest_at_seconds: float | None = None
    newest_name: str | None = None


class HistoryReading(msgspec.Struct, frozen=True, kw_only=True):
    """The agent's own history. `paused` says why nothing is written now; counters start with the agent."""

    samples: int | None = None
    minutes: int | None = None
    file_bytes: int | None = None
    paused: str | None = None
    resets_total: int = 0
    lost_total: int = 0


class AgentReading(msgspec.Struct, frozen=True, kw_only=True):
    """The agent itself. A tick of the fast tier is late when something kept the one thread from it."""

    resident_bytes: int | None = None
    cpu_seconds_total: float | None = None
    started_at_seconds: float | None = None
    late_seconds: float | None = None
    most_late_seconds: float | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of a node.

    `planned`: services that a deploy on the node stops and starts just now; its gateway says so, not its agent.
    """

    node: str
    at_seconds: float
    agent_version: str
    readings: str
    os_version: str | None = None
    chip: str | None = None
    hardware_model: str | None = None
    boot_time_seconds: float | None = None
    cpu_ratio: float | None = None
    gpu_ratio: float | None = None
    load_1m: float | None = None
    memory: Memory = Memory()
    swap: Swap = Swap()
    thermal: Thermal = Thermal()
    disks: tuple[Disk, ...] = ()
    services: tuple[ServiceReading, ...] = ()
    sidecars: tuple[SidecarReading, ...] = ()
    collectors: tuple[CollectorReading, ...] = ()
    panics: Panics = Panics()
    agent: AgentReading = AgentReading()
    history: HistoryReading | None = None
    planned: tuple[str, ...] = ()
    schema: int = 1
