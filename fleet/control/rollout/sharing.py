"""Who gets which weights from whom: the laptop sends a blob once, and who has it gives it further. Pure.

A node asks `choose` what to do next for what it still lacks, and says when that began and how it ended. It promises:
nobody gives to more than `most_takers` at once; the laptop sends a blob again only where no giver of it can be reached;
whoever is told to wait waits for somebody who is at work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleet.vocabulary.names import NodeName

_BLOCKED = 2
"""So many others in vain, and a node is taken to be alone (a taker), or deaf (a giver)."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a node gets a blob: from the node `giver`, or from the laptop (None)."""

    digest: str
    giver: NodeName | None


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Where the blobs are, who is getting one, and who tried whom in vain.

    `blocked` are (taker, giver). `given` are givers that some node did get something from: whom others cannot reach is
    not deaf then. `mute` are nodes that cannot give at all.
    """

    holders: Mapping[str, frozenset[NodeName]] = field(default_factory=dict)
    ways: Mapping[NodeName, Way] = field(default_factory=dict)
    blocked: frozenset[tuple[NodeName, NodeName]] = frozenset()
    given: frozenset[NodeName] = frozenset()
    mute: frozenset[NodeName] = frozenset()
    most_takers: int = 2
    most_from_laptop: int = 2

    def choose(self, taker: NodeName, wants: Sequence[str]) -> Way | None:
        """What the node does next for what it lacks; None: wait for somebody who is at work.

        The rarest blob first, from the giver that has the least to do; the laptop only for what nobody can give it.
        """
        busy = Counter(way.giver for way in self.ways.values())
        offers = {digest: self._givers(taker, digest) for digest in wants}
        ready = [
            (len(givers), wants.index(digest), busy[giver], giver, digest)
            for digest, givers in offers.items()
            for giver in givers
            if busy[giver] < self.most_takers
        ]
        if ready:
            *_, giver, digest = min(ready)
            return Way(digest=digest, giver=giver)
        on_their_way = {way.digest for way in self.ways.values() if way.giver is None}
        if busy[None] < self.most_from_laptop or self._alone(taker):
            for digest in wants:
                if not offers[digest] and (digest not in on_their_way or self._alone(taker)):
                    return Way(digest=digest, giver=None)
        return None

    def holds(self, node: NodeName, digests: Iterable[str]) -> Sharing:
        """The node has these blobs."""
        new = {digest: self.holders.get(digest, frozenset()) | {node} for digest in digests}
        return replace(self, holders={**self.holders, **new})

    def began(self, taker: NodeName, way: Way) -> Sharing:
        """The node is at it."""
        return replace(self, ways={**self.ways, taker: way})

    def ended(self, taker: NodeName, *, got: bool, reached: bool = True) -> Sharing:
        """The node is done with what it was at. Where that was in vain, the same is not tried again.

        `reached`: the giver was there; then it is the blob that it cannot give, else everything, to this node.
        """
        way = self.ways.get(taker)
        if way is None:
            return self
        after = replace(self, ways={node: other for node, other in self.ways.items() if node != taker})
        if got:
            after = after.holds(taker, [way.digest])
            return after if way.giver is None else replace(after, given=after.given | {way.giver})
        if way.giver is None:
            return after
        if reached:
            left = after.holders.get(way.digest, frozenset()) - {way.giver}
            return replace(after, holders={**after.holders, way.digest: left})
        return replace(after, blocked=after.blocked | {(taker, way.giver)})

    def silent(self, giver: NodeName) -> Sharing:
        """The node cannot give."""
        return replace(self, mute=self.mute | {giver})

    def _givers(self, taker: NodeName, digest: str) -> Collection[NodeName]:
        if self._alone(taker):
            return ()
        holders = self.holders.get(digest, frozenset()) - self.mute - {taker}
        return {one for one in holders if (taker, one) not in self.blocked and not self._deaf(one)}

    def _alone(self, taker: NodeName) -> bool:
        """Whether it has to be served by the laptop: it reaches nobody, or nobody has reached anybody yet."""
        if not self.given and len(self.blocked) >= _BLOCKED:
            return True
        return sum(one == taker for one, _ in self.blocked) >= _BLOCKED

    def _deaf(self, giver: NodeName) -> bool:
        return giver not in self.given and sum(one == giver for _, one in self.blocked) >= _BLOCKED
