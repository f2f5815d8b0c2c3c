"""What sync stands on, passed in: the node's layout, its disk, its host (processes, ports, HTTP) and its clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fleet.vocabulary.clock import Clock
from fleet.vocabulary.layout import NodeLayout

if TYPE_CHECKING:
    from fleet.node.sync.disk import Disk


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a command ended. `code` is 127 when the program is missing, 124 when it took too long."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def said(self) -> str:
        """What it printed, errors first, for a person; at most 2,000 characters of the end."""
        return "\n".join(part.strip() for part in (self.err, self.out) if part.strip())[-2000:]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer; `status` is None when there was none, and `error` says why."""

    status: int | None
    body: bytes = b""
    error: str = ""


class Host(Protocol):
    """Commands, processes, ports and loopback HTTP of the node."""

    def run(
        self,
        words: tuple[str, ...],
        *,
        timeout_seconds: float = 30.0,
        user: str | None = None,
        feed: bytes | None = None,
    ) -> Ran:
        """Run a command to its end, without a shell, with a minimal environment; `feed` is its input. Never raises."""
        ...

    def lasting(self, words: tuple[str, ...]) -> Ran:
        """What a command says that says the same until the machine is restarted: run once in a process's life."""
        ...

    def uptime_seconds(self) -> float:
        """Seconds since the machine was started, those in which it slept too. Only differences mean something."""
        ...

    def alive(self, pid: int) -> bool:
        """Whether the process exists."""
        ...

    def listens(self, port: int) -> bool:
        """Whether something accepts connections on that port of 127.0.0.1."""
        ...

    def request(self, url: str, *, body: bytes | None = None, timeout_seconds: float = 5.0) -> Answer:
        """GET, or POST of a JSON body. TLS is not verified: the peer is this machine. Never raises."""
        ...


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One node, as sync works on it."""

    layout: NodeLayout
    disk: Disk
    host: Host
    clock: Clock

    def command(self, name: str, *words: str, timeout_seconds: float = 30.0) -> Ran:
        """Run one of the layout's macOS commands."""
        return self.host.run((self.layout.command(name), *words), timeout_seconds=timeout_seconds)
