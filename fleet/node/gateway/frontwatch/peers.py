"""Asking the other fronts whether they are alive: `/healthz` over pinned TLS, without any key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from fleet.engines import engine
from fleet.node.gateway.caller import Caller
from fleet.node.gateway.failures import UpstreamFailure
from fleet.node.gateway.frontwatch.looks import Answer
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.traffic.config import Peer, Upstream

EVERY_SECONDS = 5.0
_PATIENCE_SECONDS = 5.0
_CONNECT_SECONDS = 3.0
_LONGEST_BYTES = 64 * 1024


class Peers:
    """The last answer of every other front."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._asked: dict[Peer, LiveUpstream] = {}
        self.answers: dict[str, Answer] = {}

    def follow(self, peers: Iterable[Peer]) -> None:
        """Ask these, and no others."""
        self._asked = {peer: self._asked.get(peer) or _upstream(peer) for peer in peers}
        self.answers = {peer.node: self.answers.get(peer.node, Answer()) for peer in self._asked}

    async def round(self) -> None:
        """Ask each once, all at the same time."""

        async def one(peer: Peer, upstream: LiveUpstream) -> None:
            answer = Answer(problem=await self._ask(upstream))
            if peer.node in self.answers:
                self.answers[peer.node] = answer

        await asyncio.gather(*(one(peer, upstream) for peer, upstream in self._asked.items()))

    async def _ask(self, upstream: LiveUpstream) -> str:
        """What is wrong with it; "" = it is alive."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                status, _ = await self._caller.get(
                    upstream, "/healthz", longest_bytes=_LONGEST_BYTES, connect_seconds=_CONNECT_SECONDS
                )
        except TimeoutError:
            return f"no answer within {_PATIENCE_SECONDS:g} s"
        except UpstreamFailure as failure:
            return failure.error.message
        return "" if status == 200 else f"it answered {status}"


def _upstream(peer: Peer) -> LiveUpstream:
    spec = Upstream(
        name=f"front {peer.node}",
        kind="edge",
        url=peer.url,
        engine="openai_compatible",
        serves="",
        model="",
        node=peer.node,
        pin=peer.pin,
    )
    return LiveUpstream(spec, engine("edge"))
