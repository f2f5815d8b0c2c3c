"""The checks, as data. docs/health.md shows this table; a test compares them.

Used memory and used swap are no checks: both are normal on a healthy Mac. Pageins are none either: a model that loads
is read from its file (macos/FACTS sections 3 and 4.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fleet.vocabulary.health.check import Band, Check
from fleet.vocabulary.units import GIB, MIB

STALE_AFTER_SECONDS = 15.0
"""Three missed samples."""
OFFLINE_AFTER_SECONDS = 60.0
RESTART_SHOWN_SECONDS = 600.0
"""How long a restart is spoken of: the down time of a service is often shorter than a sample."""
WARM_UP_SECONDS = 180.0
"""How long a sidecar that was just started may load its model before its silence counts."""
SMALL_DISK_BYTES = 40 * GIB
"""A disk counts as at least this large: the last GiB of a small one are as few as those of a large one."""

_NODE = ("node_unreachable", "agent_silent")
_SERVICE = (*_NODE, "service_pended", "service_down", "crash_loop")
_YES = Band(enter=1, leave=0)
_LESS_WORK = "fleet drain {node}; then give its model less context, or move one away"
_LOGS = "fleet logs {node} {subject}"

_CHECKS = (
    Check(
        id="node_unreachable",
        title="reaching the node",
        reads="seconds since it answered over SSH",
        unit="s",
        critical=Band(enter=OFFLINE_AFTER_SECONDS, leave=0),
        next="its work goes to other nodes; what is shown of it is what was seen last",
        do="fleet ssh {node}; if that fails too: is it powered, awake and on the network?",
    ),
    Check(
        id="agent_silent",
        title="the agent",
        reads="SSH works, and no snapshot came",
        critical=_YES,
        visible_after_seconds=10,
        depends_on=("node_unreachable",),
        next="launchd starts it again; nothing is known of the node until then",
        do="fleet logs {node} agent",
    ),
    Check(
        id="service_pended",
        title="a service's start",
        reads="`pended` of a service that does not run",
        critical=_YES,
        visible_after_seconds=5,
        depends_on=_NODE,
        next="its agent asks launchd for it after 30 s, and then every minute; launchd alone may never start it",
        do="fleet deploy --on {node} starts it",
    ),
    Check(
        id="crash_loop",
        title="a service's restarts",
        reads="starts of one service within 10 minutes that nobody asked for",
        unit="starts",
        critical=Band(enter=3, leave=1),
        depends_on=_NODE,
        next="launchd goes on starting it, at most every 10 s",
        do=_LOGS,
    ),
    Check(
        id="service_down",
        title="a service",
        reads="`up` of a service",
        critical=_YES,
        visible_after_seconds=5,
        depends_on=(*_NODE, "service_pended", "crash_loop"),
        next="launchd starts it again by itself when it only ended; when it cannot be started, it stays down",
        do=_LOGS,
        unknown_code="service_unknown",
        do_unknown=_LOGS,
    ),
    Check(
        id="service_restarted",
        title="a service's last end",
        reads="`last_exit` of a service that was started again within 10 minutes",
        warn=_YES,
        depends_on=_SERVICE,
        next="nothing, when it happens once; three times within 10 minutes is a crash loop",
        do=_LOGS,
    ),
    Check(
        id="sidecar_dead",
        title="a sidecar",
        reads="`live` of a sidecar",
        critical=_YES,
        visible_after_seconds=5,
        depends_on=_SERVICE,
        next="its gateway gives it no work until it answers",
        do=_LOGS,
    ),
    Check(
        id="sidecar_not_ready",
        title="a sidecar's answers",
        reads="`ready` of a sidecar: a 1-token completion; not in the first 3 minutes of its service",
        critical=_YES,
        visible_after_seconds=5,
        depends_on=(*_SERVICE, "sidecar_dead"),
        next="requests that reach it hang until they time out",
        do="fleet drain {node}; " + _LOGS,
        unknown_code="sidecar_warming_up",
        do_unknown="",
    ),
    Check(
        id="slow_decode",
        title="a sidecar's pace",
        reads="tokens/s of a sidecar as part of its own baseline, where the snapshot has both",
        unit="ratio",
        warn=Band(enter=0.6, leave=0.8),
        critical=Band(enter=0.25, leave=0.4),
        visible_after_seconds=60,
        hold_down_seconds=60,
        depends_on=(*_SERVICE, "sidecar_dead", "sidecar_not_ready"),
        next="answers go on, slower than this node can",
        do="fleet drain {node}; " + _LOGS,
        unknown_is_normal=True,
    ),
    Check(
        id="golden_wrong",
        title="a sidecar's long answer",
        reads="the answer to a long prompt whose greedy answer is known, where one is set",
        critical=_YES,
        depends_on=(*_SERVICE, "sidecar_dead", "sidecar_not_ready"),
        next="it goes on answering, and long prompts get nonsense",
        do="fleet drain {node}; then the version of mlx and of macOS that gave the right answer",
        unknown_is_normal=True,
    ),
    Check(
        id="sidecar_cared",
        title="what the agent does for a sidecar",
        reads="`care` of a sidecar: being restarted, or left alone after too many restarts: 1; quarantined: 2",
        unit="kind",
        warn=_YES,
        critical=Band(enter=2, leave=1),
        depends_on=_NODE,
        next="one that is restarted serves again as soon as it is ready; a quarantined one serves nothing until "
        "somebody resumes it",
        do="fleet logs {node} {subject}; fleet resume {node} ends a quarantine",
        unknown_is_normal=True,
    ),
    Check(
        id="memory_pressure",
        title="memory pressure",
        reads="the kernel's level: 1 normal, 2 warning, 4 critical",
        unit="level",
        warn=Band(enter=2, leave=1),
        critical=Band(enter=4, leave=2),
        visible_after_seconds=10,
        hold_down_seconds=30,
        depends_on=_NODE,
        next="macOS compresses and swaps, and at last ends processes: the model is the largest",
        do=_LESS_WORK,
    ),
    Check(
        id="wired_headroom",
        title="room under the GPU wired limit",
        reads="GPU wired limit less wired memory; a limit of 0 is the system's own: the device's recommended working "
        "set where known, else unknown",
        unit="bytes",
        warn=Band(enter=1 * GIB, leave=2 * GIB),
        visible_after_seconds=10,
        hold_down_seconds=30,
        depends_on=_NODE,
        next="a longer context or one more model falls off a cliff: weights get paged",
        do=_LESS_WORK,
        unknown_is_normal=True,
    ),
    Check(
        id="wired_limit_lost",
        title="the GPU wired limit",
        reads="the GPU wired limit against the one that deploy set: macOS forgets it at a boot",
        warn=_YES,
        visible_after_seconds=60,
        depends_on=_NODE,
        next="the job that sets it at boot is started again; until then large models may not fit",
        do="fleet doctor {node} --fix; fleet deploy --on {node} puts the job in place",
        unknown_is_normal=True,
    ),
    Check(
        id="swapping",
        title="the swap-out rate",
        reads="bytes swapped out a second; neither swap in use nor pageins",
        unit="bytes/s",
        warn=Band(enter=50 * MIB, leave=10 * MIB),
        visible_after_seconds=30,
        hold_down_seconds=60,
        depends_on=_NODE,
        next="answers get slower while weights and caches go to disk and back",
        do=_LESS_WORK,
    ),
    Check(
        id="thermal",
        title="thermal pressure",
        reads="the level: 0 nominal, 1 moderate, 2 heavy, 3 trapping, 4 sleeping",
        unit="level",
        warn=Band(enter=2, leave=1),
        critical=Band(enter=3, leave=2),
        visible_after_seconds=30,
        hold_down_seconds=30,
        depends_on=_NODE,
        next="it works slower until it has cooled; at level 4 it goes to sleep",
        do="fleet drain {node} lets it cool; look at its fans, room and load",
    ),
    Check(
        id="disk_free",
        title="room on a disk",
        reads="free part of a disk; one below 40 GiB counts as 40 GiB",
        unit="ratio",
        warn=Band(enter=0.10, leave=0.12),
        critical=Band(enter=0.05, leave=0.07),
        visible_after_seconds=30,
        hold_down_seconds=30,
        depends_on=_NODE,
        next="deploys that bring models fail for want of room, then logs and swap",
        do="fleet exec --on {node} -- df -h shows what is full",
    ),
    Check(
        id="clock_skew",
        title="the clock",
        reads="the node's clock against ours, at the time of the sample",
        unit="s",
        warn=Band(enter=5, leave=3),
        critical=Band(enter=60, leave=30),
        visible_after_seconds=30,
        hold_down_seconds=30,
        depends_on=_NODE,
        next="times in logs and ledger are wrong; over minutes, TLS and leases fail",
        do="fleet doctor {node} says how to set it; let macOS set the time automatically",
    ),
    Check(
        id="rebooted",
        title="the boot time",
        reads="the boot time, changed since the sample before: 1, with a panic report of that time: 2; for 10 minutes",
        unit="kind",
        warn=_YES,
        critical=Band(enter=2, leave=1),
        depends_on=_NODE,
        next="services come back by themselves; with FileVault on, only after somebody unlocks it",
        do="fleet doctor {node}; what panicked once panics again: give it a smaller model or context before work",
    ),
    Check(
        id="collector",
        title="the agent's readings",
        reads="a collector of the agent that fails",
        warn=_YES,
        visible_after_seconds=15,
        depends_on=_NODE,
        next="what it reads stays unknown; the other readings go on",
        do="fleet logs {node} agent",
    ),
)

CHECKS: Mapping[str, Check] = MappingProxyType({check.id: check for check in _CHECKS})
"""By id. A check comes after those that it depends on."""
