"""Free ports of 127.0.0.1, outside the range that outgoing connections take theirs from."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

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


def free_ports() -> Iterator[int]:
    """Ports that are free now, each once, in no order."""
    for port in random.Random().sample(range(FIRST, LAST), LAST - FIRST):  # noqa: S311 (no secret)
        if is_free(port):
            yield port
