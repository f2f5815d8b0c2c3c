"""The laptop's audit: PROJECT/.fleet/audit.jsonl, one chained line for every node that a command changed or tried to.

The same lines as a node's own (vocabulary/contracts/audit.py). Several commands may run at once: each line is written
under a lock. A file that grew too long is put aside by the number of its first line; the chain goes on.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.control.rollout.nodejob import NodeResult
from fleet.control.rollout.plan import NodePlan
from fleet.vocabulary.contracts.audit import AuditLine, chained, last_line, parse_audit
from fleet.vocabulary.contracts.codec import canonical, digest_of
from fleet.vocabulary.contracts.events import Outcome
from fleet.vocabulary.contracts.sync import Commit

_FILE_BYTES = 4 << 20
_OUTCOMES = {Outcome.CHANGED: "committed"}
_NOTHING_LIVE = "-"


def run_line(commit: Commit, plan: NodePlan, result: NodeResult, *, at_seconds: float, seconds: float) -> AuditLine:
    """What a run did to one node, as this laptop saw it. Pure."""
    before = None if plan.current == _NOTHING_LIVE else plan.current
    return AuditLine(
        seq=0,
        at_seconds=at_seconds,
        action=commit.action,
        outcome=_OUTCOMES.get(result.outcome, result.outcome.value),
        node=result.name,
        run_id=commit.run_id,
        operator=commit.operator,
        key_fingerprint=commit.key_fingerprint,
        plan=digest_of(tuple(change.step for change in plan.changes)),
        before=before,
        after=plan.state_id if result.outcome is Outcome.CHANGED else before,
        git_commit=commit.git_commit,
        git_dirty=commit.git_dirty,
        fleet_version=commit.fleet_version,
        seconds=round(seconds, 3),
        text=result.error.title if result.error else "",
    )


class AuditFile:
    """Writes and reads one project's audit. Safe for many threads and processes. Built without I/O."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def add(self, line: AuditLine) -> None:
        """Write one line, numbered and chained; it is on the disk when this returns. Raises OSError."""
        with self._alone():
            raw = self._path.read_bytes() if self._path.exists() else b""
            last = last_line(raw) or self._last_aside()
            linked = chained(line, last)
            whole = raw.rfind(b"\n") + 1
            if whole >= _FILE_BYTES:
                lines, _ = parse_audit(raw)
                self._path.rename(self._aside(lines[0].seq if lines else 0))
                whole = 0
            elif whole < len(raw):
                os.truncate(self._path, whole)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(canonical(linked) + b"\n")
                file.flush()
                os.fsync(file.fileno())

    def read(self) -> tuple[tuple[AuditLine, ...], str | None]:
        """Every line, oldest first, and where the chain does not hold."""
        files = [*self._asides(), *([self._path] if self._path.exists() else [])]
        return parse_audit(b"".join(file.read_bytes() for file in files))

    def _last_aside(self) -> AuditLine | None:
        asides = self._asides()
        return last_line(asides[-1].read_bytes()) if asides else None

    def _asides(self) -> list[Path]:
        return sorted(self._path.parent.glob(f"{self._path.stem}-[0-9]*{self._path.suffix}"))

    def _aside(self, first: int) -> Path:
        return self._path.with_name(f"{self._path.stem}-{first:012d}{self._path.suffix}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._path.with_name(f"{self._path.name}.lock"), flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)
