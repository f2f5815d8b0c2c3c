"""The weights of one run: each blob leaves the laptop once; then nodes get it from one another (see `sharing`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from fleet.control.link.protocol import Link
from fleet.control.rollout.conversation import SyncPart
from fleet.control.rollout.givers import STILL_SECONDS, Givers, GivingNode
from fleet.control.rollout.sharing import Sharing, Way
from fleet.control.supply.cache import Cache
from fleet.control.supply.filepart import FilePart
from fleet.control.supply.pieces import pieces_of, remember, remembered
from fleet.errors import FleetError, NodeError
from fleet.vocabulary.clock import Clock, SystemClock
from fleet.vocabulary.contracts.peers import Fetch
from fleet.vocabulary.names import NodeName, RunId

LEAST_BYTES = 4 * 1024 * 1024
"""What is smaller is sent to everybody: to ask another node for it would take longer."""
_HEAR_SECONDS = 20.0
_LOOK_SECONDS = 1.0


class Exchange:
    """Who gets what from whom, for the nodes of one run. Safe for a thread per node. Built without I/O.

    A node that is told to wait waits in `begin`; `close` lets nobody wait any longer, and ends all giving.
    """

    def __init__(
        self,
        nodes: Iterable[GivingNode],
        *,
        link: Link,
        sync: SyncPart,
        run_id: RunId,
        cache: Cache | None = None,
        sharing: Sharing | None = None,
        least_bytes: int = LEAST_BYTES,
        still_seconds: float = STILL_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        named = {node.name: node for node in nodes}
        self._sharing = sharing or Sharing()
        self._givers = Givers(
            named,
            link=link,
            sync=sync,
            run_id=run_id,
            lost=self._silence,
            most_takers=self._sharing.most_takers,
            still_seconds=still_seconds,
        )
        self._sizes = {
            file.blob.digest: file.blob.size
            for node in named.values()
            for tree in node.trees
            for file in tree.files
            if file.blob.size >= least_bytes and not file.blob.secret
        }
        self._names = frozenset(named)
        self._clock = clock or SystemClock()
        self._unheard = set[NodeName]()
        self._hear_until = 0.0
        self._cache = cache or Cache()
        self._still_seconds = still_seconds
        self._changed = threading.Condition()
        self._over = False
        self._version = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="fleet-pieces")
        self._pieces: dict[str, Future[tuple[str, ...]]] = {}

    def shared(self, taker: NodeName, digest: str) -> bool:
        """Whether that blob is worth to be fetched from other nodes, and the node is one that takes part."""
        return digest in self._sizes and taker in self._names

    def holds(self, node: NodeName, digests: Iterable[str]) -> None:
        """The node has these blobs, and may be asked for them."""
        with self._changed:
            self._unheard.discard(node)
            if node in self._names:
                self._sharing = self._sharing.holds(node, [one for one in digests if one in self._sizes])
            self._wake()

    def expect(self, nodes: Iterable[NodeName]) -> None:
        """These will say what they have, or fail: nobody begins before, since one of them may have it all.

        That is waited for only so long: of very many nodes some are asked when others are done.
        """
        with self._changed:
            self._unheard |= set(nodes)
            self._hear_until = self._clock.monotonic() + _HEAR_SECONDS

    def begin(
        self,
        taker: NodeName,
        wants: Sequence[str],
        *,
        still: Callable[[], None],
        waits: Callable[[], None] = lambda: None,
    ) -> Way:
        """What the node does next for what it lacks. `still` is called while it has to wait. `end` must follow.

        `waits` is called when it has to wait for others at all.

        Raises NodeError when the run is over, and what `still` raises.
        """
        said = self._clock.monotonic()
        while True:
            with self._changed:
                if self._over:
                    raise NodeError("the run is over", node=taker)
                unheard = self._unheard and self._clock.monotonic() < self._hear_until
                way = None if unheard else self._sharing.choose(taker, wants)
                if way is not None:
                    self._sharing = self._sharing.began(taker, way)
                    return way
                version = self._version
            if not unheard:
                waits()
            with self._changed:
                if self._version == version:
                    self._changed.wait(_LOOK_SECONDS if unheard else self._still_seconds)
            if self._clock.monotonic() - said >= self._still_seconds:  # others may be busy all the time
                still()
                said = self._clock.monotonic()

    def end(self, taker: NodeName, *, got: bool, reached: bool = True) -> None:
        """The node has the blob that it was at, or does not. `reached`: the giver was there."""
        with self._changed:
            self._sharing = self._sharing.ended(taker, got=got, reached=reached)
            self._wake()

    def wish(self, way: Way) -> Fetch | None:
        """How to get it from its giver; None when that one cannot give, which nobody tries again then."""
        if way.giver is None:
            return None
        try:
            door = self._givers.door(way.giver)
        except FleetError:
            self._silence(way.giver)
            return None
        hashing = self._pieces.get(way.digest)
        pieces = hashing.result() if hashing else remembered(self._cache, way.digest)
        return Fetch(
            digest=way.digest,
            host=door.host,
            port=door.port,
            pin=door.pin,
            token=door.token,
            pieces=pieces,
        )

    def leaves(self, digest: str, content: bytes | Path | FilePart) -> None:
        """The laptop sends that blob: its pieces are hashed meanwhile, for who fetches it from a node."""
        with self._changed:
            if digest not in self._pieces and not self._over:
                self._pieces[digest] = self._pool.submit(self._hash, content, digest)

    def close(self) -> None:
        """The run is over."""
        with self._changed:
            self._over = True
            self._wake()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._givers.close()

    def _wake(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def _silence(self, giver: NodeName) -> None:
        with self._changed:
            self._sharing = self._sharing.silent(giver)
            self._wake()

    def _hash(self, content: bytes | Path | FilePart, digest: str) -> tuple[str, ...]:
        if known := remembered(self._cache, digest):
            return known
        try:
            found = pieces_of(content, digest=digest, size=self._sizes[digest])
        except OSError:
            return ()  # the whole blob is checked in any case
        remember(self._cache, digest, found)
        return found
