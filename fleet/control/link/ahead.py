"""Connections that are made while the laptop still works out what it wants of the nodes."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from fleet.control.link.protocol import CONNECT_SECONDS, Link, Session, Target
from fleet.errors import FleetError
from fleet.vocabulary.clock import Clock

_AT_ONCE = 64
_FRESH_SECONDS = 60.0
"""One that waited longer may be gone without a word: another is made."""


class Ahead:
    """A link that has begun to connect with `targets`; each of these sessions is given once. Close it."""

    def __init__(self, link: Link, targets: Iterable[Target], *, clock: Clock) -> None:
        import fabric  # noqa: F401 (whole, before many threads and the compile begin to import parts of it at once)

        self._link = link
        self._clock = clock
        self._begun = clock.monotonic()
        self._lock = threading.Lock()
        wanted = {target.node: target for target in targets}
        self._pool = ThreadPoolExecutor(max_workers=max(1, min(_AT_ONCE, len(wanted))), thread_name_prefix="ahead")
        self._coming: dict[str, Future[Session]] = {
            node: self._pool.submit(link.connect, target) for node, target in wanted.items()
        }
        self._pool.shutdown(wait=False)

    def connect(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> Session:
        """The session that was begun, else another. Raises Unreachable, HostKeyError, AuthError."""
        with self._lock:
            coming = self._coming.pop(target.node, None)
        if coming is None:
            return self._link.connect(target, deadline_seconds=deadline_seconds)
        session = coming.result()
        if self._clock.monotonic() - self._begun < _FRESH_SECONDS:
            return session
        session.close()
        return self._link.connect(target, deadline_seconds=deadline_seconds)

    def host_key(self, target: Target, *, deadline_seconds: float = CONNECT_SECONDS) -> str:
        """The key that the node shows."""
        return self._link.host_key(target, deadline_seconds=deadline_seconds)

    def keep(self, nodes: Iterable[str]) -> None:
        """Nobody will ask for the others."""
        wanted = set(nodes)
        with self._lock:
            left = [self._coming.pop(node) for node in self._coming.keys() - wanted]
        for one in left:
            one.cancel()
            one.add_done_callback(_hang_up)

    def close(self) -> None:
        """Hang up what nobody took. The link itself stays."""
        self.keep(())


def _hang_up(coming: Future[Session]) -> None:
    if coming.cancelled():
        return
    try:
        coming.result().close()
    except FleetError:
        return
