"""Doctor's checks of launchd, ports and firewall: will our services run, alone, and be reached. Pure."""

from __future__ import annotations

import posixpath
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
from fleet.control.actions.probing import node_ports
from fleet.vocabulary.argv import Argv

_OPENCLAW = "ai.openclaw.gateway"
_LOOPBACK = ("127.", "localhost", "::1")


def _domain(at: Situation) -> Iterator[Verdict]:
    domain = at.node.settings.domain
    if domain == "system":
        yield good("services are system daemons")
    else:
        words = f"take `domain: {domain}` out of the inventory, then `fleet deploy --on {at.node.name}`"
        yield warn(f"services live in {domain}", by_hand(words))


def _disabled(at: Situation) -> Iterator[Verdict]:
    disabled = at.readings.disabled
    if disabled is None:
        yield at.unknown("which labels are disabled", "disabled")
        return
    layout = at.node.settings.layout()
    ours = sorted(label for label, is_so in disabled.items() if is_so and label.startswith(f"{layout.label_prefix}."))
    for label in ours:
        job = at.readings.job(label)
        if job is None:
            yield note(f"{label} is disabled, and no plist of that name is there")
            continue
        commands = [at.command("launchctl", "enable", layout.target(label))]
        if job.loaded is False:
            commands.append(at.command("launchctl", "bootstrap", layout.domain, layout.plist(label)))
        yield critical(f"{label} is disabled", on_node(*commands, situation=at, automatic=True))
    if not ours:
        yield good("none of our labels is disabled")


def _pended(at: Situation) -> Iterator[Verdict]:
    layout = at.node.settings.layout()
    held = [(job.label, job.printed.pended) for job in at.readings.jobs if job.printed.pended]
    for label, why in held:
        remedy = on_node(at.command("launchctl", "kickstart", layout.target(label)), situation=at)
        yield critical(f"launchd put off starting {label} ({why})", remedy)
    if not held and at.readings.jobs:
        yield good("launchd put off no start")


def _background(at: Situation) -> Iterator[Verdict]:
    slow = [job.label for job in at.readings.jobs if (job.printed.spawn_type or "").startswith("background")]
    for label in slow:
        template = f"templates/launchd/{label.removeprefix(at.node.settings.label_prefix + '.').split('.')[0]}.plist.j2"
        words = f"ProcessType in {template} of the project: Interactive; then `fleet deploy --on {at.node.name}`"
        yield critical(f"{label} runs as a background job", by_hand(words))
    if not slow and at.readings.jobs:
        yield good("no service is a background job")


def _twins(at: Situation) -> Iterator[Verdict]:
    """Plists elsewhere with a label of ours, and OpenClaw's own agent."""
    plists = at.readings.plists
    if plists is None:
        yield at.unknown("whether other plists have our labels", "plists")
        return
    layout = at.node.settings.layout()
    ours = at.readings.job(layout.label("openclaw"))
    for path in plists:
        label = posixpath.basename(path).removesuffix(".plist")
        gui = "/LaunchAgents/" in path
        remedy = _put_aside(at, path, label, gui=gui, own=path.startswith(f"{layout.home}/"))
        if label == _OPENCLAW and ours is None:
            kind = "a LaunchAgent: it ends at logout" if gui else "not fleet's"
            yield note(f"{path} is there ({kind})", remedy)
        else:
            whose = "OpenClaw beside ours" if label == _OPENCLAW else "a second plist of our label"
            yield warn(f"{path} is {whose}", remedy)
    if not plists:
        yield good("no other plist has our labels")


def _put_aside(at: Situation, path: str, label: str, *, gui: bool, own: bool) -> Remedy:
    """Aside, not away: what somebody made is theirs. A job of a desktop ends with its session."""
    move = Argv.of("/bin/mv", path, f"{path}.off")
    if not gui:
        return on_node(at.command("launchctl", "bootout", f"system/{label}"), move, situation=at)
    words = f"a running one ends by `launchctl bootout gui/UID/{label}` of its user, or at logout"
    return Remedy(commands=(move,), root=not own, words=words)


def _ports(at: Situation) -> Iterator[Verdict]:
    seen = at.readings
    free = True
    for port in node_ports(at.node):
        strangers = {one for one in seen.listeners if one.port == port and one.pid not in seen.ours}
        known = any(one.port == port for one in seen.listeners)
        look = Argv.of(at.node.settings.layout().command("lsof"), "-nP", f"-iTCP:{port}", "-sTCP:LISTEN")
        for one in sorted(strangers, key=lambda one: one.pid):
            free = False
            yield critical(
                f"port {port} is held by {one.command} (pid {one.pid}, {one.user})",
                on_node(
                    Argv.of("/bin/kill", one.pid),
                    situation=at,
                    words="or give fleet other ports: gateway_port, gateway_admin_port, agent_port, sidecar_port",
                ),
            )
        if not known and port in (seen.ports_taken or ()) and not _runs(at, port):
            free = False
            yield Verdict(
                Severity.UNKNOWN,
                f"port {port} is in use; whose it is only root may see",
                on_node(look, situation=at),
            )
    if seen.ports_taken is None and not seen.listeners:
        yield at.unknown("who holds our ports", "connections")
    elif free:
        yield good("nobody else holds our ports")


def _runs(at: Situation, port: int) -> bool:
    """Whether a service of ours runs that has this port: then the one whom only root may see is ours."""
    settings = at.node.settings
    names = {settings.agent_port: "agent", settings.sidecar_port: "sidecar"}
    label = settings.layout().label(names.get(port, "gateway"))
    return any(f"{job.label}.".startswith(f"{label}.") and job.printed.running for job in at.readings.jobs)


def _firewall(at: Situation) -> Iterator[Verdict]:
    seen, bind = at.readings, at.node.settings.gateway_bind
    if seen.firewall is None:
        yield at.unknown("the application firewall", "firewall")
    elif not seen.firewall:
        yield good("the application firewall is off")
    elif seen.firewall_blocks_all:
        yield critical(
            "the firewall blocks every incoming connection",
            on_node(at.command("socketfilterfw", "--setblockall", "off"), situation=at),
        )
    elif bind.startswith(_LOOPBACK):
        yield good("the application firewall is on; the gateway listens on loopback only")
    elif seen.firewall_blocks_gateway is False:
        yield good("the application firewall is on and lets the gateway through")
    else:
        job = seen.job(at.node.settings.layout().label("gateway"))
        program = job.printed.program if job else None
        if program is None:
            yield note("the application firewall is on; there is no gateway yet")
            return
        allow = [at.command("socketfilterfw", flag, program) for flag in ("--add", "--unblockapp")]
        what = "blocks the gateway" if seen.firewall_blocks_gateway else "is on and does not list the gateway's Python"
        yield warn(f"the application firewall {what}", on_node(*allow, situation=at))


def _not_loaded(at: Situation) -> Iterator[Verdict]:
    layout = at.node.settings.layout()
    disabled = at.readings.disabled or {}
    gone = [job.label for job in at.readings.jobs if job.loaded is False and not disabled.get(job.label)]
    for label in gone:
        remedy = on_node(at.command("launchctl", "bootstrap", layout.domain, layout.plist(label)), situation=at)
        yield critical(f"{label} has a plist, and launchd does not know it", remedy)
    if not at.readings.jobs:
        yield note("none of our services is there yet", on_laptop("deploy", "--on", at.node.name))
    elif not gone:
        yield good("launchd knows every service of ours")


SERVICES = (
    Check(
        id="launchd-domain",
        title="Domain of the services",
        why="What lives in gui/ or user/ starts with a login, ends with it, and may not reach the local network.",
        source="FACTS 2.1, 2.3",
        fix="`domain: system` (the default), then deploy",
        judge=_domain,
    ),
    Check(
        id="disabled-labels",
        title="Disabled labels",
        why="launchd refuses a disabled label; that survives restarts and deploys, and the Login Items switch sets it.",
        source="FACTS 1.1, 1.2",
        fix="`sudo launchctl enable system/LABEL && sudo launchctl bootstrap system PLIST` (--fix)",
        judge=_disabled,
    ),
    Check(
        id="unloaded-services",
        title="Services that launchd does not know",
        why="After a failed bootstrap a service is gone until somebody notices.",
        source="FACTS 1.5",
        fix="`sudo launchctl bootstrap system PLIST`",
        judge=_not_loaded,
    ),
    Check(
        id="pended-spawns",
        title="Starts that launchd put off",
        why="launchd may put off a start that nobody demanded for hours: the service is down and nothing says so.",
        source="FACTS 1.4",
        fix="`sudo launchctl kickstart system/LABEL`",
        judge=_pended,
    ),
    Check(
        id="background-jobs",
        title="Background jobs",
        why="A background job computes on the slow cores: 11 tokens/s where 87 are possible.",
        source="FACTS 2.4",
        fix="ProcessType Interactive in the project's own template, then deploy",
        judge=_background,
    ),
    Check(
        id="twins",
        title="Twins of our services",
        why="Two supervisors of one service fight over its port, for ever.",
        source="FACTS 1.5, 5",
        fix="`mv PLIST PLIST.off`, and boot out the running one",
        judge=_twins,
    ),
    Check(
        id="ports",
        title="Foreign owners of our ports",
        why="A service whose port is taken cannot start.",
        source="FACTS 1.5",
        fix="end the other program, or give fleet other ports",
        judge=_ports,
    ),
    Check(
        id="firewall",
        title="Application firewall",
        why="It may drop connections to a Python that is not signed by a developer, or even to SSH, with no dialog "
        "that anybody sees.",
        source="FACTS 2.3, 9",
        fix="`sudo socketfilterfw --add PYTHON && sudo socketfilterfw --unblockapp PYTHON`; `--setblockall off`",
        judge=_firewall,
    ),
)
