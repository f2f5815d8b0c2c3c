"""One running command over SSH: paramiko's Channel behind our protocol, with a deadline on every wait."""

from __future__ import annotations

import re

import paramiko

from fleet.control.link.deadline import Deadline
from fleet.control.link.intake import Intake, last_words, lost, silent
from fleet.control.link.protocol import WAIT_SECONDS, ChannelEnded
from fleet.errors import Unreachable

_TAIL_BYTES = 8 * 1024
_SLICE_SECONDS = 0.5
_WINDOW_BYTES = (256 * 1024, 2 * 1024 * 1024)
_OPENSSH = re.compile(r"SSH-2\.0-OpenSSH_[0-9.]+(p[0-9]+)?( |$)")
_BYTES_PER_SECOND = 125_000_000


class SshChannel:
    """stdin, stdout, stderr and exit status of one exec. For one thread."""

    def __init__(self, raw: paramiko.Channel, *, node: str, rtt_seconds: float) -> None:
        self._raw = raw
        self._node = node
        self._intake = Intake(more=self._fill, ended=self._ended)
        self._stderr = bytearray()
        # A fresh sshd buffers what its command has not read yet by copying (bench/ssh section 0.6). Other servers
        # may open the window again only when half of it is used up: a cap would stop them for ever.
        self._capped = not _OPENSSH.match(raw.get_transport().remote_version)
        self._window = int(min(max(rtt_seconds * _BYTES_PER_SECOND, _WINDOW_BYTES[0]), _WINDOW_BYTES[1]))

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
        while view:
            self._cap_window()
            self._raw.settimeout(within_seconds)
            try:
                sent = self._raw.send(view)  # type: ignore[arg-type] # bytes-like is enough, and not copied
            except TimeoutError:
                raise self._silent("took nothing of what is sent", within_seconds) from None
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise self._lost(error) from None
            if not sent:
                raise self._lost(None)
            view = view[sent:]

    def close_write(self) -> None:
        """End the command's stdin."""
        try:
            self._raw.shutdown_write()
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._lost(error) from None

    def wait(self, *, within_seconds: float = WAIT_SECONDS) -> int:
        """The exit status; -1 when a signal ended the command. Unread output is kept for later reads."""
        deadline = Deadline.after(within_seconds)
        while not self._raw.exit_status_ready():
            while self._raw.recv_ready():  # or the command would block on a full window
                self._intake.add(self._raw.recv(1 << 20))
            self._drain_stderr()
            if deadline.passed:
                raise self._silent("did not end", within_seconds)
            self._raw.status_event.wait(min(_SLICE_SECONDS, deadline.left_seconds))
        self._drain_stderr()
        status = self._raw.recv_exit_status()
        if status < 0 and not self._alive(settle_seconds=0.3):
            raise self._lost(None)
        return status

    @property
    def stderr_tail(self) -> str:
        """The last 8 KiB of stderr so far."""
        self._drain_stderr()
        return self._stderr.decode("utf-8", "replace")

    def close(self) -> None:
        """Leave the command; its stdin, stdout and stderr end."""
        try:
            self._raw.close()
        except (OSError, EOFError, paramiko.SSHException):
            pass

    def _fill(self, deadline: Deadline, limit: int) -> bool:
        """Wait for more output; False at its end."""
        while True:
            self._raw.settimeout(min(_SLICE_SECONDS, max(0.001, deadline.left_seconds)))
            try:
                data = self._raw.recv(limit)
            except TimeoutError:
                self._drain_stderr()
                if deadline.passed:
                    raise self._silent("said nothing more", None) from None
                continue
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise self._lost(error) from None
            self._drain_stderr()
            if data:
                self._intake.add(data)
                return True
            if not self._raw.eof_received and self._raw.exit_status < 0:
                raise self._lost(None)
            return False

    def _drain_stderr(self) -> None:
        while self._raw.recv_stderr_ready():
            self._stderr += self._raw.recv_stderr(65536)
            del self._stderr[:-_TAIL_BYTES]

    def _cap_window(self) -> None:
        if not self._capped and self._raw.out_window_size > 0:
            with self._raw.lock:
                self._raw.out_window_size = min(self._raw.out_window_size, self._window)
            self._capped = True

    def _alive(self, *, settle_seconds: float) -> bool:
        transport = self._raw.get_transport()
        transport.join(settle_seconds)  # a dying transport closes its channels first
        return transport.is_active()

    def _ended(self, received: bytes) -> ChannelEnded:
        status: int | None = None
        try:
            status = self.wait(within_seconds=2.0)
        except Unreachable:
            if not self._alive(settle_seconds=0.0):
                raise
        return ChannelEnded(received, exit_status=status, stderr=last_words(self.stderr_tail), node=self._node)

    def _silent(self, what: str, seconds: float | None) -> Unreachable:
        return silent(what, seconds, stderr=self.stderr_tail, node=self._node)

    def _lost(self, error: BaseException | None) -> Unreachable:
        connected = self._alive(settle_seconds=0.3)
        return lost(error, connected=connected, stderr=self.stderr_tail, node=self._node)
