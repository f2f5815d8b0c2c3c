"""`fleet top` with a counter of its objects: `python -m bench.top.inside FILE SECONDS WORD...`.

Every so many seconds a line is added to the file: how many objects the collector knows once it has collected, and of
which types the most are. The threads, descriptors and memory are counted from outside.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec

_TYPES = 40


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """One count. `types` has the most frequent ones only."""

    at_seconds: float
    objects: int
    types: dict[str, int]


def take() -> Census:
    """Count now."""
    gc.collect()
    found = Counter(type(one).__qualname__ for one in gc.get_objects())
    return Census(at_seconds=time.time(), objects=found.total(), types=dict(found.most_common(_TYPES)))


def counting(file: Path, every_seconds: float) -> None:
    """Count from now on, until the end of the process."""
    while True:
        time.sleep(every_seconds)
        with file.open("ab") as lines:
            lines.write(msgspec.json.encode(take()) + b"\n")


def read(file: Path) -> list[Census]:
    """All that was counted."""
    return [msgspec.json.decode(line, type=Census) for line in file.read_bytes().splitlines()] if file.exists() else []


def grown(counted: list[Census], *, after: float) -> dict[str, int]:
    """Types of which there are more in the last count than in the one after that part of the run."""
    if len(counted) < 2:
        return {}
    early, late = counted[int(after * len(counted))].types, counted[-1].types
    more = {name: count - early.get(name, count) for name, count in late.items()}
    return {name: count for name, count in more.items() if count > 0}


def main() -> None:
    """Count beside the command."""
    from fleet.cli.start import main as fleet

    file, seconds = Path(sys.argv[1]), float(sys.argv[2])
    threading.Thread(target=counting, args=(file, seconds), daemon=True, name="census").start()
    sys.argv = ["fleet", *sys.argv[3:]]
    fleet()


if __name__ == "__main__":
    main()
