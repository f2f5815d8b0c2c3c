"""What ssh's own clients say to a control master over its socket (PROTOCOL.mux, version 4). Standard library only.

Spoken here directly, a command or a port costs no process, and the master says why it was refused. Descriptors are
lent to the master: it reads and writes them itself.
"""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fleet.control.link.deadline import Deadline

_VERSION = 4
_HELLO = 0x00000001
_NEW_SESSION = 0x10000002
_NEW_FORWARD = 0x10000008
_DENIED = 0x80000002
_FAILURE = 0x80000003
_EXIT = 0x80000004
_OPENED = 0x80000006
_NO_ESCAPE = 0xFFFFFFFF
_REQUEST = 1
_MOST_BYTES = 256 * 1024
_BUFFER_BYTES = 256 * 1024
"""macOS gives a socket pair 8 KiB."""


class Refused(Exception):
    """The master, or the node behind it, did not open what was asked for. Says why."""


@dataclass(frozen=True)
class Opened:
    """Our ends of what the master serves. `control` says how a command ended, and is kept open as long as it runs."""

    control: socket.socket
    stdin: socket.socket
    stdout: socket.socket
    stderr: socket.socket | None = None

    def close(self) -> None:
        """Leave it: the master ends the channel."""
        for one in (self.stdin, self.stdout, self.stderr, self.control):
            if one is not None:
                one.close()


def open_session(path: Path, command: str, *, deadline: Deadline) -> Opened:
    """Start a command. Raises Refused, OSError (the master is gone), TimeoutError."""
    body = _pack(_NEW_SESSION, _REQUEST, b"", 0, 0, 0, 0, _NO_ESCAPE, b"", command.encode())
    return _open(path, body, streams=3, deadline=deadline)


def open_forward(path: Path, host: str, port: int, *, deadline: Deadline) -> Opened:
    """A connection from the node to a port. Errors as `open_session`."""
    return _open(path, _pack(_NEW_FORWARD, _REQUEST, b"", host.encode(), port), streams=2, deadline=deadline)


def alive(path: Path) -> bool:
    """Whether a master answers there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def exit_status(control: bytes | bytearray) -> int | None:
    """The exit status in what came over `control` so far; None when it is not told."""
    while len(control) >= 4:
        (size,) = struct.unpack(">I", control[:4])
        message, control = control[4 : 4 + size], control[4 + size :]
        if len(message) >= 12 and struct.unpack(">I", message[:4])[0] == _EXIT:
            return int(struct.unpack(">I", message[8:12])[0])
    return None


def _open(path: Path, body: bytes, *, streams: int, deadline: Deadline) -> Opened:
    with ExitStack() as undo:
        control = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        control.settimeout(max(0.05, deadline.left_seconds))
        control.connect(str(path))
        control.sendall(_framed(_pack(_HELLO, _VERSION)))
        kind, rest = _message(control, deadline)
        if kind != _HELLO or rest[:4] != struct.pack(">I", _VERSION):
            raise Refused("the control master speaks another protocol")
        control.sendall(_framed(body))
        ours = []
        with ExitStack() as lending:  # kept until they have arrived: macOS minds when one in flight is closed
            for _ in range(streams):
                mine, lent = map(undo.enter_context, socket.socketpair())
                lending.callback(lent.close)
                for end in (mine, lent):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
                socket.send_fds(control, [b"\0"], [lent.fileno()])
                ours.append(mine)
            kind, rest = _message(control, deadline)
        if kind != _OPENED:
            raise Refused(_reason(rest) if kind in (_DENIED, _FAILURE) else f"message {kind:#x}")
        undo.pop_all()
        return Opened(control, *ours)


def _message(control: socket.socket, deadline: Deadline) -> tuple[int, bytes]:
    (size,) = struct.unpack(">I", _exactly(control, 4, deadline))
    if not 4 <= size <= _MOST_BYTES:
        raise Refused("the control master speaks another protocol")
    body = _exactly(control, size, deadline)
    return struct.unpack(">I", body[:4])[0], body[4:]


def _exactly(control: socket.socket, count: int, deadline: Deadline) -> bytes:
    data = b""
    while len(data) < count:
        control.settimeout(max(0.001, deadline.left_seconds))
        part = control.recv(count - len(data))
        if not part:
            raise ConnectionError("the control master hung up")
        data += part
    return data


def _reason(rest: bytes) -> str:
    return rest[8:].decode("utf-8", "replace") or "no reason given"


def _pack(*parts: int | bytes) -> bytes:
    return b"".join(
        struct.pack(">I", part) if isinstance(part, int) else struct.pack(">I", len(part)) + part for part in parts
    )


def _framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body
