"""Asks nodes that are seen again for what was missed meanwhile, and keeps it on the laptop (seriesfiles)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import msgspec

from fleet.control.inventory.node import Node
from fleet.control.link import http
from fleet.control.link.protocol import Session
from fleet.control.watch.poll import TokenFor
from fleet.control.watch.seriesfiles import KEPT_SECONDS, SeriesFiles
from fleet.errors import FleetError
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.series import Series
from fleet.vocabulary.names import NodeName

DUE_SECONDS = 300.0
"""A node that is watched is asked so often; one that was away, at once."""
FIRST_SECONDS = 86400.0
"""What is asked of a node that was never asked before."""
SPAN_SECONDS = 12 * 3600.0
"""Of one request: an agent answers a longer one with a coarser grid."""
_STEP_SECONDS = 60
_AT_ONCE = 8

Span = tuple[float, float]
"""From, until: seconds since 1970 by the node's own clock."""


def due(last_seconds: float | None, now_seconds: float) -> tuple[Span, ...]:
    """What to ask a node whose copy ends at `last_seconds`, the oldest first. Pure; both by the node's own clock.

    A clock that was set back is no gap.
    """
    since = now_seconds - FIRST_SECONDS if last_seconds is None else max(last_seconds, now_seconds - KEPT_SECONDS)
    if now_seconds - since < DUE_SECONDS:
        return ()
    spans = []
    while since < now_seconds:
        until = min(since + SPAN_SECONDS, now_seconds)
        spans.append((since, until))
        since = until
    return tuple(spans)


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A node that answered just now: its own time, and the session that is open."""

    node: Node
    now_seconds: float
    session: Session


class Backfill:
    """Brings the copies up to date. What goes wrong is tried again when it is due again."""

    def __init__(self, files: SeriesFiles, *, token_for: TokenFor, clock: Clock, deadline_seconds: float = 4.0) -> None:
        self._files, self._token_for, self._clock = files, token_for, clock
        self._deadline = deadline_seconds
        self._tried: dict[NodeName, float] = {}

    def catch_up(self, answered: Iterable[Answered]) -> None:
        """Ask those for which it is time, several at once, all within the deadline; the rest is asked next time."""
        work = [(one, spans) for one in answered if (spans := self._due(one))]
        if not work:
            return
        stop = threading.Event()
        pool = ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(work)))
        try:
            wait([pool.submit(self._fill, one, spans, stop) for one, spans in work], timeout=self._deadline)
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _due(self, one: Answered) -> tuple[Span, ...]:
        name, now = one.node.name, self._clock.monotonic()
        if now - self._tried.get(name, now - DUE_SECONDS) < DUE_SECONDS:
            return ()
        spans = due(self._files.last_seconds(name), one.now_seconds)
        self._tried[name] = now
        return spans

    def _fill(self, one: Answered, spans: tuple[Span, ...], stop: threading.Event) -> None:
        ends = time.monotonic() + self._deadline
        for series in self._asked(one, spans, stop, ends):
            self._files.add(one.node.name, series)

    def _asked(self, one: Answered, spans: tuple[Span, ...], stop: threading.Event, ends: float) -> Iterator[Series]:
        """The answers, until one fails: what follows it is missed still, and asked next time."""
        for since, until in spans:
            left = ends - time.monotonic()
            if stop.is_set() or left <= 0:
                self._tried.pop(one.node.name, None)  # there was no time: at the next look
                return
            try:
                headers = {"Authorization": f"Bearer {self._token_for(one.node).reveal()}"}
                path = f"/v1/series?since={since:.0f}&until={until:.0f}&step={_STEP_SECONDS}"
                port = one.node.settings.agent_port
                answer = http.get(one.session, port, path, headers=headers, timeout=left)
                if answer.status != 200:
                    return
                yield msgspec.json.decode(answer.body, type=Series)
            except (FleetError, msgspec.DecodeError, UnicodeDecodeError):
                return
