"""Is somebody behind the SSH port? A TCP connection and the banner that every SSH server says first. No login."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable

from fleet.node.gateway.frontwatch.looks import Answer
from fleet.traffic.config import WatchedNode

SILENT_EVERY_SECONDS = 15.0
WELL_EVERY_SECONDS = 300.0
_KNOCK_SECONDS = 5.0
_BANNER_BYTES = 255
_AT_ONCE = 16


async def knock(host: str, port: int) -> str:
    """Why nobody is there, in words; "" = an SSH server spoke."""
    try:
        async with asyncio.timeout(_KNOCK_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                said = await reader.read(_BANNER_BYTES)
            finally:
                writer.close()
    except TimeoutError:
        return f"no answer within {_KNOCK_SECONDS:g} s"
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None)
        return os.strerror(number).lower() if isinstance(number, int) and number > 0 else "cannot be reached"
    return "" if said.startswith(b"SSH-") else "what answers is no SSH server"


class Knocker:
    """The last answer of every node's SSH port, and since when it is dead (monotonic seconds).

    A node that seems silent is asked every 15 s, any other one every 5 minutes, where `all_nodes` is wanted at all.
    """

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._next: dict[str, float] = {}
        self.answers: dict[str, Answer] = {}
        self.dead_since: dict[str, float] = {}

    async def round(self, nodes: Iterable[WatchedNode], *, silent: Callable[[str], bool], all_nodes: bool) -> None:
        """Knock where it is time."""
        now = self._monotonic()
        due = [
            node
            for node in nodes
            if node.ssh_host and (all_nodes or silent(node.node)) and self._next.get(node.node, now) <= now
        ]
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(node: WatchedNode) -> None:
            async with slots:
                self.book(node.node, await knock(node.ssh_host, node.ssh_port))
            every = SILENT_EVERY_SECONDS if silent(node.node) or node.node in self.dead_since else WELL_EVERY_SECONDS
            self._next[node.node] = self._monotonic() + every

        await asyncio.gather(*(one(node) for node in due))

    def book(self, node: str, problem: str) -> None:
        """Note what came of a knock."""
        self.answers[node] = Answer(problem=problem)
        if problem:
            self.dead_since.setdefault(node, self._monotonic())
        else:
            self.dead_since.pop(node, None)

    def hurry(self, node: str) -> None:
        """Its gateway fell silent: knock in the next round."""
        self._next.pop(node, None)

    def forgive(self) -> None:
        """We were cut off ourselves: every silence begins anew."""
        self.dead_since = {}

    def keep(self, names: set[str]) -> None:
        """Forget the nodes that are not among `names`."""
        self._next = {name: at for name, at in self._next.items() if name in names}
        self.answers = {name: answer for name, answer in self.answers.items() if name in names}
        self.dead_since = {name: at for name, at in self.dead_since.items() if name in names}
