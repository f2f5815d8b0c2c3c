"""Taking the port. A port that somebody else still holds is waited for: leaving would start a crash loop."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from fleet.errors import FleetError
from fleet.traffic.config import Listen

_QUICK_SECONDS = 5.0
_BACKLOG = 1024


async def take_port(listen: Listen, *, told: Callable[[str], None]) -> socket.socket:
    """A listening socket. Tries often for some seconds, then seldom and for ever; `told` hears of it once.

    Raises FleetError for an address that can never be bound. macos/FACTS section 1.5.
    """
    loop = asyncio.get_running_loop()
    started, said = loop.time(), False
    while True:
        try:
            return _bound(listen)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise FleetError(
                    f"cannot listen on {listen.host} port {listen.port}: {error.strerror or error}",
                    hint="check gateway_bind and gateway_port in the inventory",
                ) from error
        if not said:
            told(f"port {listen.port} of {listen.host} is taken by another process; waiting for it")
            said = True
        await asyncio.sleep(0.2 if loop.time() - started < _QUICK_SECONDS else 2.0)


def _bound(listen: Listen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((listen.host, listen.port))
        taken.listen(_BACKLOG)
        taken.settimeout(0)
    except BaseException:
        taken.close()
        raise
    return taken
