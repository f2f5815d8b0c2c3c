"""The operator's intent on disk: one small file, replaced whole, so that a restart and a crash keep it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from fleet.node.gateway.intent import Wish, Wishes
from fleet.vocabulary.names import Intent

_LONGEST_BYTES = 1024 * 1024


class _SavedWish(msgspec.Struct, frozen=True, kw_only=True):
    intent: str
    since_seconds: float = 0.0
    by: str = ""


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    sidecars: dict[str, _SavedWish] = {}
    schema: int = 1


class IntentStore:
    """`FOLDER/intent.json`. Without a folder nothing outlives the process. `put` renames the new file to the old."""

    def __init__(self, folder: str | None, *, put: Callable[[Path, Path], object] = Path.replace) -> None:
        self._put = put
        self._path = None if folder is None else Path(folder) / "intent.json"

    @property
    def lasting(self) -> bool:
        """Whether a restart keeps what is saved."""
        return self._path is not None

    def load(self) -> tuple[Wishes, str]:
        """The wishes, and what was odd about the file ("" = nothing). Total: a file that cannot be read is no wish."""
        if self._path is None:
            return {}, ""
        try:
            with self._path.open("rb") as file:
                content = file.read(_LONGEST_BYTES)
        except FileNotFoundError:
            return {}, ""
        except OSError as error:
            return {}, f"{self._path.name} cannot be read ({error.strerror or error}): every sidecar serves"
        try:
            saved = msgspec.json.decode(content, type=_Saved)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return {}, f"{self._path.name} is damaged ({error}): every sidecar serves"
        if saved.schema != 1:
            return {}, f"{self._path.name} is of schema {saved.schema}, which is not known here: every sidecar serves"
        wishes = {
            name: Wish(intent=Intent.DRAINING, since_seconds=one.since_seconds, by=one.by)
            for name, one in saved.sidecars.items()
            if one.intent in (Intent.DRAINING, Intent.DRAINED)
        }
        odd = sorted(name for name, one in saved.sidecars.items() if one.intent not in tuple(Intent))
        return wishes, f"{self._path.name}: nobody knows what is wanted of {', '.join(odd)}: serving" if odd else ""

    def save(self, wishes: Wishes) -> None:
        """Keep them. Until this returns the old file holds. Raises OSError."""
        if self._path is None:
            return
        named = {
            name: _SavedWish(intent=wish.intent.value, since_seconds=wish.since_seconds, by=wish.by)
            for name, wish in wishes.items()
        }
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_name(self._path.name + ".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(_Saved(sidecars=named)))
            file.flush()
            os.fsync(file.fileno())
        self._put(new, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
