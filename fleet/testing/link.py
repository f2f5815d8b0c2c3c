"""A link without SSH: commands are answered by functions of the test.

session = FakeSession(serve)          serve(command, stdin, stdout) -> exit status, run in a thread
channel = FakeChannel(b"output")      a command that already said everything
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import BinaryIO

from fleet.control.link.deadline import Deadline
from fleet.control.link.protocol import CONNECT_SECONDS, WAIT_SECONDS, Channel, ChannelEnded, Session, Stream, Target
from fleet.errors import HostKeyError, Unreachable

Serve = Callable[[str, BinaryIO, BinaryIO], int]


class FakeChannel:
    """A command whose output is known beforehand; `written` is what it was sent."""

    def __init__(self, output: bytes, *, exit_status: int = 0, stderr: str = "", node: str = "fake") -> None:
        self._output = memoryview(output)
        self._status = exit_status
        self._stderr = stderr
        self._node = node
        self.written = bytearray()
        self.write_closed = False

    def read_some(self, limit: int = 65536, *, within_seconds: float = WAIT_SECONDS) -> bytes:  # noqa: ARG002 (the protocol's name)
        """What is left, up to `limit`."""
        taken, self._output = self._output[:limit], self._output[limit:]
        return bytes(taken)

    def read_exactly(self, count: int, *, within_seconds: float = WAIT_SECONDS) -> bytes:
        """`count` bytes. Raises ChannelEnded."""
        data = self.read_some(count, within_seconds=within_seconds)
        if len(data) < count:
            raise self._ended(data)
        return data

    def read_line(self, *, limit: int = 65536, within_seconds: float = WAIT_SECONDS) -> bytes:
        """A line, or `limit` bytes. Raises ChannelEnded."""
        at = bytes(self._output[:limit]).find(b"\n")
        if at < 0 and len(self._output) < limit:
            raise self._ended(self.read_some(limit))
        return self.read_some(at + 1 if at >= 0 else limit, within_seconds=within_seconds)

    def write(self, data: bytes | bytearray | memoryview, *, within_seconds: float = WAIT_SECONDS) -> None:  # noqa: ARG002 (the protocol's name)
        """Remember it."""
        self.written += data

    def close_write(self) -> None:
        """Remember it."""
        self.write_closed = True

    def wait(self, *, within_seconds: float = WAIT_SECONDS) -> int:  # noqa: ARG002 (the protocol's name)
        """The exit status."""
        return self._status

    @property
    def stderr_tail(self) -> str:
        """What it was made with."""
        return self._stderr

    def close(self) -> None:
        """Nothing to leave."""

    def _ended(self, received: bytes) -> ChannelEnded:
        return ChannelEnded(received, exit_status=self._status, stderr=self._stderr, node=self._node)


class ServedChannel:
    """A command that a function plays, over two pipes and in a thread of its own."""

    def __init__(self, serve: Serve, command: str, *, node: str) -> None:
        stdin_read, stdin_write = os.pipe()
        stdout_read, stdout_write = os.pipe()
        self._stdin = os.fdopen(stdin_write, "wb", buffering=0)
        self._stdout = os.fdopen(stdout_read, "rb")
        self._status: int | None = None
        self._error = ""
        self._node = node

        def play() -> None:
            with os.fdopen(stdin_read, "rb") as stdin, os.fdopen(stdout_write, "wb", buffering=0) as stdout:
                try:
                    self._status = serve(command, stdin, stdout)
                except Exception as error:  # noqa: BLE001 (a broken command ends like a killed one; the test sees why)
                    self._status, self._error = -1, f"{type(error).__name__}: {error}"

        self._thread = threading.Thread(target=play, daemon=True)
        self._thread.start()

    def read_some(self, limit: int = 65536, *, within_seconds: float = WAIT_SECONDS) -> bytes:  # noqa: ARG002 (the protocol's name)
        """Wait for some output."""
        return self._stdout.read1(limit)

    def read_exactly(self, count: int, *, within_seconds: float = WAIT_SECONDS) -> bytes:  # noqa: ARG002 (the protocol's name)
        """`count` bytes. Raises ChannelEnded."""
        data = self._stdout.read(count)
        if len(data) < count:
            raise self._ended(data)
        return data

    def read_line(self, *, limit: int = 65536, within_seconds: float = WAIT_SECONDS) -> bytes:  # noqa: ARG002 (the protocol's name)
        """A line, or `limit` bytes. Raises ChannelEnded."""
        line = self._stdout.readline(limit)
        if not line.endswith(b"\n") and len(line) < limit:
            raise self._ended(line)
        return line

    def write(self, data: bytes | bytearray | memoryview, *, within_seconds: float = WAIT_SECONDS) -> None:  # noqa: ARG002 (the protocol's name)
        """Send it to the function. Raises Unreachable when it ended."""
        view = memoryview(data).cast("B")
        try:
            while view:
                view = view[self._stdin.write(view) :]
        except BrokenPipeError:
            raise Unreachable("the node closed the channel", node=self._node) from None

    def close_write(self) -> None:
        """End the function's stdin."""
        self._stdin.close()

    def wait(self, *, within_seconds: float = WAIT_SECONDS) -> int:
        """What the function returned. Raises Unreachable when it takes too long."""
        deadline = Deadline.after(within_seconds)
        self._thread.join(deadline.left_seconds)
        if self._status is None:
            raise Unreachable(f"the node did not end within {within_seconds:g} s", node=self._node)
        return self._status

    @property
    def stderr_tail(self) -> str:
        """Why the function broke, if it did."""
        return self._error

    def close(self) -> None:
        """Close both pipes."""
        self._stdin.close()
        self._stdout.close()

    def _ended(self, received: bytes) -> ChannelEnded:
        return ChannelEnded(received, exit_status=self.wait(), stderr=self._error, node=self._node)


class FakeSession:
    """A session whose commands are played by `serve`; `commands` remembers them. Ports are this machine's own."""

    def __init__(
        self, serve: Serve | Mapping[str, Channel], *, node: str = "fake", key_fingerprint: str | None = None
    ) -> None:
        self._serve = serve
        self._node = node
        self.key_fingerprint = key_fingerprint
        self.commands: list[str] = []
        self.closed = False

    @property
    def node(self) -> str:
        """Whose it is."""
        return self._node

    def exec(self, command: str, *, within_seconds: float = WAIT_SECONDS) -> Channel:  # noqa: ARG002 (the protocol's name)
        """Start it. A command that a mapping does not hold ends with 127."""
        self.commands.append(command)
        if isinstance(self._serve, Mapping):
            return self._serve.get(command) or FakeChannel(b"", exit_status=127, stderr="not found", node=self._node)
        return ServedChannel(self._serve, command, node=self._node)

    def open_tcp(self, port: int, host: str = "127.0.0.1", *, within_seconds: float = WAIT_SECONDS) -> Stream:
        """A connection from this machine."""
        try:
            return socket.create_connection((host, port), timeout=within_seconds)
        except OSError as error:
            raise Unreachable(f"nothing answers on {host} port {port} of the node ({error})", node=self._node) from None

    def close(self) -> None:
        """Remember it."""
        self.closed = True


class FakeLink:
    """Sessions by node name. A node that is not there is unreachable; a pin that differs is refused."""

    def __init__(self, sessions: Mapping[str, Session], *, host_keys: Mapping[str, str] | None = None) -> None:
        self._sessions = sessions
        self._host_keys = host_keys or {}
        self.connected: list[str] = []

    def connect(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> Session:
        """The node's session."""
        shown = self.host_key(target, deadline_seconds=deadline_seconds)
        if target.node in self._host_keys and target.host_key != shown:
            raise HostKeyError("its SSH key is not the pinned one", node=target.node)
        self.connected.append(target.node)
        return self._sessions[target.node]

    def host_key(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> str:  # noqa: ARG002 (the protocol's name)
        """The key that the node shows."""
        if target.node not in self._sessions:
            raise Unreachable(f"cannot reach {target.address}: no answer in time", node=target.node, phase="connect")
        return self._host_keys.get(target.node, "ssh-ed25519 AAAA")

    def close(self) -> None:
        """Nothing is shared."""
