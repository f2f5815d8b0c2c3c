"""One ssh process and all that it starts: its stderr with deadlines, and its end, whoever dies first.

A small sh keeps it: when the laptop's process is killed, its pipe closes, and the sh ends ssh, its proxies and the
folder with the control socket.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from fleet.control.link.deadline import Deadline

_KEEPER = """\
trap : HUP INT TERM
folder=$1
shift
"$@" </dev/null &
exec 2>/dev/null
read -r word
kill -TERM 0
rm -rf "$folder"
sleep 1
kill -KILL 0
"""
_END_SECONDS = 1.0
_MOST_PATH_BYTES = 80
"""A socket's path may have 103 bytes on macOS, and ssh adds 17 to it while it makes one."""


def private_folder() -> Path:
    """A folder that only we may enter, with a path short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="fleet-ssh-"))
    if len(os.fsencode(folder)) <= _MOST_PATH_BYTES:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="fleet-ssh-", dir="/tmp"))


class Kept:
    """An ssh process in a process group of its own. For one thread."""

    def __init__(self, argv: Sequence[str], *, folder: Path) -> None:
        """Start it. Raises OSError."""
        self._folder = folder
        self._rest = b""
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "fleet-ssh", str(folder), *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stderr is not None
        self._stderr = self._process.stderr.fileno()
        os.set_blocking(self._stderr, False)
        self.ended = False

    def lines(self, deadline: Deadline) -> Iterator[str]:
        """What is said on stderr, line by line, until its end (then `ended`) or the deadline."""
        poll = select.poll()
        poll.register(self._stderr, select.POLLIN)
        while True:
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                yield line.decode("utf-8", "replace")
            if self.ended:
                line, self._rest = self._rest, b""
                if line:
                    yield line.decode("utf-8", "replace")
                return
            if not poll.poll(deadline.left_seconds * 1000) and deadline.passed:
                return
            try:
                data = os.read(self._stderr, 65536)
            except BlockingIOError:
                continue
            self.ended = not data
            self._rest += data

    def close(self) -> None:
        """End it, with its process group, and take the folder away. Safe to call twice."""
        if self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        with suppress(OSError):
            self._process.stdin.close()  # the keeper ends ssh gently
        for _ in self.lines(Deadline.after(_END_SECONDS)):
            pass
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stderr.close()
        shutil.rmtree(self._folder, ignore_errors=True)
