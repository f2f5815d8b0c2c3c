"""The proof of health, taken on the node: pids that stay, answers over HTTP, a real completion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fleet.node.sync.golden import asked, completion, difference
from fleet.node.sync.launchd import Launchd, log_tail, why_down
from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import GateFailed
from fleet.vocabulary.contracts.desired import (
    DesiredState,
    Gate,
    GenerateGate,
    HttpGate,
    LaunchdGate,
    PortGate,
)
from fleet.vocabulary.launchctl import PrintedService

_POLL_SECONDS = 0.25
_EX_CONFIG = 78


@dataclass
class _Watch:
    """One launchd gate while it is watched."""

    gate: LaunchdGate
    deadline: float
    first_runs: int | None = None
    pid: int | None = None
    since: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Gates:
    """The gates of one state. `notify` hears of every gate that passed: its key and a word about it."""

    machine: Machine
    state: DesiredState
    notify: Callable[[str, str], None]

    def require(self, *, started: Iterable[str], within_seconds: float) -> None:
        """Pass every gate, launchd's together and first. Raises GateFailed.

        `started` are the labels of jobs that this run spawned: each must stay up even when no gate names it.
        """
        until = self.machine.clock.monotonic() + within_seconds
        named = [gate for gate in self.state.gates if isinstance(gate, LaunchdGate)]
        have = {gate.label for gate in named}
        named += [
            LaunchdGate(label=daemon.label)
            for daemon in self.state.daemons
            if daemon.label in set(started) - have and not daemon.on_demand
        ]
        self._launchd(named, until)
        for gate in self.state.gates:
            if not isinstance(gate, LaunchdGate):
                self._answering(gate, until)

    def _launchd(self, gates: list[LaunchdGate], until: float) -> None:
        clock, launchd = self.machine.clock, Launchd(machine=self.machine)
        now = clock.monotonic()
        open_ones = [_Watch(gate=gate, deadline=min(until, now + gate.within_seconds)) for gate in gates]
        while open_ones:
            for watch in list(open_ones):
                printed = launchd.print(watch.gate.label)
                if self._stable(watch, printed):
                    open_ones.remove(watch)
                    self.notify(gate_key(watch.gate), f"pid {watch.pid} for {watch.gate.stable_seconds:g} s")
                elif printed is not None and printed.pended:
                    launchd.kickstart(watch.gate.label)
            if open_ones:
                clock.sleep(_POLL_SECONDS)

    def _stable(self, watch: _Watch, printed: PrintedService | None) -> bool:
        gate, now = watch.gate, self.machine.clock.monotonic()
        if printed is None or (printed.pid is None and printed.exit_code == _EX_CONFIG):
            raise self._failed(gate, f"{gate.label}: {why_down(printed)}")
        if watch.first_runs is None:
            watch.first_runs = printed.runs
        spawns = (printed.runs or 0) - (watch.first_runs or 0)
        if printed.runs is not None and spawns > gate.max_restarts:
            times = "once" if spawns == 1 else f"{spawns} times"
            raise self._failed(gate, f"{gate.label} was started again {times}: {why_down(printed)}")
        if printed.pid is not None and printed.pid == watch.pid:
            if now - watch.since >= gate.stable_seconds:
                return True
        else:
            watch.pid, watch.since = printed.pid, now
        if now >= watch.deadline:
            raise self._failed(gate, f"{gate.label} did not stay up for {gate.stable_seconds:g} s: {why_down(printed)}")
        return False

    def _answering(self, gate: HttpGate | PortGate | GenerateGate, until: float) -> None:
        clock, launchd = self.machine.clock, Launchd(machine=self.machine)
        began = clock.monotonic()
        deadline = min(until, began + gate.within_seconds)
        ours = any(daemon.label == gate.label for daemon in self.state.daemons)
        while True:
            wrong = self._ask(gate, max(1.0, deadline - clock.monotonic()))
            if not wrong:
                self.notify(gate_key(gate), f"after {clock.monotonic() - began:.1f} s")
                return
            printed = launchd.print(gate.label) if ours else None
            dead = ours and (printed is None or (printed.pid is None and printed.exit_code == _EX_CONFIG))
            if dead or clock.monotonic() >= deadline:
                state = f"; {gate.label}: {why_down(printed)}" if ours else ""
                raise self._failed(gate, f"{wrong}{state}")
            clock.sleep(_POLL_SECONDS)

    def _ask(self, gate: HttpGate | PortGate | GenerateGate, left_seconds: float) -> str:
        """What is wrong; empty when nothing is."""
        host = self.machine.host
        match gate:
            case PortGate():
                return "" if host.listens(gate.port) else f"nothing listens on port {gate.port}"
            case HttpGate():
                answer = host.request(gate.url, timeout_seconds=min(10.0, left_seconds))
                if answer.status == gate.status:
                    return ""
                return f"{gate.url} answered {answer.status or answer.error}, not {gate.status}"
            case GenerateGate():
                return self._generate(gate, left_seconds)

    def _generate(self, gate: GenerateGate, left_seconds: float) -> str:
        """A readiness route says nothing: the model loads lazily, so let it speak (FACTS section 4.9)."""
        path = "/v1/chat/completions"
        url = gate.url if gate.url.endswith(path) else gate.url.rstrip("/").removesuffix("/v1") + path
        until = self.machine.clock.monotonic() + left_seconds
        for golden in (None, *(gate.golden or ())):
            left = max(1.0, until - self.machine.clock.monotonic())
            answer = self.machine.host.request(url, body=asked(gate, golden), timeout_seconds=left)
            said = completion(answer.body) if answer.status == 200 else None
            if said is None:
                shown = answer.body[:300].decode("utf-8", "replace") or answer.error
                return f"no completion from {url}: {answer.status or 'no answer'} {shown}".strip()
            wrong = difference(golden, said) if golden else ""
            if wrong:  # to ask again would give the same
                raise self._failed(gate, f"{gate.label} does not answer as it is known to. {wrong}")
        return ""

    def _failed(self, gate: Gate, title: str) -> GateFailed:
        tails = [log_tail(self.machine, daemon) for daemon in self.state.daemons if daemon.label == gate.label]
        return GateFailed(title, key=gate_key(gate), detail="\n".join(filter(None, tails)))


def gate_key(gate: Gate) -> str:
    """What the journal calls a gate."""
    match gate:
        case LaunchdGate():
            return f"launchd:{gate.label}"
        case HttpGate() | GenerateGate():
            return f"{gate.kind}:{gate.url}"
        case PortGate():
            return f"port:{gate.port}"


def spawned(keys: Iterable[str]) -> Iterator[str]:
    """The labels among step keys."""
    return (key.removeprefix("daemon:") for key in keys if key.startswith("daemon:"))
