"""launchctl, word by word: what is typed, and what came back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from fleet.node.sync.machine import Machine, Ran
from fleet.node.sync.problem import Problem
from fleet.vocabulary.contracts.desired import Daemon
from fleet.vocabulary.contracts.sync import ServiceState
from fleet.vocabulary.launchctl import (
    NOT_LOADED,
    PrintedService,
    exit_meaning,
    parse_print,
    parse_print_disabled,
)
from fleet.vocabulary.layout import NodeLayout

_TAIL_LINES = 20
_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Launchd:
    """One launchd domain of one machine."""

    machine: Machine

    def print(self, label: str) -> PrintedService | None:
        """The job as launchd knows it; None when it is not registered. Raises Problem when launchctl will not say."""
        ran = self._run("print", self._target(label))
        if ran.code == 0:
            return parse_print(ran.out)
        if ran.code == NOT_LOADED:
            return None
        raise Problem(f"launchctl print {self._target(label)} failed ({ran.code})", code="launchctl", detail=ran.said)

    def disabled(self) -> dict[str, bool]:
        """Which labels have a disabled override; empty when launchctl does not say."""
        ran = self._run("print-disabled", self.machine.layout.domain)
        return parse_print_disabled(ran.out) if ran.code == 0 else {}

    def bootout(self, label: str) -> Ran:
        """Ask launchd to forget a job: it answers before the process is dead."""
        return self._run("bootout", self._target(label))

    def enable(self, label: str) -> Ran:
        """Lift a disabled override. Exit 0 means nothing."""
        return self._run("enable", self._target(label))

    def bootstrap(self, label: str) -> Ran:
        """Register a job by its plist. Exit 0 means registered, not running."""
        layout = self.machine.layout
        return self._run("bootstrap", layout.domain, layout.plist(label))

    def kickstart(self, label: str, *, kill: bool = False) -> Ran:
        """Spawn on demand: nothing happens to a running job, and a pended one starts. `kill` is for hung ones."""
        return self._run("kickstart", *(["-k"] if kill else []), self._target(label))

    def signal(self, label: str, name: str) -> Ran:
        """Send a signal to the job's main process."""
        return self._run("kill", name, self._target(label))

    def lint(self, path: str) -> Ran:
        """`plutil -lint`: XML only, not the keys."""
        return self.machine.command("plutil", "-lint", path)

    def _target(self, label: str) -> str:
        return self.machine.layout.target(label)

    def _run(self, *words: str) -> Ran:
        return self.machine.command("launchctl", *words, timeout_seconds=30.0)


def commands(layout: NodeLayout, daemon: Daemon, action: str) -> tuple[tuple[str, ...], ...]:
    """What a step on a daemon types, for people: the heart of the safe loop (FACTS section 1.5)."""
    launchctl, target = layout.command("launchctl"), layout.target(daemon.label)
    bootout = (launchctl, "bootout", target)
    up = (
        (launchctl, "enable", target),
        (launchctl, "bootstrap", layout.domain, layout.plist(daemon.label)),
    )
    return {
        "bootstrap": up,
        "rebootstrap": (bootout, *up),
        "restart": ((launchctl, "kill", "SIGTERM", target),),
        "reload": ((launchctl, "kill", "SIGHUP", target),),
        "cure": ((launchctl, "kickstart", target),),
        "bootout": (bootout,),
        "enable": ((launchctl, "enable", target),),
    }.get(action, ())


def service_state(label: str, printed: PrintedService | None) -> ServiceState:
    """The job for status and plan."""
    if printed is None:
        return ServiceState(label=label, loaded=False)
    return ServiceState(
        label=label,
        loaded=True,
        state=printed.state,
        pid=printed.pid,
        runs=printed.runs,
        last_exit=printed.last_exit,
        pended=printed.pended,
    )


def why_down(printed: PrintedService | None) -> str:
    """Why a job has no process, in launchd's own words and ours."""
    if printed is None:
        return "it is not registered with launchd"
    parts = [f"last exit {ended}"] if (ended := exit_meaning(printed)) else []
    if printed.pended:
        parts.append(f"launchd put its start off ({printed.pended})")
    parts.append(f"state {printed.state}" if printed.state else "launchd does not say in which state it is")
    if printed.runs is not None:
        parts.append(f"{printed.runs} run{'s' if printed.runs != 1 else ''}")
    return ", ".join(parts)


def log_tail(machine: Machine, daemon: Daemon) -> str:
    """The last lines of the first of its logs that has any."""
    for path in daemon.logs:
        content = machine.disk.tail(path, _TAIL_BYTES)
        lines = content.decode("utf-8", "replace").splitlines()
        told = [_told(line, len(list(same))) for line, same in groupby(lines)]
        if any(line.strip() for line in lines):
            return "\n".join([f"last lines of {path}:", *told[-_TAIL_LINES:]])
    return ""


def _told(line: str, times: int) -> str:
    return f"  {line}" if times == 1 else f"  {line}  ({times} times)"
