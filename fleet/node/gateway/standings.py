"""Routing by health: each sample of a node in the book is judged, and laid upon the upstreams that it matters to.

Nothing is judged per request: a LiveUpstream carries what was judged last.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.node.gateway.node_sources import node_of
from fleet.node.gateway.nodebook import Heard, NodeBook
from fleet.node.gateway.upstreams import Upstreams
from fleet.traffic.config import GatewayConfig
from fleet.traffic.signs import Signs, signs_of
from fleet.traffic.wellness import judge


class Standings:
    """Keeps the upstreams' standing by what the book hears."""

    def __init__(
        self,
        book: NodeBook,
        upstreams: Upstreams,
        *,
        config: Callable[[], GatewayConfig],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book = book
        self._upstreams = upstreams
        self._config = config
        self._now = now
        book.listen(self._heard)

    def follow(self) -> None:
        """Judge every upstream of the moment by what the book has: after every new configuration."""
        for upstream in self._upstreams.live.values():
            if upstream.spec.kind != "api":
                self._judge(upstream, self._book.heard(self._node(upstream)))

    def _heard(self, heard: Heard) -> None:
        """An attempt at a node. One that brought nothing makes what is known older."""
        for upstream in self._upstreams.live.values():
            if upstream.spec.kind != "api" and self._node(upstream) == heard.node:
                self._judge(upstream, heard)

    def _judge(self, upstream: LiveUpstream, heard: Heard | None) -> None:
        signs, settings = _signs(upstream, heard), self._config().wellness
        upstream.feels(judge(upstream.wellbeing, signs, settings=settings, now=self._now()))

    def _node(self, upstream: LiveUpstream) -> str:
        """The node in the book that an upstream runs on: for a sidecar this one, whatever it is called."""
        return self._config().node if upstream.spec.kind == "sidecar" else node_of(upstream.spec)


def _signs(upstream: LiveUpstream, heard: Heard | None) -> Signs | None:
    """What the last sample of its node says to an upstream; None where there is none."""
    if heard is None or heard.snapshot is None or heard.new_at is None:
        return None
    return signs_of(heard.snapshot, upstream.spec, heard_at=heard.new_at)
