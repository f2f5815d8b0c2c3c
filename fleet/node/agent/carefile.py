"""What care remembers, on disk: one small file, replaced whole. It outlives the agent, and a machine that panics."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from fleet.node.agent.carestate import CareState

_MOST_BYTES = 1024 * 1024


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    sidecars: dict[str, CareState] = {}
    schema: int = 1


class CareFile:
    """The file. Reading is total: one that cannot be read is no memory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, CareState]:
        """The states by sidecar."""
        try:
            with self._path.open("rb") as file:
                saved = msgspec.json.decode(file.read(_MOST_BYTES), type=_Saved)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
        return saved.sidecars if saved.schema == 1 else {}

    def save(self, states: Mapping[str, CareState]) -> None:
        """Keep them. Until this returns the old file holds. Raises OSError."""
        new = self._path.with_name(self._path.name + ".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(_Saved(sidecars=dict(states))))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
