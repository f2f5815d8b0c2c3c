"""What adopt finds on a node: the probe, its answer parsed (total), and what a person should do about it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fleet.control.actions.adopt_places import Place, parse_places, weakness_of
from fleet.control.actions.probing import (
    ENOUGH_DISK_BYTES,
    POWER_WANTED,
    blocks_of,
    node_ports,
    pids_of_ours,
    script_text,
)
from fleet.control.inventory import Node
from fleet.vocabulary.argv import posix
from fleet.vocabulary.contracts.codec import ContractError, decode
from fleet.vocabulary.contracts.sync import Adopted
from fleet.vocabulary.macos.disks import parse_df_kp
from fleet.vocabulary.macos.lsof import Listener, parse_listeners
from fleet.vocabulary.macos.pmset import parse_pmset
from fleet.vocabulary.macos.sysctl import parse_sysctl
from fleet.vocabulary.macos.system import parse_fdesetup, parse_sw_vers

_MAGIC = "FLEET-PROBE/1"


@dataclass(frozen=True)
class Problem:
    """Something to look at. `serious` = the node will not work as it is."""

    what: str
    advice: str
    serious: bool = False


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What the node said. Unknown is None.

    `sudo`: none (not needed), free (no password), password (one is needed), missing. `ports` are listeners on our
    ports that are not ours. `adopted_by` is the version of the fleet that adopted the node last. `way_to_root` and
    `way_to_interpreter` are the names from `/` down to them.
    """

    user: str | None = None
    owner_exists: bool | None = None
    sudo: str = "missing"
    developer_tools: bool | None = None
    os_version: str | None = None
    chip: str | None = None
    model: str | None = None
    memory_bytes: int | None = None
    filevault: bool | None = None
    power: dict[str, str] = field(default_factory=dict)
    disk_free_bytes: int | None = None
    ports: tuple[Listener, ...] = ()
    python_version: str | None = None
    python_machine: str | None = None
    python_said: str = ""
    way_to_root: tuple[Place, ...] = ()
    way_to_interpreter: tuple[Place, ...] = ()
    has_build: bool = False
    adopted_by: str | None = None
    complete: bool = False


def probe_command(node: Node, *, python_digest: str) -> str:
    """The one command that asks everything."""
    settings, layout = node.settings, node.settings.layout()
    values = {
        **{
            name.upper().replace("-", "_"): layout.command(name)
            for name in ("sudo", "xcode-select", "fdesetup", "pmset", "lsof", "sw_vers", "sysctl", "df")
        },
        "PRIVILEGED": "sudo" if settings.sudo else "no",
        "ROOT": layout.root,
        "OWNER": layout.owner,
        "PYTHON": "" if settings.interpreter == "standalone" else settings.interpreter,
        "PYTHON_DIGEST": python_digest,
        "PORTS": " ".join(map(str, node_ports(node))),
    }
    return posix(script_text(("blocks.sh", "probe.sh"), values))


def parse_probe(text: str, *, root: str) -> Probe:
    """What the probe script answered. Cut or foreign text leaves fields unknown."""
    blocks = blocks_of(text, _MAGIC)
    out = {name: said for name, (_, said) in blocks.items()}
    system = parse_sysctl(out.get("sysctl", ""))
    memory = system.get("hw.memsize", "")
    ours = pids_of_ours(out, root=root)
    words = out.get("python", "").split()
    version = words[0] if words and re.fullmatch(r"3\.\d+\.\d+", words[0]) else None
    listeners = parse_listeners(out.get("listeners", ""))
    return Probe(
        user=out.get("user", "").strip() or None,
        owner_exists=_ended_well(blocks, "owner"),
        sudo=_sudo(blocks),
        developer_tools=_ended_well(blocks, "xcode"),
        os_version=parse_sw_vers(out.get("sw_vers", "")).version,
        chip=system.get("machdep.cpu.brand_string"),
        model=system.get("hw.model"),
        memory_bytes=int(memory) if memory.isdigit() else None,
        filevault=parse_fdesetup(out.get("filevault", "")),
        power=dict(parse_pmset(out.get("power", "")).sections.get("AC Power", {})),
        disk_free_bytes=volume.available_bytes if (volume := parse_df_kp(out.get("disk", ""))) else None,
        ports=tuple(dict.fromkeys(found for found in listeners if found.pid not in ours)),
        python_version=version,
        python_machine=words[1] if version and len(words) > 1 else None,
        python_said=out.get("python", "").strip(),
        way_to_root=parse_places(out.get("way.root", "")),
        way_to_interpreter=parse_places(out.get("way.interpreter", "")),
        has_build=_ended_well(blocks, "build") is True,
        adopted_by=_adopted_by(out.get("adopted", "")),
        complete="end" in blocks,
    )


def problems_of(node: Node, probe: Probe) -> tuple[Problem, ...]:
    """What a person should know or do, the serious first."""
    found = [
        *_account(node, probe),
        *_python(node, probe),
        *_ways_to_root(node, probe),
        *_ports(node, probe),
        *_machine(probe),
        *_power(probe),
    ]
    return tuple(sorted(found, key=lambda problem: not problem.serious))


def reached_while_locked(node: Node, probe: Probe) -> str:
    """How the node is reached when it restarted and nobody typed the FileVault password (FACTS section 2.5)."""
    if probe.filevault is False:
        return "FileVault is off: it comes back by itself after a power cut"
    if probe.filevault is None:
        return "FileVault: not known"
    login = f"ssh {node.settings.ssh_user or probe.user or 'USER'}@{node.address}"
    major = (probe.os_version or "").split(".")[0]
    if major.isdigit() and int(major) >= 26:
        return f"FileVault is on: after a cold start `{login}` with the PASSWORD (no key) unlocks it, then it starts"
    return "FileVault is on: after a cold start somebody types the password at its screen; ssh is not up before that"


def _account(node: Node, probe: Probe) -> list[Problem]:
    found: list[Problem] = []
    owner = node.settings.layout().owner
    if probe.owner_exists is False:
        found.append(Problem(f"there is no account {owner}", "say `owner:` in the inventory", serious=True))
    if probe.sudo == "missing":
        found.append(
            Problem(
                f"{probe.user or 'the SSH user'} may not use sudo",
                "log in as an administrator of the Mac (System Settings > Users & Groups)",
                serious=True,
            )
        )
    return found


def _python(node: Node, probe: Probe) -> list[Problem]:
    path = node.settings.interpreter
    if path == "standalone":
        return []
    if path == "/usr/bin/python3" and probe.developer_tools is False:
        return [
            Problem(
                f"{path} is Apple's stub: there are no developer tools on the node",
                "say `interpreter: standalone`, which needs nothing on the node",
                serious=True,
            )
        ]
    if probe.python_version is None:
        said = probe.python_said.splitlines()[-1] if probe.python_said else "no answer"
        return [Problem(f"{path} does not run: {said}", "say `interpreter: standalone`", serious=True)]
    found: list[Problem] = []
    version = tuple(int(part) for part in probe.python_version.split("."))
    if version < (3, 11):
        found.append(Problem(f"{path} is Python {probe.python_version}", "3.11 or later is needed", serious=True))
    elif probe.python_version.split(".")[:2] != node.settings.python_version.split(".")[:2]:
        found.append(
            Problem(
                f"{path} is Python {probe.python_version}, envs are built for {node.settings.python_version}",
                f'say `python_version: "{version[0]}.{version[1]}"` in the inventory',
                serious=True,
            )
        )
    if node.settings.platform == "macos-arm64" and probe.python_machine not in (None, "arm64"):
        found.append(
            Problem(f"{path} is built for {probe.python_machine} (Rosetta)", "MLX needs an arm64 Python", serious=True)
        )
    return found


def _ways_to_root(node: Node, probe: Probe) -> list[Problem]:
    """Helper and apply job run as the admin: where it is root, nobody else may put another program in their way."""
    layout = node.settings.layout()
    if layout.admin != "root" or probe.user == layout.admin:
        return []
    root, python = weakness_of(probe.way_to_root), weakness_of(probe.way_to_interpreter)
    found: list[Problem] = []
    if root is not None:
        what = f"fleet's root {layout.root} is not safe: {root}, who could become root by it"
        advice = (
            "choose a `root:` below folders that are root's alone, as /opt/fleet; what is not root's there, take away"
        )
        found.append(Problem(what, advice, serious=True))
    if python is not None:
        what = f"{node.settings.interpreter} runs as root and is not safe: {python}, who could become root by it"
        found.append(Problem(what, "say `interpreter: standalone`: fleet brings one that is root's", serious=True))
    return found


def _ports(node: Node, probe: Probe) -> list[Problem]:
    return [
        Problem(
            f"port {found.port} is held by {found.command} (pid {found.pid}, {found.user})",
            "stop it, or give fleet other ports: gateway_port, gateway_admin_port, agent_port",
            serious=False,
        )
        for found in probe.ports
        if found.port in node_ports(node)
    ]


def _machine(probe: Probe) -> list[Problem]:
    found: list[Problem] = []
    if not probe.complete:
        found.append(Problem("the probe was cut off", "adopt again", serious=True))
    if probe.filevault:
        found.append(
            Problem("FileVault is on", "plan for restarts: see how it is reached; authrestart for planned ones")
        )
    if probe.disk_free_bytes is not None and probe.disk_free_bytes < ENOUGH_DISK_BYTES:
        found.append(Problem(f"{probe.disk_free_bytes // 1024**3} GiB of disk are free", "models need room"))
    return found


def _power(probe: Probe) -> list[Problem]:
    if not probe.power:
        return []
    wrong = [
        f"{key} {probe.power[key]}"
        for key, wanted in POWER_WANTED.items()
        if key in probe.power and probe.power[key] != str(wanted)
    ]
    return (
        [Problem(f"power settings: {', '.join(wrong)}", "the `pmset` task of the playbook sets them")] if wrong else []
    )


def _adopted_by(text: str) -> str | None:
    try:
        return decode(text, Adopted).fleet_version
    except ContractError:
        return None


def _ended_well(blocks: dict[str, tuple[str, str]], name: str) -> bool | None:
    return blocks[name][0] == "0" if name in blocks else None


def _sudo(blocks: dict[str, tuple[str, str]]) -> str:
    if "sudo" not in blocks:
        return "none"
    status, said = blocks["sudo"]
    if status == "0":
        return "free"
    return "password" if "password is required" in said else "missing"
