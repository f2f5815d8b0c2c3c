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
    """A folder of last sightings. A file that cannot be read is as if it were not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, node: NodeName) -> Seen | None:
        """What was last seen of the node."""
        try:
            kept = msgspec.json.decode(self._path(node).read_bytes(), type=_File)
        except (OSError, msgspec.DecodeError):
            return None
        at = kept.at if kept.at.tzinfo else kept.at.replace(tzinfo=UTC)
        return Seen(at=at, snapshot=kept.snapshot)

    def save(self, node: NodeName, seen: Seen) -> None:
        """Keep it, by a rename: two fleets at once never leave half a file. A full disk is no reason to fail."""
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
