"""Every check of doctor over planted readings: it is silent on a healthy Mac and finds its own fault, with the fix."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.actions.doctor_examine import CHECKS, examine
from fleet.control.actions.doctor_findings import BAD, Finding, Severity, Situation
from fleet.control.actions.doctor_probe import Job, Readings, StartupLine, WheelNeed
from fleet.control.actions.probing import POWER_WANTED
from fleet.control.inventory import Node
from fleet.control.inventory.settings import NodeSettings
from fleet.vocabulary.launchctl import PrintedService
from fleet.vocabulary.macos.disks import FileSystem
from fleet.vocabulary.macos.lsof import Listener
from fleet.vocabulary.names import NodeName

NOW = 1_763_800_000.0
DAY = 86400
GB = 10**9
AGENT, SYSCTL = "org.fleet-macs.agent", "org.fleet-macs.sysctl"
SETTINGS = NodeSettings(host_key="ssh-ed25519 AAAA", owner="ops", wired_limit_mb=49152)
WIRED_JOB = Job(SYSCTL, True, PrintedService(arguments=("/usr/sbin/sysctl", "iogpu.wired_limit_mb=49152")))
AGENT_JOB = Job(AGENT, True, PrintedService(spawn_type="daemon (3)"))
HEALTHY = Readings(
    clock_seconds=int(NOW),
    user="ops",
    os_version="26.5.1",
    boot_seconds=NOW - 3 * DAY,
    memory_bytes=64 * 1024**3,
    wired_limit_mb=49152,
    filevault=False,
    power={key: str(value) for key, value in POWER_WANTED.items()},
    developer_tools=True,
    installs_updates=False,
    panics=(),
    disks=(
        FileSystem(device="/dev/disk3s5", mount="/System/Volumes/Data", total_bytes=994 * GB, available_bytes=500 * GB),
    ),
    time_wait=40,
    ports_taken=frozenset({8791}),
    listeners=(Listener(command="python3.1", pid=400, user="ops", host="127.0.0.1", port=8791),),
    ours=frozenset({400}),
    disabled={"com.apple.ftpd": True, AGENT: False},
    jobs=(AGENT_JOB, WIRED_JOB),
    plists=(),
    external=(),
    firewall=False,
    firewall_blocks_all=False,
    startup=(),
    wheels=(WheelNeed("mlx-0.32.0", 26, 0), WheelNeed("numpy-2.3.1", 14, 0)),
    logs=(),
    tailscale=frozenset({"daemon"}),
    ssh_members=("ops",),
    ssh_everybody=False,
    complete=True,
)


def a_node(settings: NodeSettings = SETTINGS) -> Node:
    return Node(name=NodeName("mini-1"), groups=(), variables={}, settings=settings, place="fleet.yml:1:1")


def found(
    readings: Readings, *, settings: NodeSettings = SETTINGS, asked: tuple[float, float] = (NOW, NOW)
) -> tuple[Finding, ...]:
    return examine(Situation(node=a_node(settings), readings=readings, asked_from=asked[0], asked_to=asked[1]))


def with_power(**values: int) -> Mapping[str, str]:
    return {**dict(HEALTHY.power or {}), **{key: str(value) for key, value in values.items()}}


def low(free_bytes: int) -> tuple[FileSystem, ...]:
    return (replace(HEALTHY.disks[0], available_bytes=free_bytes),)


CRIT, WARN, NOTE, UNKNOWN = Severity.CRITICAL, Severity.WARN, Severity.NOTE, Severity.UNKNOWN
CLAW = "/Users/ops/Library/LaunchAgents/ai.openclaw.gateway.plist"
CLAW_DAEMON = "/Library/LaunchDaemons/ai.openclaw.gateway.plist"
TWIN = f"/Library/LaunchAgents/{AGENT}.plist"
BIG_LOG = "/opt/fleet/log/sidecar.chat.log"
BOOTSTRAP = f"sudo /bin/launchctl bootstrap system /Library/LaunchDaemons/{AGENT}.plist"
NO_UPDATES = (
    "sudo /usr/bin/defaults write /Library/Preferences/com.apple.SoftwareUpdate AutomaticallyInstallMacOSUpdates "
    "-bool false"
)
CASES: list[tuple[str, dict[str, object], str, Severity, str | None]] = [
    ("FileVault on", {"filevault": True}, "filevault", CRIT, "sudo /usr/bin/fdesetup disable"),
    ("sleeps", {"power": with_power(sleep=1, powernap=1)}, "sleep", WARN, "sudo /usr/bin/pmset -a sleep 0 powernap 0"),
    ("no wake by network", {"power": with_power(womp=0)}, "sleep", WARN, "sudo /usr/bin/pmset -a womp 1"),
    (
        "low power",
        {"power": with_power(lowpowermode=1)},
        "low-power-mode",
        CRIT,
        "sudo /usr/bin/pmset -a lowpowermode 0",
    ),
    ("stays off", {"power": with_power(autorestart=0)}, "autorestart", WARN, "sudo /usr/bin/pmset -a autorestart 1"),
    ("cannot restart", {"power": {"sleep": "0"}}, "autorestart", NOTE, None),
    ("long up", {"boot_seconds": NOW - 45 * DAY}, "uptime", WARN, "sudo /sbin/shutdown -r now"),
    (
        "long up, locked",
        {"boot_seconds": NOW - 45 * DAY, "filevault": True},
        "uptime",
        WARN,
        "sudo /usr/bin/fdesetup authrestart",
    ),
    (
        "TCP clock stopped",
        {"boot_seconds": NOW - 50 * DAY, "time_wait": 9000},
        "time-wait",
        CRIT,
        "sudo /sbin/shutdown -r now",
    ),
    ("many closed", {"time_wait": 9000}, "time-wait", WARN, None),
    ("clock ahead", {"clock_seconds": int(NOW) + 90}, "clock", WARN, "sudo /usr/bin/sntp -sS time.apple.com"),
    ("clock behind", {"clock_seconds": int(NOW) - 90}, "clock", WARN, "sudo /usr/bin/sntp -sS time.apple.com"),
    ("updates", {"installs_updates": True}, "os-updates", NOTE, NO_UPDATES),
    ("updates, locked", {"installs_updates": True, "filevault": True}, "os-updates", WARN, NO_UPDATES),
    ("panicked", {"panics": ("/L/a.panic", "/L/b.panic")}, "panics", WARN, "/usr/bin/head -n 3 /L/b.panic"),
    ("everybody", {"ssh_everybody": True}, "remote-login", NOTE, None),
    ("stubs", {"developer_tools": False}, "developer-tools", NOTE, None),
    (
        "disabled and gone",
        {"disabled": {AGENT: True}, "jobs": (replace(AGENT_JOB, loaded=False), WIRED_JOB)},
        "disabled-labels",
        CRIT,
        f"sudo /bin/launchctl enable system/{AGENT} && {BOOTSTRAP}",
    ),
    (
        "disabled, still runs",
        {"disabled": {AGENT: True}},
        "disabled-labels",
        CRIT,
        f"sudo /bin/launchctl enable system/{AGENT}",
    ),
    ("disabled of old", {"disabled": {"org.fleet-macs.old": True}}, "disabled-labels", NOTE, None),
    ("unloaded", {"jobs": (replace(AGENT_JOB, loaded=False), WIRED_JOB)}, "unloaded-services", CRIT, BOOTSTRAP),
    ("nothing deployed", {"jobs": ()}, "unloaded-services", NOTE, "fleet deploy --on mini-1"),
    (
        "pended",
        {"jobs": (replace(AGENT_JOB, printed=PrintedService(pended="inefficient")), WIRED_JOB)},
        "pended-spawns",
        CRIT,
        f"sudo /bin/launchctl kickstart system/{AGENT}",
    ),
    (
        "background",
        {"jobs": (replace(AGENT_JOB, printed=PrintedService(spawn_type="background (5)")), WIRED_JOB)},
        "background-jobs",
        CRIT,
        None,
    ),
    ("twin of ours", {"plists": (TWIN,)}, "twins", WARN, f"sudo /bin/mv {TWIN} {TWIN}.off"),
    (
        "twin daemon",
        {"plists": (CLAW_DAEMON,)},
        "twins",
        NOTE,
        f"sudo /bin/launchctl bootout system/ai.openclaw.gateway && sudo /bin/mv {CLAW_DAEMON} {CLAW_DAEMON}.off",
    ),
    ("OpenClaw's agent", {"plists": (CLAW,)}, "twins", NOTE, f"/bin/mv {CLAW} {CLAW}.off"),
    (
        "two OpenClaws",
        {"plists": (CLAW,), "jobs": (AGENT_JOB, WIRED_JOB, Job("org.fleet-macs.openclaw", True, PrintedService()))},
        "twins",
        WARN,
        f"/bin/mv {CLAW} {CLAW}.off",
    ),
    (
        "foreign port",
        {"listeners": (*HEALTHY.listeners, Listener(command="node", pid=77, user="ops", host="*", port=8790))},
        "ports",
        CRIT,
        "sudo /bin/kill 77",
    ),
    (
        "port of another user",
        {"ports_taken": frozenset({8790, 8791})},
        "ports",
        UNKNOWN,
        "sudo /usr/sbin/lsof -nP -iTCP:8790 -sTCP:LISTEN",
    ),
    (
        "firewall blocks all",
        {"firewall": True, "firewall_blocks_all": True},
        "firewall",
        CRIT,
        "sudo /usr/libexec/ApplicationFirewall/socketfilterfw --setblockall off",
    ),
    ("nearly full", {"disks": low(5 * GB)}, "disk", CRIT, "sudo /usr/bin/du -xhd1 /opt/fleet"),
    ("filling", {"disks": low(60 * GB)}, "disk", WARN, "sudo /usr/bin/du -xhd1 /opt/fleet"),
    ("a log grows", {"logs": (BIG_LOG,)}, "logs", WARN, f"sudo /bin/cp /dev/null {BIG_LOG}"),
    ("limit lost", {"wired_limit_mb": 0}, "wired-limit", WARN, f"sudo /bin/launchctl kickstart system/{SYSCTL}"),
    ("limit never set", {"wired_limit_mb": 0, "jobs": (AGENT_JOB,)}, "wired-limit", WARN, "fleet deploy --on mini-1"),
    ("external", {"external": ("/Volumes/Models 1/qwen", "/Volumes/Models 1/smol")}, "external-volumes", WARN, None),
    (
        "pth",
        {"startup": (StartupLine("/opt/fleet/envs/a/x.pth", "import os; os.system('x')"),)},
        "pth-imports",
        CRIT,
        "/bin/cat /opt/fleet/envs/a/x.pth",
    ),
    ("old macOS", {"os_version": "15.6.1"}, "os-wheels", CRIT, "fleet deploy --on mini-1"),
    ("early mlx", {"os_version": "26.1"}, "os-wheels", WARN, "fleet deploy --on mini-1"),
]


def test_a_healthy_mac_has_nothing_but_ok() -> None:
    assert {finding.severity for finding in found(HEALTHY)} == {Severity.OK}


@pytest.mark.parametrize(
    ("change", "check", "severity", "command"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_planted_fault_is_found_with_its_fix(
    change: dict[str, object], check: str, severity: Severity, command: str | None
) -> None:
    of_check = [one for one in found(replace(HEALTHY, **change)) if one.id == check]  # type: ignore[arg-type]
    assert [(one.severity, one.command) for one in of_check if one.severity is not Severity.OK] == [(severity, command)]
    if severity in BAD:
        (one,) = (one for one in of_check if one.severity is severity)
        assert one.command or one.advice


@pytest.mark.parametrize("change", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_a_planted_fault_is_found_by_no_other_check(change: dict[str, object]) -> None:
    """Apart from those that are about the same trouble."""
    together = {"filevault", "uptime", "time-wait", "os-updates", "unloaded-services", "autorestart"}
    bad = {one.id for one in found(replace(HEALTHY, **change)) if one.severity in BAD}  # type: ignore[arg-type]
    assert len(bad) <= 1 or bad <= together


GATEWAY_JOB = Job("org.fleet-macs.gateway", True, PrintedService(program="/opt/fleet/python/a/bin/python3"))
SETTING_CASES = [
    ("gui domain", {"domain": "gui/501"}, {}, "launchd-domain", WARN),
    (
        "stub is the interpreter",
        {"interpreter": "/usr/bin/python3"},
        {"developer_tools": False},
        "developer-tools",
        CRIT,
    ),
    ("tailnet by the app", {"address": "100.101.2.3"}, {"tailscale": frozenset({"app"})}, "tailscale", WARN),
    ("tailnet by name", {"address": "mini-1.tail1.ts.net"}, {"tailscale": frozenset({"app"})}, "tailscale", WARN),
    ("tailnet by nothing", {"address": "100.64.0.1"}, {"tailscale": frozenset()}, "tailscale", UNKNOWN),
    (
        "the firewall knows no gateway",
        {"gateway_bind": "0.0.0.0"},
        {"firewall": True, "jobs": (AGENT_JOB, WIRED_JOB, GATEWAY_JOB)},
        "firewall",
        WARN,
    ),
]


@pytest.mark.parametrize(
    ("settings", "change", "check", "severity"),
    [case[1:] for case in SETTING_CASES],
    ids=[case[0] for case in SETTING_CASES],
)
def test_a_fault_that_hangs_on_the_inventory_is_found(
    settings: dict[str, object], change: dict[str, object], check: str, severity: Severity
) -> None:
    changed = msgspec.structs.replace(SETTINGS, **settings)
    of_check = [one.severity for one in found(replace(HEALTHY, **change), settings=changed) if one.id == check]  # type: ignore[arg-type]
    assert of_check == [severity]


def test_a_port_that_a_running_service_of_ours_has_is_not_suspected_when_only_root_sees_who_holds_it() -> None:
    """SSH comes in as one account, services run as another."""
    running = replace(AGENT_JOB, printed=PrintedService(state="running", pid=400))
    hidden = replace(HEALTHY, listeners=(), ours=frozenset(), ports_taken=frozenset({8791}))
    for jobs, severity in (((running, WIRED_JOB), Severity.OK), ((AGENT_JOB, WIRED_JOB), UNKNOWN)):
        assert [one.severity for one in found(replace(hidden, jobs=jobs)) if one.id == "ports"] == [severity]


def test_every_check_has_a_planted_fault() -> None:
    planted = {case[2] for case in CASES} | {case[3] for case in SETTING_CASES}
    elsewhere = {check.id for check in CHECKS if check.id.startswith("openclaw-")}  # test_doctor_openclaw.py
    assert {check.id for check in CHECKS} == planted | elsewhere
    assert len({check.id for check in CHECKS}) == len(CHECKS)


def test_what_could_not_be_read_is_unknown_and_never_good_or_bad() -> None:
    """Two checks judge by the inventory alone; the rest have nothing to stand on."""
    blind = [one for one in found(Readings()) if one.id not in {"launchd-domain", "unloaded-services"}]
    assert {one.severity for one in blind} == {Severity.UNKNOWN}
    assert all("the answer was cut off" in one.seen for one in blind)


def test_an_unknown_says_why_in_the_nodes_words() -> None:
    silent = replace(HEALTHY, panics=None, silent={"panics": "find: Permission denied"})
    (one,) = (one for one in found(silent) if one.id == "panics")
    assert (one.severity, one.seen) == (
        Severity.UNKNOWN,
        "whether the kernel panicked is not known: find: Permission denied",
    )


def test_the_clock_is_not_blamed_for_a_slow_line() -> None:
    """The answer came 20 s after the question: any second between is right."""
    for told in (NOW - 1, NOW, NOW + 10, NOW + 20):
        of_clock = [
            one for one in found(replace(HEALTHY, clock_seconds=int(told)), asked=(NOW, NOW + 20)) if one.id == "clock"
        ]
        assert of_clock[0].severity is Severity.OK


@given(off=st.integers(-100_000, 100_000), wait=st.floats(0, 60))
def test_a_clock_is_blamed_by_no_more_than_it_is_off(off: int, wait: float) -> None:
    """The Mac answers somewhere in the middle of the wait."""
    told = int(NOW + wait / 2 + off)
    (one,) = (one for one in found(replace(HEALTHY, clock_seconds=told), asked=(NOW, NOW + wait)) if one.id == "clock")
    said = re.search(r"is (\d+) s", one.seen)
    assert int(said[1]) <= abs(off) + 1 if said else abs(off) <= wait + 4


def test_fixes_are_lines_that_a_shell_takes_apart_into_the_same_words() -> None:
    strange = replace(HEALTHY, startup=(StartupLine("/opt/fleet/envs/a b/x'.pth", "import x"),))
    (one,) = (one for one in found(strange) if one.id == "pth-imports")
    assert shlex.split(one.command or "") == ["/bin/cat", "/opt/fleet/envs/a b/x'.pth"]


def test_only_what_provision_does_as_well_is_mended_without_a_person() -> None:
    """pmset values, labels of ours, and the job that sets the wired limit."""
    mended = {
        step
        for _, change, *_ in CASES
        for one in found(replace(HEALTHY, **change))  # type: ignore[arg-type]
        for step in one.steps
        if one.automatic
    }
    verbs = {step[:2] for step in mended}
    assert verbs == {
        ("/usr/bin/pmset", "-a"),
        ("/bin/launchctl", "enable"),
        ("/bin/launchctl", "bootstrap"),
        ("/bin/launchctl", "kickstart"),
    }
    assert [step[2] for step in mended if step[1] == "kickstart"] == [f"system/{SYSCTL}"]
    assert all(AGENT in " ".join(step) for step in mended if step[1] in ("enable", "bootstrap"))


def test_doctor_wants_no_power_setting_that_provision_does_not_set() -> None:
    plays = yaml.safe_load((Path(__file__).parents[3] / "playbooks/provision.yml").read_text())
    (set_by_provision,) = (task["pmset"] for play in plays for task in play["tasks"] if "pmset" in task)
    assert dict(POWER_WANTED).items() <= set_by_provision.items()


def test_a_node_without_sudo_gets_commands_without_it() -> None:
    own = msgspec.structs.replace(SETTINGS, sudo=False, domain="gui/501")
    (one,) = (one for one in found(replace(HEALTHY, wired_limit_mb=0), settings=own) if one.id == "wired-limit")
    assert one.command == f"/bin/launchctl kickstart gui/501/{SYSCTL}"


def test_the_worst_comes_first() -> None:
    order = [one.severity for one in found(replace(HEALTHY, filevault=True, installs_updates=True, ssh_everybody=True))]
    assert order == sorted(order, key=list(Severity).index)
    assert order[0] is Severity.CRITICAL
    assert order[-1] is Severity.OK


def test_setuptools_own_startup_line_is_no_alarm() -> None:
    own = StartupLine(
        "/opt/fleet/envs/a/distutils-precedence.pth",
        "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
        "enabled and __import__('_distutils_hack').add_shim();",
    )
    disguised = replace(own, line=own.line + " import evil")
    assert [one.severity for one in found(replace(HEALTHY, startup=(own,))) if one.id == "pth-imports"] == [Severity.OK]
    (one,) = (one for one in found(replace(HEALTHY, startup=(own, disguised))) if one.id == "pth-imports")
    assert one.severity is Severity.CRITICAL
