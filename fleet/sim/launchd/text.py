"""What launchctl prints, byte for byte in the recorded forms. Pure: views in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.sim.launchd.ending import Ending
from fleet.sim.launchd.spawn import DEFAULT_PATH
from fleet.sim.launchd.spec import JobSpec

SPAWN_TYPES = {"Standard": "daemon (3)", "Interactive": "interactive (4)", "Background": "background (5)",
               "Adaptive": "adaptive (6)"}  # fmt: skip

LIMITS = (
    "\tcpu         unlimited      unlimited      \n"
    "\tfilesize    unlimited      unlimited      \n"
    "\tdata        unlimited      unlimited      \n"
    "\tstack       8388608        67104768       \n"
    "\tcore        0              unlimited      \n"
    "\trss         unlimited      unlimited      \n"
    "\tmemlock     unlimited      unlimited      \n"
    "\tmaxproc     709            1064           \n"
    "\tmaxfiles    256            unlimited      \n"
)


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job at one moment. `pid` is None unless it runs; `pended` names why launchd puts a spawn off."""

    domain: str
    spec: JobSpec
    state: str
    serial: int
    pid: int | None = None
    runs: int = 0
    immediate_reason: str | None = None
    pended: str | None = None
    ending: Ending | None = None
    minimum_runtime_seconds: int = 10
    successive_crashes: int = 0
    spawn_failed: bool = False
    session: int = 100015


def print_service(view: JobView) -> str:
    """`launchctl print DOMAIN/LABEL`: as print-system-daemon-running.txt, without what this job has not."""
    spec = view.spec
    system = view.domain == "system"
    active = int(view.pid is not None)
    lines = [
        f"{view.domain}/{spec.label} = {{",
        f"\tactive count = {active}",
        f"\tpath = {spec.path}",
        f"\ttype = {'LaunchDaemon' if system else 'LaunchAgent'}",
        f"\tstate = {view.state}",
        "",
        f"\tprogram = {spec.program}",
        "\targuments = {",
        *[f"\t\t{word}" for word in spec.arguments],
        "\t}",
        "",
    ]
    if spec.working_directory:
        lines += [f"\tworking directory = {spec.working_directory}", ""]
    lines += [f"\tstdin path = {spec.stdin}"] * bool(spec.stdin)
    lines += [f"\tstdout path = {spec.stdout}"] * bool(spec.stdout)
    lines += [f"\tstderr path = {spec.stderr}"] * bool(spec.stderr)
    if not system:
        lines += ["\tinherited environment = {", "\t\tSSH_AUTH_SOCK => /private/tmp/com.apple.launchd.sim/Listeners"]
        lines += ["\t}", ""]
    lines += ["\tdefault environment = {", f"\t\tPATH => {DEFAULT_PATH}", "\t}", ""]
    lines += ["\tenvironment = {", "\t\tOSLogRateLimit => 64"]
    lines += [f"\t\t{key} => {value}" for key, value in spec.environment.items()]
    lines += [f"\t\tXPC_SERVICE_NAME => {spec.label}", "\t}", ""]
    lines += [f"\tdomain = {view.domain}"] if system else [f"\tdomain = {view.domain} [{view.session}]"]
    lines += [] if system else [f"\tasid = {view.session}"]
    lines += [f"\tminimum runtime = {view.minimum_runtime_seconds}", f"\texit timeout = {spec.exit_timeout_seconds}"]
    lines += [f"\tnice = {spec.nice}"] * bool(spec.nice)
    lines += [f"\truns = {view.runs}"]
    lines += [f"\tsuccessive crashes = {view.successive_crashes}"] * bool(view.successive_crashes)
    lines += _process_lines(view)
    lines += [f"\t{view.ending.line}" if view.ending else "\tlast exit code = (never exited)"]
    lines += ["\texecs = 0"] * view.spawn_failed
    lines += [f"\tpended nondemand spawn = {view.pended}"] * bool(view.pended)
    lines += [""]
    for number, kind in ((view.serial, "resource"), (view.serial + 1, "jetsam")):
        lines += [f"\t{kind} coalition = {{", f"\t\tID = {number}", f"\t\ttype = {kind}", "\t\tstate = active"]
        lines += ["\t\tactive count = 1", f"\t\tname = {spec.label}", "\t}", ""]
    lines += [
        f"\tspawn type = {SPAWN_TYPES.get(spec.process_type, SPAWN_TYPES['Standard'])}",
        "\tjetsam priority = 40",
        "\tjetsam memory limit (active) = (unlimited)",
        "\tjetsam memory limit (inactive) = (unlimited)",
        "\tjetsamproperties category = daemon",
        "\tjetsam thread limit = 32",
        "\tcpumon = default",
    ]
    lines += [f"\trun interval = {spec.start_interval_seconds} seconds"] * bool(spec.start_interval_seconds)
    lines += ["\tjob state = spawn failed"] * view.spawn_failed
    properties = ["keepalive"] * spec.keep_alive.any + ["runatload"] * spec.run_at_load
    properties += ["inferred program"] * spec.inferred_program
    lines += ["", f"\tproperties = {' | '.join(properties)}", "}"]
    return "\n".join(lines) + "\n"


def _process_lines(view: JobView) -> list[str]:
    if view.pid is None:
        return []
    return [
        f"\tpid = {view.pid}",
        f"\timmediate reason = {view.immediate_reason or 'speculative'}",
        "\tforks = 0",
        "\texecs = 1",
        "\tinitialized = 1",
        "\ttrampolined = 1",
        "\tstarted suspended = 0",
        "\tproxy started suspended = 0",
        "\tchecked allocations = 0 (queried = 1)",
        "\tchecked allocations reason = no host",
        "\tchecked allocations flags = 0x0",
    ]


def print_domain(domain: str, views: Sequence[JobView], *, session: int) -> str:
    """`launchctl print DOMAIN`: the head of it and its services."""
    running = sum(1 for view in views if view.pid is not None)
    kind = "system" if domain == "system" else domain.partition("/")[0].replace("gui", "login")
    lines = [
        f"{domain} = {{",
        f"\ttype = {kind}",
        f"\thandle = {0 if domain == 'system' else session}",
        f"\tactive count = {len(views) + 1}",
        f"\tservice count = {len(views)}",
        f"\tactive service count = {running}",
        "",
        "\tservices = {",
        *[f"\t\t{view.pid or 0:>8} {_dash(view):>7} \t{view.spec.label}" for view in views],
        "\t}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def list_table(views: Sequence[JobView]) -> str:
    """`launchctl list`."""
    rows = [f"{view.pid or '-'}\t{view.ending.list_status if view.ending else 0}\t{view.spec.label}" for view in views]
    return "\n".join(["PID\tStatus\tLabel", *rows]) + "\n"


def list_label(view: JobView) -> str:
    """`launchctl list LABEL`: the old dictionary."""
    spec = view.spec
    rows: list[tuple[str, str]] = []
    if spec.stdout:
        rows.append(("StandardOutPath", _quoted(spec.stdout)))
    rows.append(("LimitLoadToSessionType", _quoted("System" if view.domain == "system" else "Aqua")))
    if spec.stderr:
        rows.append(("StandardErrorPath", _quoted(spec.stderr)))
    rows.append(("Label", _quoted(spec.label)))
    rows.append(("OnDemand", "false" if spec.keep_alive.any else "true"))
    rows.append(("LastExitStatus", str(view.ending.wait_status if view.ending else 0)))
    if view.pid is not None:
        rows.append(("PID", str(view.pid)))
    rows.append(("Program", _quoted(spec.program)))
    return "{\n" + "".join(f'\t"{key}" = {value};\n' for key, value in rows) + "};\n"


def print_disabled(entries: Mapping[str, bool]) -> str:
    """`launchctl print-disabled DOMAIN`: an empty line, then a block indented by a tab."""
    rows = [f'\t\t"{label}" => {"disabled" if off else "enabled"}' for label, off in entries.items()]
    return "\n".join(["", "\tdisabled services = {", *rows, "\t}"]) + "\n"


def _quoted(text: str) -> str:
    return f'"{text}"'


def _dash(view: JobView) -> str:
    return str(view.ending.list_status) if view.ending else "-"
