"""What `launchctl` prints, as values. Standard library only; travels with sync.

Apple promises nothing about these texts ("NOT API in any sense at all"), so every parser is total: odd, cut or
foreign text gives unknown fields, never an error and never "down" (FACTS section 1.1).
The recordings that they are tested against lie in tests/samples/launchctl/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleet.vocabulary.macos.digits import whole

NOT_LOADED = 113
"""Exit code of `print`, `kickstart` and `kill` for a label that is not registered."""
NO_DOMAIN = 112
GONE = frozenset({0, 3, 36, 113})
"""Exit codes of `bootout` after which the job is gone or going (FACTS section 1.5)."""
BUSY = frozenset({5, 37})
"""Exit codes of `bootstrap` that may pass by themselves: torn down just now, or "something" (FACTS section 1.2)."""

_FIELD = re.compile(r"^\t([^\t{}=][^={}]*?) = (.*)$")
_EXIT = re.compile(r"^(-?\d{1,9})(?:: (.+))?$")
_DISABLED = re.compile(r'^\s+"([^"]+)" => (disabled|enabled|true|false)\s*$')
_ENTRY = re.compile(r'^\t"([^"]+)" = (.*);$')
_SIGNAL = re.compile(r"^(.+): (\d{1,3})$")

_MEANINGS = {
    1: "it ended with an error of its own: see its log",
    78: "launchd could not start it: program missing or not executable, log or working directory not usable by its "
    "user, or its user unknown",
    126: "its program is not executable",
    127: "its program was not found",
    134: "it aborted",
    137: "it was killed (SIGKILL)",
    139: "it crashed (segmentation fault)",
    143: "it was terminated (SIGTERM)",
}


@dataclass(frozen=True, kw_only=True)
class PrintedService:
    """`launchctl print DOMAIN/LABEL`. Unknown is None; `pid` is there only while the job runs.

    `last_exit` is launchd's own wording of how it ended last: `78: EX_CONFIG`, `Killed: 9`, `OS_REASON_DYLD`,
    `(never exited)`; a running job still shows the previous end. `pended` says why launchd put off a spawn
    (FACTS section 1.4). `arguments` is None unless the whole block was there.
    """

    target: str | None = None
    path: str | None = None
    state: str | None = None
    program: str | None = None
    arguments: tuple[str, ...] | None = None
    pid: int | None = None
    runs: int | None = None
    last_exit: str | None = None
    exit_code: int | None = None
    exit_signal: int | None = None
    pended: str | None = None
    job_state: str | None = None
    successive_crashes: int | None = None
    exit_timeout_seconds: int | None = None
    minimum_runtime_seconds: int | None = None
    spawn_type: str | None = None
    immediate_reason: str | None = None
    properties: frozenset[str] | None = None

    @property
    def running(self) -> bool:
        """Whether it surely runs: the state says so and there is a pid."""
        return self.state == "running" and self.pid is not None


@dataclass(frozen=True, kw_only=True)
class ListedService:
    """One line of `launchctl list`: a negative status is a signal."""

    label: str
    pid: int | None = None
    status: int | None = None


@dataclass(frozen=True, kw_only=True)
class ListedLabel:
    """`launchctl list LABEL`. `last_exit_status` is a raw wait status: 256 is exit 1, 9 is SIGKILL."""

    label: str | None = None
    pid: int | None = None
    program: str | None = None
    on_demand: bool | None = None
    last_exit_status: int | None = None


def parse_print(text: str) -> PrintedService:
    """What `launchctl print DOMAIN/LABEL` printed.

    Only the first line of each name with exactly one leading tab counts: nested blocks have a `state` and a `pid`
    of their own, and an environment may hold any text.
    """
    lines = text.splitlines()
    head = lines[0] if lines else ""
    fields: dict[str, str] = {}
    for line in lines:
        match = _FIELD.match(line)
        if match:
            fields.setdefault(match[1], match[2].strip())
    last_exit, code, signal = _last_exit(fields)
    properties = fields.get("properties")
    return PrintedService(
        target=head.removesuffix(" = {") if head.endswith(" = {") and not head.startswith("\t") else None,
        path=fields.get("path"),
        state=fields.get("state"),
        program=fields.get("program"),
        arguments=_block(lines, "arguments"),
        pid=_count(fields.get("pid"), least=1),
        runs=_count(fields.get("runs")),
        last_exit=last_exit,
        exit_code=code,
        exit_signal=signal,
        pended=fields.get("pended nondemand spawn"),
        job_state=fields.get("job state"),
        successive_crashes=_count(fields.get("successive crashes")),
        exit_timeout_seconds=_count(fields.get("exit timeout")),
        minimum_runtime_seconds=_count(fields.get("minimum runtime")),
        spawn_type=fields.get("spawn type"),
        immediate_reason=fields.get("immediate reason"),
        properties=frozenset(word.strip() for word in properties.split("|")) if properties else None,
    )


def parse_list(text: str) -> tuple[ListedService, ...]:
    """The lines of `launchctl list` that have a pid or `-`, a status and a label."""
    found: list[ListedService] = []
    for line in text.splitlines():
        words = line.split("\t")
        if len(words) != 3 or not words[2].strip() or (words[0] != "-" and _count(words[0], least=1) is None):
            continue
        found.append(ListedService(label=words[2].strip(), pid=_count(words[0], least=1), status=whole(words[1])))
    return tuple(found)


def parse_list_label(text: str) -> ListedLabel:
    """What `launchctl list LABEL` printed."""
    fields = {match[1]: match[2].strip().strip('"') for match in map(_ENTRY.match, text.splitlines()) if match}
    on_demand = {"true": True, "false": False}.get(fields.get("OnDemand", ""))
    return ListedLabel(
        label=fields.get("Label"),
        pid=_count(fields.get("PID"), least=1),
        program=fields.get("Program"),
        on_demand=on_demand,
        last_exit_status=whole(fields.get("LastExitStatus")),
    )


def parse_print_disabled(text: str) -> dict[str, bool]:
    """Whether each label of `launchctl print-disabled DOMAIN` is disabled (`=> disabled`, or `=> true` of old)."""
    return {match[1]: match[2] in {"disabled", "true"} for match in map(_DISABLED.match, text.splitlines()) if match}


def exit_meaning(service: PrintedService) -> str:
    """How the job ended last, for a person: launchd's wording and what it means. Empty when it never ended."""
    if not service.last_exit or service.last_exit == "(never exited)":
        return ""
    meaning = _MEANINGS.get(service.exit_code) if service.exit_code is not None else None
    if "CODESIGNING" in service.last_exit:
        meaning = "the kernel refused its code signature: its program was replaced in place, or launchd pinned another"
    elif "DYLD" in service.last_exit:
        meaning = "a library that its program needs is missing or of another architecture"
    elif "JETSAM" in service.last_exit:
        meaning = "the kernel killed it for memory"
    if service.exit_code == 0:
        meaning = "it ended by itself"
    return f"{service.last_exit} ({meaning})" if meaning else service.last_exit


def _last_exit(fields: dict[str, str]) -> tuple[str | None, int | None, int | None]:
    """The wording, the exit code and the signal; the three forms of the line replace each other."""
    reason, signal, code = (
        fields.get(name) for name in ("last exit reason", "last terminating signal", "last exit code")
    )
    if reason is not None:
        return reason, None, None
    if signal is not None:
        match = _SIGNAL.match(signal)
        return signal, None, int(match[2]) if match else None
    match = _EXIT.match(code or "")
    return code, int(match[1]) if match else None, None


def _block(lines: list[str], name: str) -> tuple[str, ...] | None:
    """The lines of a one-tab block, when its closing brace is there."""
    try:
        start = lines.index(f"\t{name} = {{")
        end = lines.index("\t}", start)
    except ValueError:
        return None
    return tuple(line.removeprefix("\t\t") for line in lines[start + 1 : end])


def _count(text: str | None, *, least: int = 0) -> int | None:
    number = whole((text or "").split(" ")[0])
    return number if number is not None and number >= least else None
