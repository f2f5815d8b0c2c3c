"""Everything that desired states are made from, by the stats of its files. Standard library only, imports little.

A file counts by path, modification and change times, size and inode, as git's index does. One that changed just now
may change again within the same tick of the clock: `settled` says whether that is past.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_FOLDERS = ("inventory", "playbooks", "templates", "locks", "models", "archives", "_data", "keys.json")
_SKIPPED = frozenset({"__pycache__", "runs", "cache"})
_DEEPEST = 16
_TICK_NS = 50_000_000
_WHOLE_SECONDS_NS = 2_000_000_000  # a filesystem that keeps no parts of a second


@dataclass(frozen=True)
class Inputs:
    """What the files were at one moment: their digest, and whether none of them had changed just then."""

    digest: str
    settled: bool


def inputs_of(project: Path, inventory: Path, *, package: Path, home: Path, more: Iterable[Path] = ()) -> Inputs:
    """The project's files and the shipped ones, the facts of nodes, fleet's own modules, ssh_config, and `more`."""
    now = time.time_ns()
    roots = [project / name for name in _FOLDERS]
    roots += [package, *(package.parent / name for name in _FOLDERS), project / ".fleet/facts"]
    roots += [home / ".ssh/config", home / ".ssh/config.d", Path("/etc/ssh/ssh_config"), Path("/etc/ssh/ssh_config.d")]
    lines = [sys.version, sys.executable]
    newest = 0
    for path in dict.fromkeys(map(str, (*roots, inventory, *more))):
        for line, at in _stats(path):
            lines.append(line)
            newest = max(newest, at)
    patience = _TICK_NS if newest % 1_000_000_000 else _WHOLE_SECONDS_NS
    return Inputs(
        hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest(), newest + patience < now
    )


def _stats(path: str, depth: int = 0) -> Iterator[tuple[str, int]]:
    """A line for a file, or for each below a folder. What is not there has a line, too: it may come."""
    if depth > _DEEPEST:  # a link that leads back up
        return
    try:
        status = os.stat(path)  # noqa: PTH116 (of hundreds of files: Path costs more than the call)
        names = sorted(os.listdir(path)) if os.path.isdir(path) else None  # noqa: PTH112,PTH208 (as above)
    except OSError:
        yield f"{path} -", 0
        return
    if names is None:
        newest = max(status.st_mtime_ns, status.st_ctime_ns)
        yield f"{path} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_size} {status.st_ino}", newest
        return
    for name in names:
        if name not in _SKIPPED and not name.endswith(".pyc"):
            yield from _stats(f"{path}/{name}", depth + 1)
