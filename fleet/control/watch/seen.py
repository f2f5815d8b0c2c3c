"""What was last seen of each node, kept in PROJECT/.fleet/seen/NODE.json: status can say so after a restart."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import msgspec

from fleet.control.watch.rows import Seen
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.names import NodeName


class _File(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    snapshot: Snapshot
    schema: int = 1


class SeenFiles:
    """A folder of last sightings. A file that cannot be read is as if it were not there.

    The file of a node is written at most every `every_seconds`; what is newer is known here, and `flush` writes it: a
    thousand files at every look would cost more than all that is looked at.
    """

    def __init__(self, folder: Path, *, every_seconds: float = 0.0) -> None:
        self._folder, self._every = folder, every_seconds
        self._written: dict[NodeName, datetime] = {}
        self._newer: dict[NodeName, Seen] = {}

    def load(self, node: NodeName) -> Seen | None:
        """What was last seen of the node."""
        if node in self._newer:
            return self._newer[node]
        try:
            kept = msgspec.json.decode(self._path(node).read_bytes(), type=_File)
        except (OSError, msgspec.DecodeError):
            return None
        at = kept.at if kept.at.tzinfo else kept.at.replace(tzinfo=UTC)
        return Seen(at=at, snapshot=kept.snapshot)

    def save(self, node: NodeName, seen: Seen) -> None:
        """Keep it."""
        written = self._written.get(node)
        if written is not None and 0 <= (seen.at - written).total_seconds() < self._every:
            self._newer[node] = seen
            return
        self._written[node] = seen.at
        self._newer.pop(node, None)
        self._write(node, seen)

    def flush(self) -> None:
        """Write what is not written yet."""
        for node, seen in self._newer.items():
            self._write(node, seen)
        self._newer.clear()

    def _write(self, node: NodeName, seen: Seen) -> None:
        """By a rename: two fleets at once never leave half a file. A full disk is no reason to fail."""
        data = msgspec.json.encode(_File(at=seen.at, snapshot=seen.snapshot))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".seen-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                Path(name).replace(self._path(node))
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError:
            return

    def _path(self, node: NodeName) -> Path:
        return self._folder / f"{quote(node, safe='')}.json"
