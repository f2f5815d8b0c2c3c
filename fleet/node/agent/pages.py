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


class Pages:
    """The pages of an agent. `series` raises HistoryProblem."""

    def __init__(
        self, clock: Clock, *, snapshot: Callable[[], Snapshot], series: Callable[[SeriesQuery], Series]
    ) -> None:
        self._clock, self._snapshot, self._series = clock, snapshot, series
        self._rendered: tuple[bytes, bytes] | None = None
        self._sampled_at = clock.monotonic()

    def sampled(self) -> None:
        """A sample was taken just now."""
        self._sampled_at = self._clock.monotonic()
        self.changed()

    def changed(self) -> None:
        """The snapshot is another one than before."""
        self._rendered = None

    def page(self, path: str, query: str) -> Page | Refusal | None:
        """The page of a path; None where there is none."""
        if path == "/healthz":
            return Page(body=b"ok\n", content_type="text/plain; charset=utf-8")
        if path == "/v1/series":
            return self._history(query)
        if path not in ("/v1/snapshot", "/metrics"):
            return None
        if self._rendered is None:
            snapshot = self._snapshot()
            self._rendered = msgspec.json.encode(snapshot), metrics.render(snapshot)
        age = self._clock.monotonic() - self._sampled_at
        if path == "/metrics":
            return Page(body=self._rendered[1], content_type=metrics.CONTENT_TYPE, age_seconds=age)
        return Page(body=self._rendered[0], content_type="application/json", age_seconds=age)

    def _history(self, text: str) -> Page | Refusal:
        query = parse_series_query(text, now_seconds=self._clock.now().timestamp())
        if isinstance(query, Refusal):
            return query
        try:
            found = self._series(query)
        except HistoryProblem as problem:
            return Refusal(status=503, text=f"the history cannot be read: {problem}")
        return Page(body=msgspec.json.encode(found), content_type="application/json")
