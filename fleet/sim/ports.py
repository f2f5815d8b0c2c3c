"""Free ports of 127.0.0.1, outside the range that outgoing connections take theirs from."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

FIRST, LAST = 20_000, 29_999


def is_free(port: int) -> bool:
    """Whether nothing listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(turn: Path | None = None) -> Iterator[int]:
    """Ports that are free now, each once.

    A port is listened on minutes after it was chosen: the services come with the first deploy. So simulations that
    come up side by side take turns by one file of their user, `turn`, and none is given what another was given.
    """
    place = turn or Path(tempfile.gettempdir()) / f"fleet-sim-{os.getuid()}.port"
    for _ in range(FIRST, LAST + 1):
        port = _take(place)
        if is_free(port):
            yield port


def free_port() -> int:
    """One of them."""
    return next(free_ports())


def _take(turn: Path) -> int:
    """The port whose turn it is; the next one's comes. Without a number in the file the first is anyone."""
    file = os.open(turn, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = os.pread(file, 16, 0).decode("ascii", "replace").strip()
        port = int(text) if text.isdecimal() else 0
        if not FIRST <= port <= LAST:
            port = random.Random().randint(FIRST, LAST)  # noqa: S311 (no secret)
        os.ftruncate(file, 0)
        os.pwrite(file, f"{port + 1 if port < LAST else FIRST}\n".encode(), 0)
    finally:
        os.close(file)
    return port
