"""What the ledger must show, beside SQLite as one would use it first, in the same run. Pure."""

from __future__ import annotations

from collections.abc import Callable

from bench.demand import Demand, field, ratio
from bench.ledger.rows import Results

_PER_PAIR_US = 1e6


def _field(name: str, case: str) -> Callable[[Results], float | None]:
    return lambda results: field(results.row(case), name)


def _us_per_pair(case: str) -> Callable[[Results], float | None]:
    speed = _field("pairs_per_second", case)
    return lambda results: ratio(_PER_PAIR_US, speed(results))


def _against(naive: str, case: str) -> Callable[[Results], float | None]:
    ours, theirs = _us_per_pair(case), _us_per_pair(naive)
    return lambda results: ratio(ours(results), theirs(results))


DEMANDS = (
    Demand(
        "itself", "time of a reserve and its settle, as many as it takes (20,000/s)", " µs", _us_per_pair("many"), 50
    ),
    Demand(
        "itself",
        "wait for a reserve p50, 1,000 requests/s in the gateway's loop",
        " µs",
        _field("wait_p50_us", "busy"),
        150,
    ),
    Demand("itself", "wait for a reserve p50, one at a time", " µs", _field("wait_p50_us", "alone"), 150),
    Demand("a transaction a row", "time of a reserve and its settle", " ×", _against("naive", "many"), 0.6),
    Demand(
        "a transaction a row, synced",
        "time of a reserve and its settle, synced",
        " ×",
        _against("naive_full", "many_full"),
        0.25,
    ),
)
