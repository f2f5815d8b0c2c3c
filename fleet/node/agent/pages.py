"""What the listener serves. Snapshot and metrics are rendered once per change, however many ask."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from fleet.node.agent import metrics
from fleet.node.agent.history import HistoryProblem
from fleet.node.agent.request import Refusal
from fleet.node.agent.seriesquery import SeriesQuery, parse_series_query
from fleet.node.agent.server import Page
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.series import Series
from fleet.vocabulary.contracts.snapshot import Snapshot

_METRICS, _SNAPSHOT = "/metrics", "/v1/snapshot"


class Pages:
    """The pages of an agent. `series` raises HistoryProblem.

    A page that was asked for between two samples is rendered with the next one: whoever comes at a pace finds it ready.
    """

    def __init__(
        self, clock: Clock, *, snapshot: Callable[[], Snapshot], series: Callable[[SeriesQuery], Series]
    ) -> None:
        self._clock, self._snapshot, self._series = clock, snapshot, series
        self._rendered: dict[str, bytes] = {}
        self._asked: set[str] = set()
        self._sampled_at = clock.monotonic()

    def sampled(self) -> None:
        """A sample was taken just now."""
        self._sampled_at = self._clock.monotonic()
        self.changed()
        asked, self._asked = self._asked, set()
        for path in asked:
            self._render(path)

    def changed(self) -> None:
        """The snapshot is another one than before."""
        self._rendered.clear()

    def page(self, path: str, query: str) -> Page | Refusal | None:
        """The page of a path; None where there is none."""
        if path == "/healthz":
            return Page(body=b"ok\n", content_type="text/plain; charset=utf-8")
        if path == "/v1/series":
            return self._history(query)
        if path not in (_SNAPSHOT, _METRICS):
            return None
        self._asked.add(path)
        body = self._rendered.get(path) or self._render(path)
        kind = metrics.CONTENT_TYPE if path == _METRICS else "application/json"
        return Page(body=body, content_type=kind, age_seconds=self._clock.monotonic() - self._sampled_at)

    def _render(self, path: str) -> bytes:
        snapshot = self._snapshot()
        body = metrics.render(snapshot) if path == _METRICS else msgspec.json.encode(snapshot)
        self._rendered[path] = body
        return body

    def _history(self, text: str) -> Page | Refusal:
        query = parse_series_query(text, now_seconds=self._clock.now().timestamp())
        if isinstance(query, Refusal):
            return query
        try:
            found = self._series(query)
        except HistoryProblem as problem:
            return Refusal(status=503, text=f"the history cannot be read: {problem}")
        return Page(body=msgspec.json.encode(found), content_type="application/json")
