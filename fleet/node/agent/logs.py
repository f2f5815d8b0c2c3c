"""Bounds the logs that launchd holds open for a process. Copy, then cut to nothing: a rename would change no writer.

launchd opens a job's log once, with O_APPEND (FACTS section 1.7): after the cut the process goes on at the beginning
of the same file, and there is no signal that a third party's server would have to know. What is lost: lines written
between the last look and the cut (microseconds), what a writer puts out beyond twice the limit between two looks,
and everything when the disk is too full for a copy.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Sequence

_BLOCK_BYTES = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_ROUNDS = 16
"""A writer that is faster than the copy does not keep the agent for ever."""


class Logs:
    """Looks after the logs of one node. `LOG.1` is the newest that was put aside, `LOG.FILES` the oldest."""

    def __init__(self, paths: Sequence[str], *, limit_bytes: int, files: int) -> None:
        self._paths = tuple(paths)
        self._limit_bytes = limit_bytes
        self._files = files

    def bound(self) -> int:
        """Put aside every log that has reached the limit; how many. Raises OSError for the first that cannot be.

        One that fails does not keep the others from being bounded. A log that is not there is no problem.
        """
        done, failed = 0, ""
        for path in self._paths:
            try:
                if os.lstat(path).st_size < self._limit_bytes:
                    continue
                self._put_aside(path)
                done += 1
            except FileNotFoundError:
                continue
            except OSError as error:
                failed = failed or f"{path}: {error.strerror or error}"
        if failed:
            raise OSError(failed)
        return done

    def _put_aside(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1:
                raise OSError("not a plain file with one name: left alone")
            self._make_room(path)
            try:
                self._copy(descriptor, path, info)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                _forget(f"{path}.new")  # a lost log is better than a full disk
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def _make_room(self, path: str) -> None:
        """The oldest goes before anything is written."""
        for number in range(self._files, 100):
            if not _forget(f"{path}.{number}"):
                break

    def _copy(self, source: int, path: str, info: os.stat_result) -> None:
        """The latest of `source` becomes `PATH.1`, up to the moment before the cut.

        Killed anywhere in here, the log is whole, and at worst some lines are there twice.
        """
        aside = f"{path}.new"
        _forget(aside)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        copy = os.open(aside, flags, stat.S_IMODE(info.st_mode))
        try:
            at = max(0, info.st_size - 2 * self._limit_bytes)
            at = _pour(source, copy, at)
            for number in range(self._files - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{path}.{number}", f"{path}.{number + 1}")  # noqa: PTH105 (no Path in the agent's loop)
            os.replace(aside, f"{path}.1")  # noqa: PTH105 (as above)
            for _ in range(_ROUNDS):
                before, at = at, _pour(source, copy, at)
                if at == before:
                    break
        finally:
            os.close(copy)


def _pour(source: int, target: int, at: int) -> int:
    """Append what `source` has from `at` on; where that ended. At most what was there at the beginning."""
    end = os.fstat(source).st_size
    while at < end:
        block = os.pread(source, min(_BLOCK_BYTES, end - at), at)
        if not block:
            break
        view = memoryview(block)
        while view:
            view = view[os.write(target, view) :]
        at += len(block)
    return at


def _forget(path: str) -> bool:
    """Remove a file; whether it was there."""
    try:
        os.unlink(path)  # noqa: PTH108 (no Path in the agent's loop)
    except FileNotFoundError:
        return False
    return True
