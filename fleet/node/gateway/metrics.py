"""What the gateway counts. Told once how each request ended; a few dictionary look-ups and additions, no more.

One label set for everything that a request does: `route, upstream, model, outcome`. Its values are names of the
configuration and a closed set of words; anything else is `other`, and so is a series too many. Ids of requests,
sessions, tickets and keys are never labels. The text of `/metrics` is metrics_text.py's.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable

from fleet.node.gateway.call import Outcome
from fleet.node.gateway.metrics_window import Recent
from fleet.traffic.avoided import Avoided
from fleet.vocabulary.names import Lane

OTHER = "other"
NONE = "none"
OUTCOMES = ("ok", "refused", "failed", "truncated", "cancelled", "ended")

DURATION_SECONDS = (*(round(0.01 * 2**step, 2) for step in range(14)), 163.84, 327.68, 655.36, 1310.72)
FIRST_TOKEN_SECONDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0),
)
PER_TOKEN_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
CANCEL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
QUEUE_SECONDS = (0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_MOST_SERIES = 2000
_MOST_NAMES = 1000

SeriesKey = tuple[str, str, str, str]
"""Route, upstream, model, outcome."""


class Histogram:
    """How many values fell below each bound, and what they add up to. One bucket more than bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Series:
    """All that is counted under one set of labels. `with_usage` of `requests` said how many tokens they took."""

    __slots__ = (
        *("requests", "seconds", "first_token", "per_token", "per_chunk"),
        *("with_usage", "prompt_tokens", "cached_tokens", "completion_tokens", "malformed", "retries"),
    )

    def __init__(self) -> None:
        self.requests = 0
        self.seconds = Histogram(DURATION_SECONDS)
        self.first_token = Histogram(FIRST_TOKEN_SECONDS)
        self.per_token = Histogram(PER_TOKEN_SECONDS)
        self.per_chunk = Histogram(PER_TOKEN_SECONDS)
        self.with_usage = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.completion_tokens = 0
        self.malformed = 0
        self.retries = 0


class Metrics:
    """The books of one gateway process. An Accounting; everything else is told by who knows it."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._raw: dict[SeriesKey, Series] = {}
        self._names: set[str] = set()
        self.series: dict[SeriesKey, Series] = {}
        self.cancel = Histogram(CANCEL_SECONDS)
        self.queue = {lane: Histogram(QUEUE_SECONDS) for lane in Lane}
        self.reloads_failed = 0
        self.turned_away: dict[int, int] = {}
        self.avoided: dict[tuple[str, str], int] = {}
        self.recent = Recent(FIRST_TOKEN_SECONDS)
        self.started = now()

    def follow(self, names: Iterable[str]) -> None:
        """Names of routes, upstreams and models that may be labels from now on; those of before stay."""
        for name in names:
            if len(self._names) < _MOST_NAMES:
                self._names.add(name)

    def ended(self, outcome: Outcome) -> None:
        """See Accounting."""
        call, word, seconds = outcome.call, outcome.word, outcome.seconds
        key = (call.route.name, call.upstream, call.served, word)
        series = self._raw.get(key)
        if series is None:
            series = self._admit(key)
        series.requests += 1
        series.seconds.add(seconds)
        if outcome.malformed:
            series.malformed += outcome.malformed
        if call.avoided:
            self._avoided(call.avoided)
        if len(call.tried) > 1:
            series.retries += len(call.tried) - 1
        usage = outcome.usage
        prompt = completion = 0
        if usage:
            prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
            series.with_usage += 1
            series.prompt_tokens += prompt
            series.completion_tokens += completion
            details = usage.get("prompt_tokens_details")
            if type(details) is dict and (cached := details.get("cached_tokens")) is not None:
                series.cached_tokens += _count(cached)
        first = outcome.first_token_seconds
        if first is not None:
            series.first_token.add(first)
            if completion > 1:
                series.per_token.add((seconds - first) / (completion - 1))
            if call.chunks > 1:
                series.per_chunk.add((seconds - first) / (call.chunks - 1))
        if call.queued_seconds:
            self.queue[call.shape.lane].add(call.queued_seconds)
        if outcome.cancel_seconds is not None:
            self.cancel.add(outcome.cancel_seconds)
        failed = word in ("failed", "truncated", "ended")
        self.recent.add(self._now(), failed=failed, prompt=prompt, completion=completion, first_token_seconds=first)

    def reload_failed(self) -> None:
        """A new configuration was refused."""
        self.reloads_failed += 1

    def refused_at_the_door(self, status: int) -> None:
        """An answer of 4xx or 5xx to what never became a call: no key, no such model, no JSON."""
        if 400 <= status < 600:
            self.turned_away[status] = self.turned_away.get(status, 0) + 1

    def _avoided(self, those: Iterable[Avoided]) -> None:
        for one in those:
            key = (one.upstream if one.upstream in self._names else OTHER, one.reason)
            self.avoided[key] = self.avoided.get(key, 0) + 1

    def _admit(self, key: SeriesKey) -> Series:
        """The series of a key that comes for the first time. `_raw` is bounded too: an odd name is not remembered."""
        route, upstream, model, word = key
        names = self._names
        label = (
            route if route in names else OTHER,
            upstream if upstream in names else OTHER if upstream else NONE,
            model if model in names else OTHER if model else NONE,
            word if word in OUTCOMES else OTHER,
        )
        if label not in self.series and len(self.series) >= _MOST_SERIES:
            label = (OTHER, OTHER, OTHER, OTHER)
        series = self.series.get(label)
        if series is None:
            series = self.series[label] = Series()
        if len(self._raw) < _MOST_SERIES:
            self._raw[key] = series
        return series


def _count(value: object) -> int:
    """A count as an upstream says it. Total."""
    return value if type(value) is int and 0 <= value < 2**53 else 0
