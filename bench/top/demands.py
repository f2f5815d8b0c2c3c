"""What `fleet top` must show, beside a DataTable that is fed alike in the same run. Pure."""

from __future__ import annotations

from collections.abc import Callable

from bench.demand import Demand, field, ratio
from bench.top.rows import Results

_SIZES = (500, 1000)
_FEEDS = {"polled": "polling included", "alone": "the screen alone"}


def _of(name: str, nodes: int, *, feed: str = "polled", screen: str = "top") -> Callable[[Results], float | None]:
    return lambda results: field(results.row(screen, feed, nodes), name)


def _against(nodes: int, feed: str) -> Callable[[Results], float | None]:
    ours, theirs = (_of("cpu_moving_percent", nodes, feed=feed, screen=screen) for screen in ("top", "table"))
    return lambda results: ratio(ours(results), theirs(results))


def _growth(feed: str) -> Callable[[Results], float | None]:
    many, few = (_of("cpu_moving_percent", nodes, feed=feed) for nodes in (1000, 50))
    return lambda results: ratio(many(results), few(results))


def _lost(results: Results) -> float | None:
    ours = [row.lost for row in results.rows if row.screen == "top"]
    return float(sum(ours)) if ours else None


DEMANDS = (
    *(
        Demand("DataTable", f"CPU, {nodes} nodes, {words}", " ×", _against(nodes, feed), 0.3)
        for feed, words in _FEEDS.items()
        for nodes in _SIZES
    ),
    *(
        Demand("itself", f"CPU, {nodes} nodes, {words}", " %", _of("cpu_moving_percent", nodes, feed=feed), 3)
        for feed, words in _FEEDS.items()
        for nodes in _SIZES
    ),
    *(
        Demand("itself", f"CPU, 1,000 against 50 rows, {words}", " ×", _growth(feed), 1.5)
        for feed, words in _FEEDS.items()
    ),
    *(
        Demand("itself", f"CPU, {nodes} nodes, idle, {words}", " %", _of("cpu_idle_percent", nodes, feed=feed), 0.5)
        for feed, words in _FEEDS.items()
        for nodes in _SIZES
    ),
    *(Demand("itself", f"key to screen p95, {nodes} nodes", " ms", _of("key_p95_ms", nodes), 20) for nodes in _SIZES),
    *(Demand("itself", f"key to screen max, {nodes} nodes", " ms", _of("key_max_ms", nodes), 50) for nodes in _SIZES),
    *(Demand("itself", f"filter max, {nodes} nodes", " ms", _of("filter_max_ms", nodes), 50) for nodes in _SIZES),
    Demand("itself", "presses that were never seen", "", _lost, 0),
    *(
        Demand("itself", f"memory, every screen opened once, {nodes} nodes", " MB", _of("every_screen_mb", nodes), 80)
        for nodes in (50, *_SIZES)
    ),
)  # fmt: skip
