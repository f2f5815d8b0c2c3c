"""What doctor asks a node, and the answer as one frozen value. Pure; the parsers are total: odd text is unknown."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.control.actions.openclaw_probe import OpenClawSeen, parse_openclaw
from fleet.control.actions.probing import Blocks, blocks_of, node_ports, pids_of_ours, script_text
from fleet.control.inventory import Node
from fleet.vocabulary.argv import posix
from fleet.vocabulary.launchctl import NOT_LOADED, PrintedService, parse_print, parse_print_disabled
from fleet.vocabulary.macos.digits import whole
from fleet.vocabulary.macos.disks import FileSystem, parse_df_kp
from fleet.vocabulary.macos.firewall import parse_app_blocked, parse_block_all, parse_firewall
from fleet.vocabulary.macos.lsof import Listener, parse_listeners
from fleet.vocabulary.macos.pmset import parse_pmset
from fleet.vocabulary.macos.sysctl import parse_boottime, parse_sysctl
from fleet.vocabulary.macos.system import parse_fdesetup, parse_sw_vers

_MAGIC = "FLEET-DOCTOR/1"
PANIC_DAYS = 30
_LOG_MULTIPLE = 4
"""A log that the agent bounds is never larger than twice its limit."""
_COMMANDS = (
    "date", "sw_vers", "sysctl", "fdesetup", "pmset", "xcode-select", "launchctl", "lsof", "netstat",
    "socketfilterfw", "defaults", "dscl", "df",
)  # fmt: skip
_LISTENS = re.compile(r"^tcp\S*\s+\d+\s+\d+\s+\S+\.(\d{1,5})\s.*\bLISTEN\s*$")
_KEPT = re.compile(r"^TIME_WAIT (\d{1,9})$", re.MULTILINE)
_WHEEL = re.compile(r"^.*/([^/]+)\.dist-info/WHEEL:Tag: \S*?macosx_(\d{1,2})_(\d{1,2})_\w+$")
_IMPORT = re.compile(r"^(/.*?\.pth):(import\s.*)$")


@dataclass(frozen=True)
class Job:
    """One of our launchd jobs: `loaded` is whether launchd knows it (None: it did not say)."""

    label: str
    loaded: bool | None
    printed: PrintedService


@dataclass(frozen=True)
class StartupLine:
    """A line of a .pth file that every start of the interpreter runs."""

    path: str
    line: str


@dataclass(frozen=True)
class WheelNeed:
    """The oldest macOS that an installed package was built for."""

    package: str
    major: int
    minor: int


@dataclass(frozen=True, kw_only=True)
class Readings:
    """What the node said. Unknown is None; `silent` says why, by the name of the block.

    `ports_taken` are all that somebody listens on; `listeners` those whose process the SSH user may see, `ours` the
    pids among them that run out of fleet's root. `startup` are imports of .pth files, `wheels` one need per package,
    `logs` those that outgrew every bound. `openclaw` is None without the service.
    """

    clock_seconds: int | None = None
    user: str | None = None
    os_version: str | None = None
    boot_seconds: float | None = None
    memory_bytes: int | None = None
    wired_limit_mb: int | None = None
    filevault: bool | None = None
    power: Mapping[str, str] | None = None
    developer_tools: bool | None = None
    installs_updates: bool | None = None
    panics: tuple[str, ...] | None = None
    disks: tuple[FileSystem, ...] = ()
    time_wait: int | None = None
    ports_taken: frozenset[int] | None = None
    listeners: tuple[Listener, ...] = ()
    ours: frozenset[int] = frozenset()
    disabled: Mapping[str, bool] | None = None
    jobs: tuple[Job, ...] = ()
    plists: tuple[str, ...] | None = None
    external: tuple[str, ...] | None = None
    firewall: bool | None = None
    firewall_blocks_all: bool | None = None
    firewall_blocks_gateway: bool | None = None
    startup: tuple[StartupLine, ...] | None = None
    wheels: tuple[WheelNeed, ...] | None = None
    logs: tuple[str, ...] | None = None
    openclaw: OpenClawSeen | None = None
    tailscale: frozenset[str] | None = None
    ssh_members: tuple[str, ...] | None = None
    ssh_everybody: bool | None = None
    silent: Mapping[str, str] = field(default_factory=dict)
    complete: bool = False

    def job(self, label: str) -> Job | None:
        """Our job of that label, if its plist is there."""
        return next((job for job in self.jobs if job.label == label), None)

    def why_silent(self, block: str) -> str:
        """Why something is unknown, in the node's words."""
        if block in self.silent:
            return self.silent[block] or "the command failed and said nothing"
        return "the answer was not understood" if self.complete else "the answer was cut off"


def doctor_command(node: Node) -> str:
    """The one command that reads everything. It changes nothing and needs no root."""
    layout = node.settings.layout()
    library = posixpath.dirname(layout.daemons_dir.rstrip("/"))
    values = {
        **{name.upper().replace("-", "_"): layout.command(name) for name in _COMMANDS},
        "ROOT": layout.root,
        "DOMAIN": layout.domain,
        "PREFIX": layout.label_prefix,
        "PORTS": " ".join(map(str, node_ports(node))),
        "OWNER_HOME": layout.home,
        "LIBRARY": library,
        "APPLICATIONS": posixpath.join(posixpath.dirname(library), "Applications"),
        "DAEMONS": layout.daemons_dir.rstrip("/"),
        "PANIC_DAYS": str(PANIC_DAYS),
        "LOG_KB": str(round(_LOG_MULTIPLE * node.settings.log_mb * 10**6 / 1024) or 1),
    }
    return posix(script_text(("blocks.sh", "doctor.sh"), values))


def parse_readings(text: str, *, root: str) -> Readings:
    """What the doctor's script answered. Cut or foreign text leaves fields unknown."""
    blocks = blocks_of(_harmless(text), _MAGIC)
    out = {name: said for name, (_, said) in blocks.items()}
    well = {name: said for name, (status, said) in blocks.items() if status == "0"}
    system = parse_sysctl(out.get("sysctl", ""))
    power = parse_pmset(well.get("power", "")).sections.get("AC Power")
    kept = _KEPT.search(well.get("connections", ""))
    listening = _ports(well.get("connections"))
    tools = blocks.get("xcode")
    disks = (parse_df_kp(well.get(name, "")) for name in ("disk.root", "disk.data"))
    group = _ssh_group(blocks)
    return Readings(
        clock_seconds=whole(well.get("clock")),
        user=well.get("user", "").strip() or None,
        os_version=parse_sw_vers(well.get("sw_vers", "")).version,
        boot_seconds=parse_boottime(system.get("kern.boottime")),
        memory_bytes=whole(system.get("hw.memsize")),
        wired_limit_mb=whole(system.get("iogpu.wired_limit_mb")),
        filevault=parse_fdesetup(well.get("filevault", "")),
        power=dict(power) if power else None,
        developer_tools={"0": True, "2": False}.get(tools[0]) if tools else None,
        installs_updates={"0": False, "1": True}.get(well.get("updates", "").strip()),
        panics=_lines(well, "panics"),
        disks=tuple({disk.device: disk for disk in disks if disk}.values()),
        time_wait=int(kept[1]) if kept and listening is not None else None,
        ports_taken=listening,
        listeners=tuple(dict.fromkeys(parse_listeners(out.get("listeners", "")))),
        ours=pids_of_ours(out, root=root),
        disabled=parse_print_disabled(well["disabled"]) if "disabled services" in well.get("disabled", "") else None,
        jobs=tuple(_job(name.removeprefix("job."), *said) for name, said in blocks.items() if name.startswith("job.")),
        plists=_lines(well, "plists"),
        external=_lines(well, "external"),
        firewall=parse_firewall(well.get("firewall", "")),
        firewall_blocks_all=parse_block_all(well.get("firewall.all", "")),
        firewall_blocks_gateway=parse_app_blocked(well.get("firewall.gateway", "")),
        startup=_startup(well.get("startup")),
        wheels=_wheels(well.get("wheels")),
        logs=_lines(well, "logs"),
        openclaw=parse_openclaw(well, out),
        tailscale=frozenset(well["tailscale"].split()) if "tailscale" in well else None,
        ssh_members=group,
        ssh_everybody=_has_no_ssh_group(blocks),
        silent={name: _last_line(said, status) for name, (status, said) in blocks.items() if status not in ("0", "-")},
        complete="end" in blocks,
    )


def _harmless(text: str) -> str:
    """Without what could steer the terminal of whoever reads it: file names and lines of files are in it."""
    return "".join(one if one.isprintable() or one in "\n\t" else "?" for one in text)


def _lines(blocks: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    """The paths in a block that ended well; unknown when a folder could not be read."""
    said = blocks.get(name)
    if said is None or "Permission denied" in said or "Operation not permitted" in said:
        return None
    return tuple(line for line in said.splitlines() if line.startswith("/"))


def _last_line(said: str, status: str) -> str:
    if status == "137":
        return "it took too long"
    lines = said.strip().splitlines()
    return lines[-1].strip()[:200] if lines else ""


def _ports(said: str | None) -> frozenset[int] | None:
    """The ports that somebody listens on; unknown without netstat's own heading."""
    if said is None or "Active Internet connections" not in said:
        return None
    return frozenset(int(match[1]) for match in map(_LISTENS.match, said.splitlines()) if match)


def _job(label: str, status: str, said: str) -> Job:
    loaded = True if status == "0" else False if status == str(NOT_LOADED) else None
    return Job(label, loaded, parse_print(said if status == "0" else ""))


def _startup(said: str | None) -> tuple[StartupLine, ...] | None:
    if said is None or "Permission denied" in said:
        return None
    found = (_IMPORT.match(line) for line in said.splitlines())
    return tuple(StartupLine(match[1], match[2]) for match in found if match)


def _wheels(said: str | None) -> tuple[WheelNeed, ...] | None:
    """One need per package and env: of several tags the one that asks for the least."""
    if said is None or "Permission denied" in said:
        return None
    least: dict[str, WheelNeed] = {}
    for line in said.splitlines():
        match = _WHEEL.match(line)
        if not match:
            continue
        file = line.partition(":Tag:")[0]
        need = WheelNeed(match[1], int(match[2]), int(match[3]))
        known = least.get(file)
        if known is None or (need.major, need.minor) < (known.major, known.minor):
            least[file] = need
    return tuple(dict.fromkeys(least.values()))


def _ssh_group(blocks: Blocks) -> tuple[str, ...] | None:
    """Who is in the group of Remote Login; nobody is named when it has nested groups only."""
    status, said = blocks.get("ssh_group", ("-", ""))
    key, colon, members = said.partition(":")
    return tuple(members.split()) if status == "0" and colon and key.strip() == "GroupMembership" else None


def _has_no_ssh_group(blocks: Blocks) -> bool | None:
    """Without the group every account may log in."""
    status, said = blocks.get("ssh_group", ("-", ""))
    if status == "0":
        return False
    return True if "eDSRecordNotFound" in said else None
