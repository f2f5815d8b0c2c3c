"""Doctor's checks of the machine: its clock, its updates and panics, who may come in, and by which way. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.control.actions.doctor_findings import (
    Check,
    Remedy,
    Severity,
    Situation,
    Verdict,
    by_hand,
    critical,
    good,
    note,
    on_laptop,
    on_node,
    warn,
)
from fleet.control.actions.doctor_probe import PANIC_DAYS
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.macos.digits import whole

_SKEW_SECONDS = 2.0


def _clock(at: Situation) -> Iterator[Verdict]:
    """The node said a whole second somewhere between question and answer."""
    told = at.readings.clock_seconds
    if told is None:
        yield at.unknown("its clock", "clock")
        return
    ahead, behind = told - at.asked_to, at.asked_from - (told + 1)
    off = max(ahead, behind, 0.0)
    if off > _SKEW_SECONDS:
        way = "ahead of" if ahead > behind else "behind"
        remedy = on_node(
            Argv.of("/usr/bin/sntp", "-sS", "time.apple.com"), situation=at, words="or mend this laptop's clock"
        )
        yield warn(f"its clock is {off:.0f} s {way} this laptop's", remedy)
    else:
        yield good("its clock agrees with this laptop's")


def _updates(at: Situation) -> Iterator[Verdict]:
    if at.readings.installs_updates is None:
        yield at.unknown("whether macOS installs updates by itself", "updates")
    elif at.readings.installs_updates:
        file = "/Library/Preferences/com.apple.SoftwareUpdate"
        key = "AutomaticallyInstallMacOSUpdates"
        remedy = on_node(at.command("defaults", "write", file, key, "-bool", "false"), situation=at)
        seen = "macOS installs its updates by itself, and restarts for them"
        if at.readings.filevault:
            yield warn(f"{seen} into FileVault's unlock screen", remedy)
        else:
            yield note(seen, remedy)
    else:
        yield good("macOS does not install updates by itself")


def _panics(at: Situation) -> Iterator[Verdict]:
    panics = at.readings.panics
    if panics is None:
        yield at.unknown("whether the kernel panicked", "panics")
    elif panics:
        newest = max(panics)
        times = "once" if len(panics) == 1 else f"{len(panics)} times"
        remedy = Remedy(
            commands=(Argv.of("/usr/bin/head", "-n", 3, newest),),
            words="names the cause; with IOGPUMemory in it: a smaller prompt cache or wired limit, fewer at once",
        )
        yield warn(f"the kernel panicked {times} in {PANIC_DAYS} days", remedy)
    else:
        yield good(f"no kernel panic in {PANIC_DAYS} days")


def _remote_login(at: Situation) -> Iterator[Verdict]:
    """What fleet came in through works; the question is who else may."""
    seen = at.readings
    if seen.ssh_everybody is None:
        yield at.unknown("who may log in over SSH", "ssh_group")
    elif seen.ssh_everybody:
        yield note(
            "every account of the Mac may log in over SSH",
            by_hand("System Settings > General > Sharing > Remote Login: only these users"),
        )
    else:
        members = ", ".join(seen.ssh_members or ()) or "members of a group"
        yield good(f"SSH is for {members}")


def _tailscale(at: Situation) -> Iterator[Verdict]:
    """Matters only for a node that is reached, or serves, over the tailnet."""
    places = (at.node.address, at.node.settings.gateway_bind, at.node.settings.gateway_url_host or "")
    if not any(map(_is_tailnet, places)):
        return
    found = at.readings.tailscale
    if found is None:
        yield at.unknown("how Tailscale runs", "tailscale")
    elif "daemon" in found:
        yield good("Tailscale runs as a system daemon, before any login")
    elif "app" in found:
        yield warn(
            "Tailscale is the app: after a restart it may wait for a login",
            by_hand("install the open-source tailscaled as a system daemon (`sudo tailscaled install-system-daemon`)"),
        )
    else:
        yield Verdict(Severity.UNKNOWN, "Tailscale was found neither as an app nor as a system daemon")


def _is_tailnet(place: str) -> bool:
    first, _, rest = place.partition(".")
    second = whole(rest.partition(".")[0])
    return place.endswith(".ts.net") or (first == "100" and second is not None and 64 <= second < 128)


def _developer_tools(at: Situation) -> Iterator[Verdict]:
    tools = at.readings.developer_tools
    if tools is None:
        yield at.unknown("whether there are developer tools", "xcode")
    elif tools:
        yield good("developer tools are there")
    elif at.node.settings.interpreter == "/usr/bin/python3":
        remedy = on_laptop(
            "--set", "interpreter=standalone", "adopt", at.node.name, advice="then keep it in the inventory"
        )
        yield critical("/usr/bin/python3 is Apple's stub: there are no developer tools", remedy)
    else:
        yield note("python3, git and make are Apple's stubs; fleet needs none of them")


MACHINE = (
    Check(
        id="clock",
        title="Clock",
        why="Ages of readings, certificates and ledgers of several nodes are compared by their clocks.",
        source="monitoring 2.3",
        fix="`sudo sntp -sS time.apple.com`",
        judge=_clock,
    ),
    Check(
        id="os-updates",
        title="Updates that restart",
        why="macOS restarts at night for an update, without a word to anybody; a new macOS may also serve slower.",
        source="FACTS 2.5, 9",
        fix="`sudo defaults write /Library/Preferences/com.apple.SoftwareUpdate AutomaticallyInstallMacOSUpdates "
        "-bool false`; it does not stop every update, a profile (MDM) does",
        judge=_updates,
    ),
    Check(
        id="panics",
        title="Kernel panics",
        why="MLX can panic the whole machine when wired GPU memory runs out; what panicked once panics again.",
        source="FACTS 4.9",
        fix="read the file; a smaller prompt cache or wired limit, fewer requests at once",
        judge=_panics,
    ),
    Check(
        id="remote-login",
        title="Who may log in",
        why="fleet needs one account; every other one that may log in is one more door.",
        source="FACTS 2.6",
        fix="no command can (it wants Full Disk Access): System Settings > General > Sharing > Remote Login",
        judge=_remote_login,
    ),
    Check(
        id="tailscale",
        title="Tailscale before login",
        why="A node that is reached over the tailnet is lost after a restart until Tailscale runs, and the app starts "
        "with a login.",
        source="FACTS 9",
        fix="no command of fleet's: `tailscaled` as a system daemon",
        judge=_tailscale,
    ),
    Check(
        id="developer-tools",
        title="Developer tools",
        why="/usr/bin/python3, git and make are stubs without them: they open a dialog that nobody sees.",
        source="FACTS 2.7",
        fix="`interpreter: standalone` in the inventory",
        judge=_developer_tools,
    ),
)
