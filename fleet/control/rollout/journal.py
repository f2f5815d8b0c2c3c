"""The event stream of one run: numbered, kept in PROJECT/.fleet/runs/RUN_ID.jsonl, handed to whoever shows it.

Progress is not kept: while the run is live RUN_ID.now beside it has the newest of every node, for whoever follows.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.events import Outcome, Phase, RunEvent
from fleet.vocabulary.names import NodeName, RunId

Show = Callable[[RunEvent], None]
_NOW_EVERY_SECONDS = 1.0


def new_run_id(now: datetime) -> RunId:
    """A run's name: when it began (UTC) and four random bytes, so that names sort by time."""
    return RunId(f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}")


def events_of(raw: bytes) -> tuple[RunEvent, ...]:
    """The events of a journal's text; a line that cannot be read, or was torn, is left out."""
    found: list[RunEvent] = []
    for line in raw.split(b"\n")[:-1]:
        with contextlib.suppress(msgspec.DecodeError):
            found.append(msgspec.json.decode(line, type=RunEvent))
    return tuple(found)


def now_path(journal: Path) -> Path:
    """Where the newest progress of a live run is."""
    return journal.with_suffix(".now")


def last_seq(path: Path) -> int:
    """The number of the last event of a journal; 0 when there is none."""
    try:
        events = events_of(path.read_bytes())
    except FileNotFoundError:
        return 0
    return events[-1].seq if events else 0


class Journal:
    """Where a run says what happens. Safe for one thread per node; events keep one order for file and screen.

    While it is open its file is locked, so that others see that the run is live. A run that is taken up again goes on
    in the same file.
    """

    def __init__(self, run_id: RunId, *, clock: Clock, show: Show, path: Path | None = None) -> None:
        self.run_id = run_id
        self._clock = clock
        self._show = show
        self._lock = threading.Lock()
        self._seq = 0
        self._file: IO[bytes] | None = None
        self._now = None if path is None else now_path(path)
        self._far: dict[str, RunEvent] = {}
        self._told_far = float("-inf")
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._seq = last_seq(path)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._file = os.fdopen(os.open(path, flags, 0o600), "ab")  # it holds last words of services' logs
            with contextlib.suppress(OSError):  # a filesystem without locks: then a run only looks left
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def say(
        self,
        phase: Phase,
        status: str,
        text: str = "",
        *,
        node: NodeName | str = "",
        detail: str = "",
        hint: str = "",
        done: int = 0,
        total: int = 0,
        outcome: Outcome | None = None,
    ) -> None:
        """Record one event. Progress is shown, not kept."""
        with self._lock:
            now = self._clock.now()
            self._seq += 1
            event = RunEvent(
                run_id=self.run_id,
                seq=self._seq,
                at=now.isoformat(timespec="milliseconds"),
                phase=phase,
                status=status,
                node=node,
                text=text,
                detail=detail,
                hint=hint,
                bytes_done=done,
                bytes_total=total,
                outcome=outcome,
            )
            if self._file and status != "progress":
                self._file.write(msgspec.json.encode(event) + b"\n")
                self._file.flush()
            self._keep_up(event, now.timestamp())
            self._show(event)

    def show_with(self, show: Show) -> None:
        """From here on another view shows the events."""
        with self._lock:
            self._show = show

    def close(self) -> None:
        """The run is over: what was recorded is on the disk."""
        with self._lock:
            if self._file:
                os.fsync(self._file.fileno())
                self._file.close()
                self._file = None
            if self._now:
                self._now.unlink(missing_ok=True)

    def _keep_up(self, event: RunEvent, now: float) -> None:
        """The newest progress of all nodes, written anew once a second. It is for eyes: no error of the disk counts."""
        if event.status != "progress":
            self._far.pop(event.node, None)
            return
        self._far[event.node] = event
        if self._file is None or self._now is None or now - self._told_far < _NOW_EVERY_SECONDS:
            return
        self._told_far = now
        part = self._now.with_name(f".{self._now.name}")
        with contextlib.suppress(OSError):
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.writelines(msgspec.json.encode(one) + b"\n" for one in self._far.values())
            part.replace(self._now)
