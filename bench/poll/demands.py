"""What fleet's poller must show beside bare HTTP and paramiko as it comes, in the same run. Pure.

Each side polls as it does by itself: bare HTTP and stock paramiko one node after the other, evenly spread; fleet, which
was built for it, several nodes per wake-up. The rows of the other paces are for information.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.demand import Demand, field, ratio
from bench.poll.rows import Results


def _field(name: str, way: str = "fleet") -> Callable[[Results], float | None]:
    return lambda results: field(results.row(way), name)


def _against(way: str, name: str) -> Callable[[Results], float | None]:
    mine, theirs = _field(name), _field(name, way)
    return lambda results: ratio(mine(results), theirs(results))


DEMANDS = (
    Demand("bare HTTP", "client's processor time per poll", " ×", _against("direct", "cpu_ms_per_poll"), 2.0),
    Demand("stock paramiko", "client's processor time per poll", " ×", _against("stock", "cpu_ms_per_poll"), 0.4),
    Demand("stock paramiko", "idle, 100 connections", " ×", _against("stock", "idle_percent"), 0.1),
    Demand("itself", "polls that failed", "", _field("failed"), 0),
)
