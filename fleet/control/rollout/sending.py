"""What a node lacks gets there: small things from the laptop, weights from whoever has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from threading import Thread
from typing import TypeVar

from fleet.control.rollout.conversation import Content, Conversation
from fleet.control.rollout.exchange import Exchange
from fleet.control.rollout.givers import STILL_SECONDS
from fleet.control.rollout.sharing import Way
from fleet.vocabulary.contracts.sync import Missing, Progress
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.secret import Secret
from fleet.vocabulary.units import bytes_text

T = TypeVar("T")


@dataclass(kw_only=True)
class Sending:
    """Brings the missing blobs to one node. `contents` are theirs; a function fetches one.

    `progress` is told the bytes that came, from wherever; `waits_now`, once, that others have to get something first.
    `came` counts bytes by the node that gave them.
    """

    node: NodeName
    missing: tuple[Missing, ...]
    contents: Mapping[str, Content | Callable[[], Content]]
    sizes: Mapping[str, int]
    salt: str = ""
    exchange: Exchange | None = None
    progress: Callable[[int], None] = lambda _: None
    waits_now: Callable[[], None] = lambda: None
    came: Counter[NodeName] = field(default_factory=Counter)
    _ready: dict[str, Content] = field(default_factory=dict)
    _told_waiting: bool = False

    @property
    def total(self) -> int:
        """How many bytes are missing."""
        return sum(self.sizes[want.digest] - want.offset for want in self.missing)

    @property
    def waits(self) -> bool:
        """Whether some of it may come from other nodes."""
        return any(self._shared(want) for want in self.missing)

    def prepare(self) -> None:
        """Have everything at hand that the laptop sends in any case: a node that is held waits for no download."""
        for want in self.missing:
            if not self._shared(want):
                self._ready[want.digest] = _fetched(self.contents[want.digest])

    def run(self, talk: Conversation) -> None:
        """Until the node lacks nothing. The weights come last: they wait for other nodes."""
        self._send(talk, tuple(want for want in self.missing if not self._shared(want)))
        left = {want.digest: want for want in self.missing if self._shared(want)}
        while left and self.exchange is not None:
            way = self.exchange.begin(self.node, list(left), still=talk.still, waits=self._tell_waiting)
            still_lacks = self._go(talk, self.exchange, way, left[way.digest])
            if still_lacks is None:
                del left[way.digest]
            else:
                left[way.digest] = still_lacks

    @property
    def told(self) -> str:
        """In words, what came from other nodes; nothing when nothing did."""
        return ", ".join(f"{bytes_text(size)} from {giver}" for giver, size in sorted(self.came.items()) if size)

    def _tell_waiting(self) -> None:
        if not self._told_waiting:
            self._told_waiting = True
            self.waits_now()

    def _shared(self, want: Missing) -> bool:
        return self.exchange is not None and self.exchange.shared(self.node, want.digest)

    def _send(self, talk: Conversation, missing: tuple[Missing, ...]) -> None:
        talk.send(missing, self._ready, salt=self.salt, sizes=self.sizes, progress=self.progress)

    def _go(self, talk: Conversation, exchange: Exchange, way: Way, want: Missing) -> Missing | None:
        """Get one blob that way; what is missing of it afterwards."""
        got, reached = False, True
        try:
            if way.giver is None:
                content = _while(talk.still, lambda: _fetched(self.contents[want.digest]))
                if not isinstance(content, Secret):
                    exchange.leaves(want.digest, content)
                self._ready[want.digest] = content
                self._send(talk, (want,))
                got = True
                return None
            wish = _while(talk.still, lambda: exchange.wish(way))
            if wish is None:
                return want
            here = want.offset

            def told(far: Progress) -> None:
                nonlocal here
                if far.done > here:
                    self.progress(far.done - here)
                    here = far.done

            fetched = talk.fetch(wish, told=told)
            got, reached = fetched.left is None, fetched.reached
            self.came[way.giver] += fetched.received_bytes
            now = fetched.left.offset if fetched.left else self.sizes[want.digest]
            self.progress(now - here)
            return fetched.left
        finally:
            exchange.end(self.node, got=got, reached=reached)


def _while(still: Callable[[], None], work: Callable[[], T]) -> T:
    """Do something that may take long, and let the node hear meanwhile that somebody is there."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    while not wait((future,), timeout=STILL_SECONDS).done:
        still()
    return future.result()


def _fetched(content: Content | Callable[[], Content]) -> Content:
    return content() if callable(content) else content
