"""What the front watch must remember over a restart: three small files in the gateway's state folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from fleet.node.gateway.frontwatch.looks import Memory
from fleet.node.gateway.frontwatch.notices import Open
from fleet.node.gateway.frontwatch.outbox import Outbox
from fleet.node.gateway.frontwatch.power import PowerBook

T = TypeVar("T")


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """The faults that were told and last, and what is still to be posted. Written before anything is sent."""

    open_faults: dict[str, Open] = {}
    outbox: Outbox = Outbox()
    schema: int = 1


class WatchStore:
    """`watch-states.json`, `watch-post.json` and `watch-power.json` in a folder; without one nothing is kept.

    A file that is not there, or cannot be read, is as if nothing had been known. Writing raises OSError.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = None if folder is None else Path(folder)

    def memory(self) -> Memory:
        """What was known of all nodes."""
        return self._read("watch-states.json", Memory) or Memory()

    def post(self) -> Post:
        """What was told, and what is to be posted."""
        return self._read("watch-post.json", Post) or Post()

    def power(self) -> PowerBook:
        """When the hook ran."""
        return self._read("watch-power.json", PowerBook) or PowerBook()

    def save_memory(self, memory: Memory) -> None:
        """Written often, and worth little: a power cut may cost the newest."""
        self._write("watch-states.json", memory, lasting=False)

    def save_post(self, post: Post) -> None:
        """On the disk when this returns."""
        self._write("watch-post.json", post, lasting=True)

    def save_power(self, book: PowerBook) -> None:
        """On the disk when this returns."""
        self._write("watch-power.json", book, lasting=True)

    def _read(self, name: str, kind: type[T]) -> T | None:
        if self._folder is None:
            return None
        try:
            return msgspec.json.decode((self._folder / name).read_bytes(), type=kind)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _write(self, name: str, value: object, *, lasting: bool) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._folder / f"{name}.new"
        with new.open("wb") as file:
            file.write(msgspec.json.encode(value))
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        new.replace(self._folder / name)
