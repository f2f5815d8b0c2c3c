"""Transitions on disk: FOLDER/DAY.jsonl, appended only, capped by size and age. For the laptop and for fronts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from fleet.vocabulary.health.state import Transition

KEPT_DAYS = 90
MOST_BYTES = 16 * 1024 * 1024
_LARGEST_FILE_BYTES = 1024 * 1024
_GLOB = "????-??-??*.jsonl"


class EventFiles:
    """A folder of days; a day that grows large goes on in a further part."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, transitions: Sequence[Transition]) -> None:
        """Add them, each to the day when it was known. Raises OSError."""
        for day in sorted({_day(one) for one in transitions}):
            lines = b"".join(msgspec.json.encode(one) + b"\n" for one in transitions if _day(one) == day)
            self._add(day, lines)

    def read(self) -> Iterator[Transition]:
        """All that is kept, the oldest first. A line that was torn, or is of another age, is passed over."""
        for path in self._files():
            try:
                text = path.read_bytes()
            except OSError:
                continue
            for line in text.split(b"\n"):
                try:
                    yield msgspec.json.decode(line, type=Transition)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue

    def prune(self, now: datetime) -> None:
        """Drop whole files, the oldest first, until age and size are within bounds. Raises OSError."""
        oldest = f"{now - timedelta(days=KEPT_DAYS):%Y-%m-%d}"
        files = self._files()
        sizes = {path: path.stat().st_size for path in files}
        for path in files[:-1]:
            if path.name[: len(oldest)] >= oldest and sum(sizes.values()) <= MOST_BYTES:
                break
            path.unlink(missing_ok=True)
            del sizes[path]

    def signature(self) -> tuple[tuple[str, int], ...]:
        """Changes when something was added."""
        found = []
        for path in self._files():
            try:
                found.append((path.name, path.stat().st_size))
            except OSError:
                continue
        return tuple(found)

    def _add(self, day: str, lines: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._part(day), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                lines = b"\n" + lines  # a crash tore the last line: it stays alone with its loss
            while lines:
                lines = lines[os.write(descriptor, lines) :]
        finally:
            os.close(descriptor)

    def _part(self, day: str) -> Path:
        parts = [path for path in self._files() if path.name.startswith(day)]
        if not parts:
            return self._folder / f"{day}.jsonl"
        if parts[-1].stat().st_size < _LARGEST_FILE_BYTES:
            return parts[-1]
        return self._folder / f"{day}.{len(parts):04d}.jsonl"

    def _files(self) -> list[Path]:
        """In the order of time: `DAY.jsonl`, then `DAY.0001.jsonl`, ..."""
        return sorted(self._folder.glob(_GLOB), key=lambda path: path.name.removesuffix(".jsonl"))


def _day(transition: Transition) -> str:
    return f"{datetime.fromtimestamp(transition.at_seconds, UTC):%Y-%m-%d}"
