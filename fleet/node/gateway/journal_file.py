"""Where log lines go: a file with one older one beside it, or stderr. A full disk never reaches a request."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path
from typing import Protocol

from fleet.errors import ConfigError


class Out(Protocol):
    """Takes whole lines. Never raises."""

    def write(self, lines: Sequence[str]) -> None:
        """Write them all, or lose them."""
        ...


class StderrOut:
    """The process's stderr. One that is closed hears nothing."""

    def write(self, lines: Sequence[str]) -> None:
        """See Out."""
        try:
            sys.stderr.write("".join(lines))
            sys.stderr.flush()
        except (OSError, ValueError):
            pass


class FileOut:
    """A file of at most half of `size_bytes`, then it becomes the older one, `FILE.1`.

    `told` gets a line when writing fails for the first time, and one when it works again. Raises ConfigError when the
    file cannot be opened at the start: that is a mistake of the configuration, not a full disk.
    """

    def __init__(self, path: str, size_bytes: int, *, told: Callable[[Sequence[str]], None]) -> None:
        self._path = Path(path)
        self._longest = max(size_bytes // 2, 1)
        self._told = told
        self._file: FileIO | None = None
        self._size = 0
        self._lost = 0
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise ConfigError(f"cannot write the log {path}: {error.strerror or error}") from error

    def write(self, lines: Sequence[str]) -> None:
        """See Out."""
        try:
            self._write([line.encode("utf-8", "replace") for line in lines])
        except OSError as error:
            if not self._lost:
                self._told(
                    [f"the log {self._path.name} cannot be written: {error.strerror or error}; lines are lost\n"]
                )
            self._lost += len(lines)
            self._drop()
            return
        if self._lost:
            self._told([f"the log {self._path.name} is written again; about {self._lost} lines were lost\n"])
            self._lost = 0

    def close(self) -> None:
        """Close the file. A later line opens it again."""
        self._drop()

    def _write(self, lines: Sequence[bytes]) -> None:
        batch: list[bytes] = []
        room = self._longest - self._open_size()
        for line in lines:
            if len(line) > room and room < self._longest:
                self._append(batch)
                self._turn()
                batch, room = [], self._longest
            batch.append(line)
            room -= len(line)
        self._append(batch)

    def _append(self, batch: list[bytes]) -> None:
        data = b"".join(batch)
        while data and self._file is not None:
            written = self._file.write(data) or 0
            self._size += written
            data = data[written:]

    def _turn(self) -> None:
        """The file becomes the older one."""
        self._drop()
        self._path.replace(self._path.with_name(self._path.name + ".1"))
        self._open()

    def _open_size(self) -> int:
        if self._file is None:
            self._open()
        return self._size

    def _open(self) -> None:
        self._file = FileIO(self._path, "a")
        self._size = self._file.tell() or os.fstat(self._file.fileno()).st_size

    def _drop(self) -> None:
        """Close without a word: what could not be written is lost already."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                pass
