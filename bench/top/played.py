"""Plays agents and a front behind one sshd: `python -m bench.top.played NODES PORTS.json MODE-FILE`.

Up to 50 nodes each have a port for their agent; of more, only the front's admin door is there, as `fleet top` asks
it (`?brief=1`). While the mode file says `A`, every answer is the next state, and with `I` all is as it was.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from functools import partial
from pathlib import Path

import msgspec

from bench.top.moving import FRONT, TIME, states, words
from fleet.control.watch.viafront import DIRECT_NODES
from fleet.vocabulary.contracts.gateway_admin import RouteReports

MOVING = 0.83
"""At a look every 5 s: 30 % of the cells in each of its seconds."""
_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nAge: 0\r\nContent-Length: {}\r\n\r\n"


class Played:
    """The bodies by path, one for each state, and which is next."""

    def __init__(self, bodies: list[bytes], mode: Path) -> None:
        self._bodies, self._mode, self._at = bodies, mode, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until they hang up."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = self._next() if b" /admin/routes" not in head else _ROUTES
                writer.write(_HEAD.format(len(body)).encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _next(self) -> bytes:
        if self._mode.read_text() == "A":
            self._at += 1
        return self._bodies[self._at % len(self._bodies)].replace(_TIME, b"%.3f" % time.time())


_TIME = str(TIME).encode()
_ROUTES = msgspec.json.encode(RouteReports(node=FRONT, config_sha256=""))


async def main(nodes: int, ports: Path, mode: Path) -> None:
    """Play until killed. The ports are written down once all are open."""
    every = list(states(nodes, moving=MOVING))
    if nodes > DIRECT_NODES:
        doors = [Played([msgspec.json.encode(words(state).brief()) for state in every], mode)]
    else:
        doors = [Played([msgspec.json.encode(state[number]) for state in every], mode) for number in range(nodes)]
    servers = [await asyncio.start_server(partial(door.serve), "127.0.0.1", 0) for door in doors]
    found = [server.sockets[0].getsockname()[1] for server in servers]
    part = ports.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.replace(ports)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])))
