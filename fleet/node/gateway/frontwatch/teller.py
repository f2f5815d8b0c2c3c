"""Telling what changed: events on disk, the journal, and the webhook's queue. In this order.

A crash between them tells something twice, and never not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from fleet.node.gateway.frontwatch.postman import Postman
from fleet.node.gateway.journal import Journal
from fleet.vocabulary.eventfiles import EventFiles
from fleet.vocabulary.health.state import Transition
from fleet.vocabulary.names import Health


class Teller:
    """`folder` is where the events go, below `events/`; without one they are in the journal only."""

    def __init__(self, folder: str | None, postman: Postman, journal: Journal, *, now: Callable[[], float]) -> None:
        self._events = None if folder is None else EventFiles(Path(folder) / "events")
        self._postman = postman
        self._journal = journal
        self._now = now
        self.write_failures = 0

    def tell(self, told: tuple[Transition, ...], *, webhook: bool) -> None:
        """All of it; what matters also to the webhook, where there is one."""
        if not told:
            return
        if self._events is not None:
            try:
                self._events.append(told)
                self._events.prune(datetime.fromtimestamp(self._now(), UTC))
            except OSError as error:
                self.failed(error)
        for one in told:
            say = self._journal.warn if one.after is Health.CRITICAL else self._journal.event
            say(
                "health",
                node=one.node,
                check=one.check,
                subject=one.subject or None,
                before=one.before.value,
                after=one.after.value,
                text=one.text or None,
            )
        if webhook:
            self._postman.tell(told)

    def failed(self, error: OSError) -> None:
        """Something of the watch could not be written: counted, and said once."""
        self.write_failures += 1
        if self.write_failures == 1:
            self._journal.warn("watch_not_kept", problem=error.strerror or type(error).__name__)
