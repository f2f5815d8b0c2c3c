"""TCP connections begun before anything heavy is imported: network and sshd work while Python loads.

Standard library only.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable

from fleet.control.link import tcp
from fleet.control.link.deadline import Deadline
from fleet.errors import FleetError, Unreachable

_AT_ONCE = 64


class Early:
    """Connections on their way, by place. A place that nobody takes is hung up by `close`."""

    def __init__(self, places: Iterable[tuple[str, int]], *, seconds: float) -> None:
        self._deadline = Deadline.after(seconds)
        self._coming: dict[tuple[str, int], _Coming] = {}
        for place in dict.fromkeys(places):
            if len(self._coming) == _AT_ONCE:
                break
            self._coming[place] = _Coming(place, self._deadline)

    def take(self, host: str, port: int, *, deadline: Deadline, node: str) -> socket.socket:
        """The connection with a place, whether or not it was begun. Raises Unreachable."""
        coming = self._coming.pop((host, port), None)
        if coming is None:
            return tcp.connect(host, port, deadline=deadline, node=node)
        return coming.take(deadline, node)

    def close(self) -> None:
        """Hang up what was not taken."""
        while self._coming:
            self._coming.popitem()[1].leave()


class _Coming:
    """One connection. Numbers are connected without a thread; a name may take a while to be looked up."""

    def __init__(self, place: tuple[str, int], deadline: Deadline) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._left = False
        self._sock: socket.socket | None = None
        self._error: FleetError | None = None
        self._thread: threading.Thread | None = None
        family = _family(place[0])
        if family is None:
            self._thread = threading.Thread(target=self._connect, args=(deadline,), daemon=True)
            self._thread.start()
            return
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        self._sock.settimeout(0)
        self._sock.connect_ex(place)

    def take(self, deadline: Deadline, node: str) -> socket.socket:
        """Wait for it. Raises Unreachable."""
        if self._thread is not None:
            self._thread.join(deadline.left_seconds)
            with self._lock:
                sock, self._sock, self._left = self._sock, None, True
            if sock is None:
                found = self._error or Unreachable("no answer in time")
                raise Unreachable(found.title, hint=found.hint, node=node, phase="connect")
            return sock
        sock, self._sock = self._sock, None
        assert sock is not None
        try:
            sock.settimeout(max(0.05, deadline.left_seconds))
            # A second connect waits for the first: EISCONN is its success, and errors come as they are.
            error = sock.connect_ex(self._place)
        except OSError:
            error = -1
        if error and not _connected(sock):
            sock.close()
            return tcp.connect(*self._place, deadline=deadline, node=node)
        tcp.tune(sock)
        return sock

    def leave(self) -> None:
        """Nobody wants it any more."""
        with self._lock:
            self._left = True
            if self._sock is not None:
                self._sock.close()
                self._sock = None

    def _connect(self, deadline: Deadline) -> None:
        try:
            sock = tcp.connect(*self._place, deadline=deadline, node="")
        except FleetError as error:
            self._error = error
            return
        with self._lock:
            if self._left:
                sock.close()
            else:
                self._sock = sock


def _family(host: str) -> socket.AddressFamily | None:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return family
    return None


def _connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
