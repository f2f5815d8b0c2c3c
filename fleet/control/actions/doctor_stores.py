"""Doctor's checks of memory and disk: room, the GPU's share, what envs hold and where models lie. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from fleet.control.actions.doctor_findings import (
    Check,
    Remedy,
    Situation,
    Verdict,
    by_hand,
    critical,
    good,
    on_laptop,
    on_node,
    warn,
)
from fleet.control.actions.doctor_probe import StartupLine, WheelNeed
from fleet.control.actions.probing import ENOUGH_DISK_BYTES
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.units import bytes_text

_TOO_LITTLE_BYTES = 10 * 10**9
_LOW_RATIO = 0.1
_WIRED = "iogpu.wired_limit_mb"
_RENUMBERED = re.compile(r"^(/Volumes/.+) [1-9]$")
_SETUPTOOLS = (
    "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
    "enabled and __import__('_distutils_hack').add_shim();"
)
"""What setuptools puts there itself; known word by word."""


def _disk(at: Situation) -> Iterator[Verdict]:
    """Every volume once: the one below fleet's root and the data volume are mostly the same."""
    if not at.readings.disks:
        yield at.unknown("the room on disk", "disk.root")
    for disk in at.readings.disks:
        free, total = disk.available_bytes, disk.total_bytes
        if free is None:
            continue
        seen = f"{bytes_text(free)} of {bytes_text(total)} are free on {disk.mount}"
        low = free < ENOUGH_DISK_BYTES or (total is not None and free < total * _LOW_RATIO)
        remedy = Remedy(
            commands=(Argv.of("/usr/bin/du", "-xhd1", at.node.settings.root),),
            root=at.node.settings.sudo,
            words="shows what is large; local snapshots go by `tmutil deletelocalsnapshots /`",
        )
        if free < _TOO_LITTLE_BYTES:
            yield critical(f"only {seen}", remedy)
        elif low:
            yield warn(seen, remedy)
        else:
            yield good(seen)


def _logs(at: Situation) -> Iterator[Verdict]:
    """A log that outgrew the agent's bound by far: no agent runs, or it may not cut it."""
    logs = at.readings.logs
    if logs is None:
        yield at.unknown("the size of logs", "logs")
        return
    for path in logs:
        yield warn(
            f"{path} is more than four times the {at.node.settings.log_mb:g} MB at which it is put aside",
            Remedy(
                commands=(Argv.of("/bin/cp", "/dev/null", path),),
                root=at.node.settings.sudo,
                words="empties it under its writer. Then: does the agent run, and is the log of its own account? "
                "docs/housekeeping.md",
            ),
        )
    if not logs:
        yield good("every log is within its bound")


def _wired(at: Situation) -> Iterator[Verdict]:
    wanted, found = at.node.settings.wired_limit_mb, at.readings.wired_limit_mb
    if found is None:
        yield at.unknown("the GPU wired limit", "sysctl")
    elif wanted is None:
        yield good("the GPU wired limit is macOS's own" if not found else f"the GPU wired limit is {found} MB")
    elif found == wanted:
        yield good(f"the GPU wired limit is {found} MB, as the inventory says")
    else:
        live = "macOS's own (0)" if not found else f"{found} MB"
        yield warn(f"the GPU wired limit is {live}, the inventory says {wanted} MB", _put_back(at, wanted))


def _put_back(at: Situation, wanted: int) -> Remedy:
    """The provisioned job sets it again; without one a deploy must bring it, or it is lost at the next restart."""
    layout = at.node.settings.layout()
    job = at.readings.job(layout.label("sysctl"))
    if job is not None and job.loaded and f"{_WIRED}={wanted}" in (job.printed.arguments or ()):
        kick = at.command("launchctl", "kickstart", layout.target(job.label))
        return on_node(kick, situation=at, automatic=True)
    return on_laptop(
        "deploy", "--on", at.node.name, advice="the playbook needs its `sysctl` task, as provision.yml has"
    )


def _external(at: Situation) -> Iterator[Verdict]:
    """Paths of our jobs, and fleet's root, on other volumes. The startup volume is a link in /Volumes, not met here."""
    paths = at.readings.external
    if paths is None:
        yield at.unknown("whether services read other volumes", "external")
        return
    root = at.node.settings.root
    mounts = {_volume(path) for path in (*paths, root) if path.startswith("/Volumes/")}
    mounts |= {disk.mount for disk in at.readings.disks if disk.mount.startswith("/Volumes/")}
    for mount in sorted(mounts):
        renamed = _RENUMBERED.match(mount)
        name = f", which looks like a second mount of {renamed[1]}" if renamed else ""
        words = (
            "System Settings > Privacy & Security > Full Disk Access for the Python of the env, by hand, and again "
            "after each new one; or move it to the internal disk. A read over SSH proves nothing: only the job can"
        )
        yield warn(f"services read {mount}{name}", by_hand(words))
    if not mounts:
        yield good("services read the internal disk only")


def _volume(path: str) -> str:
    return posixpath.join("/Volumes", path.split("/")[2])


def _startup(at: Situation) -> Iterator[Verdict]:
    lines = at.readings.startup
    if lines is None:
        yield at.unknown("what envs run at every start", "startup")
        return
    strange = [line for line in lines if line.line.strip() != _SETUPTOOLS]
    for line in strange:
        yield critical(
            f"{line.path} runs at every start: {_short(line)}",
            Remedy(
                commands=(Argv.of("/bin/cat", line.path),),
                words="look at it before anything else: this is how poisoned packages steal keys. Then lock the env "
                "without that package, deploy, and change the keys that the node had",
            ),
        )
    if not strange:
        yield good("no env runs code by a .pth file")


def _short(line: StartupLine) -> str:
    return line.line if len(line.line) <= 60 else f"{line.line[:57]}..."


def _wheels(at: Situation) -> Iterator[Verdict]:
    wheels, version = at.readings.wheels, _version(at.readings.os_version)
    if version is None:
        yield at.unknown("the macOS version", "sw_vers")
        return
    if wheels is None:
        yield at.unknown("what macOS the installed packages want", "wheels")
        return
    said = at.readings.os_version
    too_new = [wheel for wheel in wheels if (wheel.major, wheel.minor) > version]
    early = [wheel for wheel in wheels if _is_early_mlx(wheel, version)]
    again = on_laptop("deploy", "--on", at.node.name, advice="after an update of macOS; or lock the env for this one")
    for wheel in sorted(too_new, key=lambda one: (one.package, one.major, one.minor)):
        yield critical(f"{wheel.package} wants macOS {wheel.major}.{wheel.minor}; this is {said}", again)
    for wheel in early:
        yield warn(f"{wheel.package} says macOS 26.0 and was built for 26.2; this is {said}", again)
    if not too_new and not early:
        yield good(f"macOS {said} is new enough for every installed package")


def _is_early_mlx(wheel: WheelNeed, version: tuple[int, int]) -> bool:
    """The wheel of mlx for 26.0 was built for 26.2, and installs on 26.0 and 26.1."""
    name = wheel.package.split("-")[0]
    return name in ("mlx", "mlx_metal") and (wheel.major, wheel.minor) == (26, 0) and (26, 0) <= version < (26, 2)


def _version(text: str | None) -> tuple[int, int] | None:
    words = (text or "").split(".")
    if not all(word.isdigit() for word in words):
        return None
    return int(words[0]), int(words[1]) if len(words) > 1 else 0


STORES = (
    Check(
        id="disk",
        title="Room on disk",
        why="A deploy needs room for models and envs beside the old ones; a full disk stops every service.",
        source="monitoring 2.3",
        fix="`sudo du -xhd1 /opt/fleet` shows what is large",
        judge=_disk,
    ),
    Check(
        id="logs",
        title="Logs that grow",
        why="launchd holds a log open and never bounds it, and to rename it changes nothing; the agent does, where it "
        "runs and may.",
        source="FACTS 1.7",
        fix="`sudo cp /dev/null LOG`; then the agent, or the account of the log",
        judge=_logs,
    ),
    Check(
        id="wired-limit",
        title="GPU wired limit",
        why="macOS forgets it at every restart; weights that are not wired get compressed: 0.6 tokens/s where 64 "
        "are possible.",
        source="FACTS 4.7, 9",
        fix="`sudo launchctl kickstart system/org.fleet-macs.sysctl` (--fix); without that job `fleet deploy`",
        judge=_wired,
    ),
    Check(
        id="external-volumes",
        title="External volumes",
        why='A launchd job has no right to read them: it gets "Operation not permitted" or hangs, though the same '
        "read works over SSH. A volume may also come back under another name.",
        source="FACTS 2.3, 9",
        fix="no command can: Full Disk Access by hand or MDM, or the internal disk",
        judge=_external,
    ),
    Check(
        id="pth-imports",
        title=".pth files with imports",
        why="A line `import ...` in a .pth file runs at every start of the interpreter, with every secret in reach.",
        source="DESIGN 4",
        fix="look at the file, lock the env without that package, deploy, change the keys",
        judge=_startup,
    ),
    Check(
        id="os-wheels",
        title="macOS and installed packages",
        why="A package that was built for a newer macOS fails at import, or crashes later.",
        source="FACTS 2.7, 9",
        fix="update macOS, or lock the env for this one; then `fleet deploy`",
        judge=_wheels,
    ),
)
