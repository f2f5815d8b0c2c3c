"""Following a run: the journal of the apply job as Events, and the job kicked when launchd put it off."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.node.sync import releases
from fleet.node.sync.frames import Wire
from fleet.node.sync.journal import read_events
from fleet.node.sync.launchd import Launchd, service_state, why_down
from fleet.node.sync.machine import Machine
from fleet.node.sync.pending import finished, lock, pending_run, read_request
from fleet.node.sync.problem import Problem
from fleet.vocabulary.contracts.sync import Done, Event, ServiceState

_POLL_SECONDS = 0.1
_SILENCE_SECONDS = 3.0
_KICKS = 4


@dataclass(frozen=True, kw_only=True)
class Tail:
    """Follows one run for one laptop."""

    machine: Machine
    wire: Wire
    run_id: str

    def follow(self, after: int = 0) -> None:
        """Send the events behind that sequence number, until the run ended, and then Done. Raises Problem."""
        clock = self.machine.clock
        heard, kicks = clock.monotonic(), 0
        while True:
            fresh = [event for event in read_events(self.machine, self.run_id) if event.seq > after]
            for event in fresh:
                self.wire.send(event)
                after = event.seq
            ended = [event for event in fresh if event.phase == "end"]
            if ended:
                self._done(ended[-1])
                return
            now = clock.monotonic()
            if fresh:
                heard, kicks = now, 0
            elif now - heard >= _SILENCE_SECONDS and not self._works():
                if kicks == _KICKS:
                    raise give_up(self.machine, self.run_id)
                kick(self.machine)
                heard, kicks = now, kicks + 1
            clock.sleep(_POLL_SECONDS)

    def _works(self) -> bool:
        printed = Launchd(machine=self.machine).print(self.machine.layout.apply_label)
        return printed is not None and printed.pid is not None

    def _done(self, end: Event) -> None:
        request = read_request(self.machine, self.run_id)
        state_id = releases.current_id(self.machine)
        state = releases.load(self.machine, state_id or (request.state_id if request else None))
        labels = [daemon.label for daemon in state.daemons] if state else []
        self.wire.send(
            Done(outcome=end.outcome or "failed", state_id=state_id, services=services(self.machine, labels))
        )


def services(machine: Machine, labels: list[str]) -> tuple[ServiceState, ...]:
    """How these jobs are now."""
    launchd = Launchd(machine=machine)
    return tuple(service_state(label, launchd.print(label)) for label in labels)


def kick(machine: Machine) -> None:
    """Let the apply job run: a demand spawn, which nothing pends. Harmless while it runs. Raises Problem."""
    launchd, layout = Launchd(machine=machine), machine.layout
    ran = launchd.kickstart(layout.apply_label)
    if ran.code and launchd.print(layout.apply_label) is None:
        launchd.enable(layout.apply_label)
        launchd.bootstrap(layout.apply_label)
        ran = launchd.kickstart(layout.apply_label)
    if ran.code:
        raise Problem(
            f"the apply job {layout.apply_label} does not start ({ran.code})",
            code="apply",
            detail=ran.said,
            hint="run fleet adopt again: it puts the job in place",
        )


def give_up(machine: Machine, run_id: str) -> Problem:
    """Take a run back that never began; what to say about it."""
    printed = Launchd(machine=machine).print(machine.layout.apply_label)
    with lock(machine, run_id, wait=False):
        begun = bool(read_events(machine, run_id))
        if pending_run(machine) == run_id and not begun:
            finished(machine)
    log = machine.disk.tail(machine.layout.state("apply.log"), 4096).decode("utf-8", "replace")
    return Problem(
        "the apply job stopped in the middle of the run" if begun else "the apply job did not begin the run",
        code="apply",
        detail="\n".join(filter(None, [why_down(printed), *log.splitlines()[-20:]])),
        hint="the next deploy lets it finish or go back" if begun else "nothing was changed",
    )
