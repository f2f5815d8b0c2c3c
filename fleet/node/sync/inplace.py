"""A run that the conversation does itself, since launchd has no part in it.

The apply job is there so that a run outlives the laptop, and so that nothing is a child of what it restarts. Where no
daemon is touched, a process that goes on when nobody listens is enough, and this one is loaded already: a second
start of Python costs more than the whole run. Its journal, lock and lease are those of the job. Should it be killed,
it leaves what a killed job leaves, a pending run: the job finishes it or goes back, when a laptop asks or the machine
starts.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass

from fleet.node.sync.apply import apply
from fleet.node.sync.frames import Wire
from fleet.node.sync.machine import Machine
from fleet.node.sync.tail import Tail
from fleet.vocabulary.contracts.desired import Command, DesiredState, Directory, File, Item
from fleet.vocabulary.contracts.sync import Event, Staged, Step

_RECORD = "release"
"""The step of a plan in which only the record changes."""


def needs_no_launchd(todo: Iterable[Step], *, wanted: DesiredState, previous: DesiredState | None) -> bool:
    """Whether the steps are all of folders, files and commands. Pure."""
    items: dict[str, Item] = {item.key: item for state in (previous, wanted) if state for item in state.items}
    return all(step.key == _RECORD or isinstance(items.get(step.key), Directory | File | Command) for step in todo)


def stand_alone() -> None:
    """Let this process go on when its connection ends, with all that began it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # it leads its group already
        os.setsid()


@dataclass(kw_only=True)
class InPlace:
    """Does the pending run, and tells of it whoever listens."""

    machine: Machine
    wire: Wire
    run_id: str
    _heard: int = 0
    _listens: bool = True

    def run(self, staged: Staged) -> None:
        """To its end, whether the laptop stays or goes. Raises what `Tail.follow` does, when all is over."""
        self._listens = self.wire.offer(staged)
        apply(self.machine, told=self._tell)
        if self._listens:  # an apply job that was woken meanwhile may have been first
            Tail(machine=self.machine, wire=self.wire, run_id=self.run_id).follow(self._heard)

    def _tell(self, event: Event) -> None:
        """All but the end, which is the last thing that is said."""
        if self._listens and event.phase != "end":
            self._listens = self.wire.offer(event)
            self._heard = event.seq
