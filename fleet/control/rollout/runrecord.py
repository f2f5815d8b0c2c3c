"""What a laptop remembers of a run: enough to show it, to retry what failed, and to go on with it. No secrets.

PROJECT/.fleet/runs/RUN_ID.json, written anew at every step and renamed into place; RUN_ID.jsonl beside it holds the
run's events. A run is live as long as its process holds the lock of that file.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from fleet.control.rollout.journal import now_path
from fleet.control.rollout.moves import GOOD
from fleet.control.rollout.walk import Walk
from fleet.errors import UsageError
from fleet.vocabulary.contracts.events import Outcome
from fleet.vocabulary.names import NodeName, RunId

_SUFFIX = ".json"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run and where it stands. `began_at` and `ended_at` are ISO 8601 in UTC; a run without end can be resumed.

    `states` are the state ids that it brings, `before` those that were live. `sets` are the names of `--set`
    variables: their values are not kept. `action` is the command: deploy, rollback. `why` says in a few words why a
    node ended badly.
    """

    run_id: RunId
    began_at: str
    operator: str
    playbook: str
    fleet_version: str
    walk: Walk
    action: str = "deploy"
    states: Mapping[NodeName, str] = field(default_factory=dict)
    before: Mapping[NodeName, str] = field(default_factory=dict)
    outcomes: Mapping[NodeName, Outcome] = field(default_factory=dict)
    why: Mapping[NodeName, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    ended_at: str | None = None
    schema: int = 1

    @property
    def to_retry(self) -> tuple[NodeName, ...]:
        """The nodes that are not as they should be: failed, reverted, unreachable, skipped, or never come to."""
        nodes = [*self.states, *(node for node in self.outcomes if node not in self.states)]
        return tuple(node for node in nodes if self.outcomes.get(node) not in GOOD)


class RunStore:
    """The records of a project. Reading is total: a record that cannot be read is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def journal(self, run_id: RunId) -> Path:
        """Where the run's events are."""
        return self._folder / f"{run_id}.jsonl"

    def save(self, record: RunRecord) -> None:
        """Write it whole, or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{record.run_id}{_SUFFIX}"
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.encode(record))
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def prune(self, *, keep: int) -> None:
        """Keep the files of the newest runs, and of plans beside them, and remove older ones."""
        names = sorted({path.name.partition(".")[0] for path in self._folder.glob("[!.]*.json*")}, reverse=True)
        for name in names[keep:]:
            journal = self.journal(RunId(name))
            for path in (self._folder / f"{name}{_SUFFIX}", journal, now_path(journal)):
                path.unlink(missing_ok=True)

    def all(self) -> tuple[RunRecord, ...]:
        """Every run that can be read, the last one first."""
        paths = sorted(self._folder.glob(f"[!.]*{_SUFFIX}"), reverse=True)
        return tuple(record for path in paths if (record := _read(path)))

    def stamps(self) -> tuple[tuple[RunId, object], ...]:
        """The name of every run, the last one first, and what changes when its record does."""
        found: list[tuple[RunId, object]] = []
        for path in sorted(self._folder.glob(f"[!.]*{_SUFFIX}"), reverse=True):
            with suppress(FileNotFoundError):
                stat = path.stat()
                found.append((RunId(path.name.removesuffix(_SUFFIX)), (stat.st_mtime_ns, stat.st_size, stat.st_ino)))
        return tuple(found)

    def read(self, run_id: RunId) -> RunRecord | None:
        """One run; None when it cannot be read."""
        return _read(self._folder / f"{run_id}{_SUFFIX}")

    def last(self) -> RunRecord:
        """The last run. Raises UsageError."""
        for path in sorted(self._folder.glob(f"[!.]*{_SUFFIX}"), reverse=True):
            if record := _read(path):
                return record
        raise UsageError("no run is recorded here", hint="fleet deploy makes one; records lie in .fleet/runs")

    def one(self, wanted: str) -> RunRecord:
        """The run of that id, of the one id that begins so, or `last`. Raises UsageError."""
        if wanted == "last":
            return self.last()
        names = [path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"[!.]*{_SUFFIX}")]
        found = [name for name in names if name == wanted] or [name for name in names if name.startswith(wanted)]
        hint = (
            "fleet runs lists those that this laptop began; one of another laptop is followed and resumed there\n"
            "fleet logs NODE apply -f shows what any run does on a node, fleet audit NODE whose it was"
        )
        if len(found) > 1:
            raise UsageError(f"{wanted!r} may be {', '.join(sorted(found))}", hint=hint)
        record = _read(self._folder / f"{found[0]}{_SUFFIX}") if found else None
        if record is None:
            raise UsageError(f"no run {wanted!r} is recorded here", hint=hint)
        return record

    def is_live(self, run_id: RunId) -> bool:
        """Whether a process of this machine still drives the run."""
        try:
            with self.journal(run_id).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def _read(path: Path) -> RunRecord | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunRecord)
    except (OSError, msgspec.DecodeError):
        return None
