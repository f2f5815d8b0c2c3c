"""A program in a terminal of its own, which this module plays: keys go in, what comes out is read, sized and timed."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bench import cost
from bench.top.vt import Vt

COLUMNS, LINES = 160, 45
_LONGEST_SECONDS = 5.0
_QUIET_SECONDS = 0.25

Shows = Callable[[Vt], bool]
"""Whether the screen shows what is awaited."""


class Ended(RuntimeError):
    """The program ended by itself; its last words are in the message."""


class Terminal:
    """A program in a terminal. It is read only inside of the calls here. Raises Ended."""

    def __init__(
        self, argv: Sequence[str], *, folder: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.screen = Vt(COLUMNS, LINES)
        self.written = 0
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:  # what goes wrong here is read as the program's last words
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8", **(environment or {}))
            os.environ.pop("NO_COLOR", None)
            if folder is not None:
                os.chdir(folder)
            os.execvp(argv[0], list(argv))
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.resize(COLUMNS, LINES)

    def resize(self, columns: int, lines: int) -> None:
        """Another size of the terminal."""
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(columns, lines)

    def read(self, seconds: float, *, until: Shows | None = None) -> float | None:
        """Read for so long, or until the screen shows it; the time when what showed it was there to be read."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if not select.select([self._descriptor], [], [], left)[0]:
                continue
            try:
                data = os.read(self._descriptor, 1 << 16)
            except OSError:
                raise Ended(f"the program ended by itself; its screen was:\n{self.screen.text}") from None
            now = time.monotonic()
            self.written += len(data)
            self.screen.feed(self._decoder.decode(data))
            if until is not None and until(self.screen):
                return now
        return None

    def settle(self) -> None:
        """Read until nothing has come for a moment."""
        before = -1
        while before != self.written:
            before = self.written
            self.read(_QUIET_SECONDS)

    def press(self, keys: bytes, *, until: Shows, within_seconds: float = _LONGEST_SECONDS) -> float | None:
        """Press a key; milliseconds until the screen shows it, None when it never does."""
        began = time.monotonic()
        self.type(keys)
        seen = self.read(within_seconds, until=until)
        return None if seen is None else 1000.0 * (seen - began)

    def type(self, keys: bytes) -> None:
        """Press keys, and wait for nothing."""
        os.write(self._descriptor, keys)

    def cpu_seconds(self) -> float:
        """Processor time of the program, of threads that have ended, too."""
        return cost.cpu_seconds([self.pid])

    def most_mb(self) -> float:
        """The most resident memory that it ever had, MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def close(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._descriptor)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
