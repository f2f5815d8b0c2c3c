"""What a link is: connect to a node, run one command on a channel, reach a loopback port. No SSH library here.

Every wait has a deadline. `within_seconds` of a read bounds the whole call, that of a write the time without progress.
Errors: Unreachable when the connection is lost or silent, HostKeyError and AuthError from `connect`, ChannelEnded
when the command ended before it said what was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fleet.errors import ProtocolError

if TYPE_CHECKING:
    from fleet.control.inventory.settings import NodeSettings  # it brings YAML along

CONNECT_SECONDS = 15.0
WAIT_SECONDS = 60.0


class ChannelEnded(ProtocolError):
    """The command's output ended too early. `received` is what came of what was asked for."""

    def __init__(self, received: bytes, *, exit_status: int | None, stderr: str, node: str | None) -> None:
        how = "its output ended" if exit_status is None else f"it ended with exit status {exit_status}"
        super().__init__(f"{how} before the answer was complete", detail=stderr, node=node)
        self.received = received
        self.exit_status = exit_status
        self.stderr = stderr


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a node's sshd is and how to prove both sides. None = as ssh_config says, else the usual default.

    `host_key` is the pin, `ssh-ed25519 AAAA...`. `jump` is a ProxyJump list that replaces ssh_config's.
    """

    node: str
    address: str
    port: int | None = None
    user: str | None = None
    key_file: str | None = None
    host_key: str | None = None
    jump: str | None = None
    carrier: str = "fabric"


class Stream(Protocol):
    """A byte stream to a port, as http.client wants a socket to be."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Bound the next reads and writes; TimeoutError when it passes."""
        ...

    def recv(self, limit: int, /) -> bytes:
        """Some bytes; none at the end."""
        ...

    def sendall(self, data: bytes, /) -> None:
        """Send everything."""
        ...

    def close(self) -> None:
        """Give the port back."""
        ...


class Channel(Protocol):
    """One running command."""

    def read_some(self, limit: int = 65536, *, within_seconds: float = WAIT_SECONDS) -> bytes:
        """What is there, at least one byte; b"" at the end of output."""
        ...

    def read_exactly(self, count: int, *, within_seconds: float = WAIT_SECONDS) -> bytes:
        """`count` bytes. Raises ChannelEnded."""
        ...

    def read_line(self, *, limit: int = 65536, within_seconds: float = WAIT_SECONDS) -> bytes:
        """Up to and with the next newline, or `limit` bytes without one. Raises ChannelEnded."""
        ...

    def write(self, data: bytes | bytearray | memoryview, *, within_seconds: float = WAIT_SECONDS) -> None:
        """Send everything to the command's stdin."""
        ...

    def close_write(self) -> None:
        """End the command's stdin."""
        ...

    def wait(self, *, within_seconds: float = WAIT_SECONDS) -> int:
        """The exit status; -1 when a signal ended the command. Unread output is kept for later reads."""
        ...

    @property
    def stderr_tail(self) -> str:
        """The last 8 KiB of stderr so far."""
        ...

    def close(self) -> None:
        """Leave the command; its stdin, stdout and stderr end."""
        ...


class Session(Protocol):
    """One authenticated connection with one node."""

    @property
    def node(self) -> str:
        """Whose it is."""
        ...

    @property
    def key_fingerprint(self) -> str | None:
        """Of our key that the node accepted, `SHA256:...`; None when it asked for none or it is not known."""
        ...

    def exec(self, command: str, *, within_seconds: float = WAIT_SECONDS) -> Channel:
        """Start `command` (one line for the login shell: see vocabulary.argv.posix)."""
        ...

    def open_tcp(self, port: int, host: str = "127.0.0.1", *, within_seconds: float = WAIT_SECONDS) -> Stream:
        """A connection to a port as the node sees it."""
        ...

    def close(self) -> None:
        """End the connection. Safe to call twice."""
        ...


class Link(Protocol):
    """What makes sessions. Safe to use from many threads; sessions and channels are one thread's."""

    def connect(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> Session:
        """A session with the node behind its pinned key. Raises Unreachable, HostKeyError, AuthError."""
        ...

    def host_key(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> str:
        """The key that the node shows, `ssh-ed25519 AAAA...`; nothing is offered to it. Raises Unreachable."""
        ...

    def close(self) -> None:
        """End what sessions share."""
        ...


class HasSettings(Protocol):
    """What a target is made of: a node of the inventory."""

    @property
    def name(self) -> str:
        """The node's name."""
        ...

    @property
    def settings(self) -> NodeSettings:
        """Its variables."""
        ...


def target_of(node: HasSettings, *, base: Path | None = None) -> Target:
    """The target of an inventory node. A relative key file is found under `base` (the project)."""
    settings = node.settings
    key_file = settings.ssh_key_file
    if key_file is not None:
        path = Path(key_file).expanduser()
        key_file = str(base / path if base is not None and not path.is_absolute() else path)
    return Target(
        node=node.name,
        address=settings.address or node.name,
        port=settings.ssh_port,
        user=settings.ssh_user,
        key_file=key_file,
        host_key=settings.host_key,
        carrier=settings.link,
    )
