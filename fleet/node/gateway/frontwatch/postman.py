"""The round of the webhook: what is told goes to disk first, then to the receiver, in order, until it took it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from fleet.node.gateway.frontwatch.notices import sift
from fleet.node.gateway.frontwatch.outbox import Outbox
from fleet.node.gateway.frontwatch.post import Became, Poster
from fleet.node.gateway.frontwatch.store import Post, WatchStore
from fleet.node.gateway.journal import Journal
from fleet.vocabulary.contracts.notice import Notice
from fleet.vocabulary.health.state import Transition


class Postman:
    """Keeps what is to be posted. `run` posts it, until it is cancelled; without it everything stays in the queue.

    What cannot be written to disk is told all the same: then a restart may forget it, or tell it twice.
    """

    def __init__(self, front: str, store: WatchStore, journal: Journal, *, now: Callable[[], float]) -> None:
        self._front = front
        self._store = store
        self._journal = journal
        self._now = now
        self._post = store.post()
        self._wake = asyncio.Event()
        self._failing = False
        self.write_failures = 0

    @property
    def outbox(self) -> Outbox:
        """What is still to be posted, and the counts."""
        return self._post.outbox

    def tell(self, transitions: Iterable[Transition]) -> None:
        """Put what matters of them into the queue."""
        open_faults, notices = sift(self._front, self._post.open_faults, transitions)
        if open_faults == self._post.open_faults and not notices:
            return
        self._keep(Post(open_faults=open_faults, outbox=self._post.outbox.add(notices, self._now())))
        self._wake.set()

    def post(self, notice: Notice) -> None:
        """Put a notice into the queue that is about no fault of a node."""
        self._keep(Post(open_faults=self._post.open_faults, outbox=self._post.outbox.add((notice,), self._now())))
        self._wake.set()

    async def run(self, poster: Poster) -> None:
        """Post, one at a time. Never returns."""
        while True:
            self._wake.clear()
            fresh = self._post.outbox.fresh(self._now())
            if fresh is not self._post.outbox:
                self._journal.warn("webhook_too_late", dropped=fresh.dropped_total - self._post.outbox.dropped_total)
                self._put(fresh)
            waits = self._post.outbox.wait_seconds(self._now())
            if waits == 0:
                await self._try(poster)
                continue
            try:
                async with asyncio.timeout(waits):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _try(self, poster: Poster) -> None:
        letter = self._post.outbox.letters[0]
        done = await poster.post(letter.notice)
        box, name = self._post.outbox, letter.notice.id
        match done.became:
            case Became.DELIVERED:
                self._put(box.delivered(name))
                self._journal.event("webhook_told", id=name, node=letter.notice.node, check=letter.notice.check)
            case Became.REFUSED:
                self._put(box.refused(name))
                self._journal.warn("webhook_refused", id=name, problem=done.problem)
            case Became.FAILED:
                self._put(box.failed(name, self._now(), after_seconds=done.after_seconds))
                if not self._failing:
                    self._journal.warn("webhook_failed", problem=done.problem, waiting=len(box.letters))
        self._failing = done.became is Became.FAILED

    def _put(self, outbox: Outbox) -> None:
        self._keep(msgspec.structs.replace(self._post, outbox=outbox))

    def _keep(self, post: Post) -> None:
        self._post = post
        try:
            self._store.save_post(post)
        except OSError as error:
            self.write_failures += 1
            self._journal.warn("watch_not_kept", problem=error.strerror or type(error).__name__)
