"""`lsof -nP -iTCP -sTCP:LISTEN`: who holds which port. Standard library only.

Without root it shows one's own processes only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(
    r"^(?P<command>\S.*?)\s+(?P<pid>[0-9]{1,9})\s+(?P<user>\S+)\s.*\sTCP (?P<host>\S+):(?P<port>[0-9]{1,5}) \(LISTEN\)$"
)


@dataclass(frozen=True, kw_only=True)
class Listener:
    """One listening socket. `host` is `*` for every address. `command` is cut to nine characters by lsof."""

    command: str
    pid: int
    user: str
    host: str
    port: int


def parse_listeners(text: str) -> tuple[Listener, ...]:
    """What `lsof` printed."""
    return tuple(
        Listener(
            command=match["command"],
            pid=int(match["pid"]),
            user=match["user"],
            host=match["host"],
            port=int(match["port"]),
        )
        for match in map(_LINE.match, text.splitlines())
        if match and 0 < int(match["port"]) < 65536
    )
