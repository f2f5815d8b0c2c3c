"""Runs on disk: `harness/RUN/run.json` and `harness/RUN/results.jsonl`, which only grows. A kill leaves at most a part
of a last line, and that is passed over.
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

import msgspec

from fleet.errors import UsageError
from fleet.practice.harness.report import HarnessReport, report_of_run
from fleet.practice.harness.results import Line, RunHead
from fleet.practice.harness.run import Run, head_of, run_of

HEAD_FILE = "run.json"
LINES_FILE = "results.jsonl"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def read_run(folder: Path) -> Run:
    """The run in a folder. Raises UsageError when there is none."""
    head_path = folder / HEAD_FILE
    try:
        head = head_of(head_path.read_bytes(), place=str(head_path))
    except FileNotFoundError:
        raise UsageError(f"{folder}: no harness run", hint="fleet harness run makes one") from None
    except OSError as problem:
        raise UsageError(f"{head_path} cannot be read: {problem.strerror}") from None
    try:
        lines = (folder / LINES_FILE).read_bytes().split(b"\n")
    except FileNotFoundError:
        lines = []
    return run_of(head, (line for line in lines if line))


def report_of(folder: Path) -> HarnessReport:
    """What the run in a folder found. Raises UsageError when there is none."""
    return report_of_run(read_run(folder))


def runs_in(base: Path) -> tuple[str, ...]:
    """The names of all runs in `harness/`, the one begun last first."""
    found = []
    for path in base.glob(f"*/{HEAD_FILE}"):
        try:
            head = head_of(path.read_bytes(), place=str(path))
        except (UsageError, OSError):
            continue
        found.append((head.started_milliseconds, path.parent.name))
    return tuple(name for _, name in sorted(found, reverse=True))


def folder_of(base: Path, name: str) -> Path:
    """Where the run `name` lies. Raises UsageError for what can be no name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a run", hint="letters, digits, `.`, `_` and `-`")
    return base / name


class RunBook:
    """The lines of a run, open for writing by one process. Raises UsageError when another one has it open."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / LINES_FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise UsageError(f"{folder.name} is being run by another process") from None
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":  # a kill cut the last line: end it
            os.write(self._descriptor, b"\n")

    def write(self, line: Line) -> None:
        """Add a line: it is on the disk when this returns."""
        data = msgspec.json.encode(line) + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def begin_run(folder: Path, head: RunHead) -> None:
    """Write the plan of a new run. Raises UsageError when there is one already."""
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / HEAD_FILE, folder / f".{HEAD_FILE}.{os.getpid()}"
    with part.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(head), indent=1) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(part, path)  # never over another plan
    except FileExistsError:
        raise UsageError(f"there is a run {folder.name} already", hint="--resume goes on with it") from None
    finally:
        part.unlink()
