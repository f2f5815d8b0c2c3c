"""The journal of a run: one Event a line, appended and made last before and after everything that is done."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from fleet.node.sync.machine import Machine
from fleet.vocabulary.contracts.codec import ContractError, canonical, decode
from fleet.vocabulary.contracts.sync import Event


def journal_path(machine: Machine, run_id: str) -> str:
    """Where the journal of a run lies."""
    return f"{machine.layout.run(run_id)}/journal.jsonl"


def read_events(machine: Machine, run_id: str) -> tuple[Event, ...]:
    """The whole lines of a journal; a torn last line is not there."""
    events, _ = _parse(machine.disk.read(journal_path(machine, run_id)) or b"")
    return events


class Journal:
    """Writes the journal of one run, going on where an earlier process stopped."""

    def __init__(self, machine: Machine, run_id: str, *, told: Callable[[Event], None] = lambda _: None) -> None:
        """`told` hears of every event that is on the disk."""
        self._machine = machine
        self._told = told
        self._path = journal_path(machine, run_id)
        raw = machine.disk.read(self._path) or b""
        events, whole_bytes = _parse(raw)
        if whole_bytes < len(raw):
            machine.disk.truncate(self._path, whole_bytes)
        self._whole_bytes = whole_bytes
        self.events: list[Event] = list(events)

    def add(
        self, phase: str, status: str, *, key: str = "", text: str = "", detail: str = "", outcome: str | None = None
    ) -> Event:
        """Write one event, numbered from 1; it is on the disk when this returns. Raises OSError."""
        event = Event(
            seq=len(self.events) + 1,
            at_seconds=self._machine.clock.now().timestamp(),
            phase=phase,
            status=status,
            key=key,
            text=text,
            detail=detail,
            outcome=outcome,
        )
        line = canonical(event) + b"\n"
        try:
            self._machine.disk.append(self._path, line)
        except OSError:
            with contextlib.suppress(OSError):  # else the next event would follow half a line, and be lost with it
                self._machine.disk.truncate(self._path, self._whole_bytes)
            raise
        self._whole_bytes += len(line)
        self.events.append(event)
        self._told(event)
        return event

    def has(self, phase: str, status: str | None = None, key: str | None = None) -> bool:
        """Whether such an event was written."""
        return any(
            event.phase == phase and (status is None or event.status == status) and (key is None or event.key == key)
            for event in self.events
        )


def _parse(raw: bytes) -> tuple[tuple[Event, ...], int]:
    """The events, and how many bytes of whole, readable lines they take."""
    events: list[Event] = []
    size = 0
    for line in raw.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            events.append(decode(line, Event))
        except ContractError:
            break
        size += len(line)
    return tuple(events), size
