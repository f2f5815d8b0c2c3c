"""A command and a port behind ssh's control master, as our protocol has them: with a deadline on every wait."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from pathlib import Path

from fleet.control.link.deadline import Deadline
from fleet.control.link.intake import Intake, last_words, lost, silent
from fleet.control.link.openssh.mux import Opened, alive, exit_status
from fleet.control.link.protocol import WAIT_SECONDS, ChannelEnded
from fleet.errors import Unreachable

_TAIL_BYTES = 8 * 1024
_KEPT_BYTES = 4 * 1024 * 1024
_SETTLE_SECONDS = 0.3
_SETTLE_STEP_SECONDS = 0.02
_ENDED = select.POLLHUP | select.POLLERR | select.POLLNVAL


class MuxChannel:
    """stdin, stdout, stderr and exit status of one command. For one thread. `reason` is what ssh itself said last."""

    def __init__(self, opened: Opened, *, path: Path, node: str, reason: Callable[[], str]) -> None:
        assert opened.stderr is not None
        self._opened = opened
        self._path = path
        self._node = node
        self._reason = reason
        self._intake = Intake(more=self._fill, ended=self._early)
        self._stderr = bytearray()
        self._control = bytearray()
        self._open = {"stdout": opened.stdout, "stderr": opened.stderr, "control": opened.control}
        for one in (opened.stdin, *self._open.values()):
            one.settimeout(0.0)

    def read_some(self, limit: int = 65536, *, within_seconds: float = WAIT_SECONDS) -> bytes:
        """What is there, at least one byte; b"" at the end of output."""
        return self._intake.some(limit, within_seconds=within_seconds)

    def read_exactly(self, count: int, *, within_seconds: float = WAIT_SECONDS) -> bytes:
        """`count` bytes. Raises ChannelEnded."""
        return self._intake.exactly(count, within_seconds=within_seconds)

    def read_line(self, *, limit: int = 65536, within_seconds: float = WAIT_SECONDS) -> bytes:
        """Up to and with the next newline, or `limit` bytes without one. Raises ChannelEnded."""
        return self._intake.line(limit, within_seconds=within_seconds)

    def write(self, data: bytes | bytearray | memoryview, *, within_seconds: float = WAIT_SECONDS) -> None:
        """Send everything to the command's stdin; `within_seconds` bounds the time without progress."""
        view = memoryview(data).cast("B")
        deadline = Deadline.after(within_seconds)
        while view:
            try:
                sent = self._opened.stdin.send(view)
            except BlockingIOError:
                self._poll(deadline, writing=True)
                if deadline.passed:
                    raise silent("took nothing of what is sent", within_seconds, **self._who()) from None
                continue
            except OSError as error:
                raise self._lost(error) from None
            view = view[sent:]
            deadline = Deadline.after(within_seconds)

    def close_write(self) -> None:
        """End the command's stdin."""
        self._opened.stdin.close()

    def wait(self, *, within_seconds: float = WAIT_SECONDS) -> int:
        """The exit status; -1 when a signal ended the command. Unread output is kept for later reads."""
        deadline = Deadline.after(within_seconds)
        while "control" in self._open and exit_status(self._control) is None:
            if deadline.passed:
                raise silent("did not end", within_seconds, **self._who())
            self._poll(deadline)
        status = exit_status(self._control)
        if status is None:
            if not self._connected():
                raise self._lost(None)
            return -1
        while "stderr" in self._open and not deadline.passed:
            self._poll(deadline)
        return status

    @property
    def stderr_tail(self) -> str:
        """The last 8 KiB of stderr so far."""
        if self._opened.stdout.fileno() >= 0:
            self._poll(Deadline.after(0))
        return self._stderr.decode("utf-8", "replace")

    def close(self) -> None:
        """Leave the command; its stdin, stdout and stderr end."""
        self._open.clear()
        self._opened.close()

    def _fill(self, deadline: Deadline, limit: int) -> bool:  # noqa: ARG002 (what is there is taken whole)
        """Wait for more output; False at its end."""
        before = len(self._intake)
        while len(self._intake) == before:
            if "stdout" not in self._open:
                if "control" not in self._open and exit_status(self._control) is None and not self._connected():
                    raise self._lost(None)
                return False
            if deadline.passed:
                raise silent("said nothing more", None, **self._who())
            self._poll(deadline)
        return True

    def _poll(self, deadline: Deadline, *, writing: bool = False) -> None:
        """Wait for anything, and take what is there of everything."""
        poll = select.poll()
        names: dict[int, str] = {}
        for name, one in self._open.items():
            if name != "stdout" or len(self._intake) < _KEPT_BYTES:
                names[one.fileno()] = name
                poll.register(one.fileno(), select.POLLIN)
        if writing:
            poll.register(self._opened.stdin.fileno(), select.POLLOUT)
        for handle, _ in poll.poll(deadline.left_seconds * 1000):
            if handle in names:
                self._read(names[handle])

    def _read(self, name: str) -> None:
        try:
            data = self._open[name].recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            del self._open[name]
        elif name == "stdout":
            self._intake.add(data)
        elif name == "stderr":
            self._stderr += data
            del self._stderr[:-_TAIL_BYTES]
        else:
            self._control += data

    def _connected(self) -> bool:
        """Whether the master lives. One that lost its node closes its channels first."""
        settled = Deadline.after(_SETTLE_SECONDS)
        while alive(self._path):
            if settled.passed:
                return True
            time.sleep(_SETTLE_STEP_SECONDS)
        return False

    def _early(self, received: bytes) -> ChannelEnded:
        status: int | None = None
        try:
            status = self.wait(within_seconds=2.0)
        except Unreachable:
            if not alive(self._path):
                raise
        return ChannelEnded(received, exit_status=status, stderr=last_words(self.stderr_tail), node=self._node)

    def _lost(self, error: OSError | None) -> Unreachable:
        connected = self._connected()
        cause = (error.strerror if error is not None else None) if connected else self._reason() or None
        return lost(cause, connected=connected, **self._who())

    def _who(self) -> dict[str, str]:
        return {"stderr": self.stderr_tail, "node": self._node}


class MuxStream:
    """A connection to a port as the node sees it. TimeoutError and OSError as a socket's."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def settimeout(self, seconds: float | None, /) -> None:
        """Bound the next reads and writes; TimeoutError when it passes."""
        self._opened.stdin.settimeout(seconds)
        self._opened.stdout.settimeout(seconds)

    def recv(self, limit: int, /) -> bytes:
        """Some bytes; none at the end."""
        return self._opened.stdout.recv(limit)

    def sendall(self, data: bytes, /) -> None:
        """Send everything."""
        self._opened.stdin.sendall(data)

    def close(self) -> None:
        """Give the port back."""
        self._opened.close()
