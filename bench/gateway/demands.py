"""What fleet's gateway must show beside its peers, and whether a run shows it. Pure: results in, verdicts out.

A demand that was not measured is not met. An added time is that of the target minus that of the mock asked directly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.gateway.rows import CASES, Results

NEEDED_STREAMS = 1000


@dataclass(frozen=True)
class Demand:
    """`measure` gives None for what was not measured. `least` or `most` is the bound; it may be reached
    unless `strict`."""

    against: str
    text: str
    unit: str
    measure: Callable[[Results], float | None]
    least: float | None = None
    most: float | None = None
    strict: bool = False

    @property
    def bound(self) -> str:
        """As people write it."""
        sign, value = ("≥", self.least) if self.most is None else ("<" if self.strict else "≤", self.most)
        return f"{sign} {value:g}{self.unit}"


@dataclass(frozen=True)
class Verdict:
    """One demand and what the run says of it. `measured` is None when the run does not know."""

    demand: Demand
    measured: float | None

    @property
    def holds(self) -> bool:
        """Whether it is met."""
        demand, measured = self.demand, self.measured
        if measured is None or math.isnan(measured):
            return False
        if demand.most is not None and (measured >= demand.most if demand.strict else measured > demand.most):
            return False
        return demand.least is None or measured >= demand.least

    @property
    def shown(self) -> str:
        """The measured value as people write it."""
        if self.measured is None:
            return "not measured"
        digits = 3 if abs(self.measured) < 1 else 2 if abs(self.measured) < 10 else 0
        return f"{self.measured:,.{digits}f}{self.demand.unit}"


def verdicts(results: Results, against: Iterable[str] | None = None) -> tuple[Verdict, ...]:
    """Every demand, or those against these targets ("itself" = the absolute guards)."""
    wanted = None if against is None else frozenset(against)
    return tuple(
        Verdict(demand, demand.measure(results)) for demand in DEMANDS if wanted is None or demand.against in wanted
    )


def _rps(results: Results, target: str) -> float | None:
    row = results.row(target, "unary_c64")
    return row.rps if row else None


def _added_ms(results: Results, target: str, case: str) -> float | None:
    row, direct = results.row(target, case), results.row("direct", case)
    if row is None or direct is None or row.p50_ms is None or direct.p50_ms is None:
        return None
    return row.p50_ms - direct.p50_ms


def _ratio(above: float | None, below: float | None) -> float | None:
    if above is None or below is None or below <= 0:
        return None
    return above / below


def _rps_against(target: str) -> Callable[[Results], float | None]:
    return lambda results: _ratio(_rps(results, "fleet"), _rps(results, target))


def _added_against(target: str, case: str) -> Callable[[Results], float | None]:
    """The peer's added time over ours. Ours below zero is noise around nothing: not measured."""
    return lambda results: _ratio(_added_ms(results, target, case), _added_ms(results, "fleet", case))


def _field(case: str, name: str, target: str = "fleet") -> Callable[[Results], float | None]:
    def read(results: Results) -> float | None:
        row = results.row(target, case)
        value: float | None = getattr(row, name) if row else None
        return value

    return read


def _field_against(target: str, case: str, name: str) -> Callable[[Results], float | None]:
    ours, theirs = _field(case, name), _field(case, name, target)
    return lambda results: _ratio(ours(results), theirs(results))


def _whole_streams(results: Results) -> float | None:
    row = results.row("fleet", "stream_1000")
    return row.asked - row.failed if row else None


def _failed(results: Results) -> float | None:
    rows = [results.row("fleet", case) for case in CASES]
    return None if None in rows else sum(row.failed for row in rows if row)


def _idle_mb(results: Results) -> float | None:
    return next((start.idle_rss_mb for start in results.starts if start.target == "fleet"), None)


def _start_seconds(results: Results) -> float | None:
    return next((start.start_seconds for start in results.starts if start.target == "fleet"), None)


def _stalled_mb(results: Results) -> float | None:
    return next((one.rss_mb_per_reader for one in results.stalled if one.target == "fleet"), None)


DEMANDS = (
    Demand("litellm", "requests/s, 64 connections", " ×", _rps_against("litellm"), least=40),
    Demand(
        "litellm", "added p50, 1 connection: LiteLLM's over ours", " ×", _added_against("litellm", "unary_c1"), least=25
    ),
    Demand(
        "litellm",
        "added p50, 92 KB request: LiteLLM's over ours",
        " ×",
        _added_against("litellm", "agent_92k"),
        least=12,
    ),
    Demand("portkey", "requests/s, 64 connections", " ×", _rps_against("portkey"), least=10),
    Demand(
        "portkey", "added p50, 1 connection: Portkey's over ours", " ×", _added_against("portkey", "unary_c1"), least=4
    ),
    Demand("p_aiohttp", "requests/s, 64 connections", " ×", _rps_against("p_aiohttp"), least=0.7),
    Demand(
        "p_aiohttp",
        "CPU per chunk, 200 streams",
        " ×",
        _field_against("p_aiohttp", "stream_200", "cpu_us_per_unit"),
        most=1.5,
    ),
    Demand(
        "direct",
        "chunks/s, 200 streams × 10 ms",
        " ×",
        _field_against("direct", "stream_200", "chunks_per_second"),
        least=0.98,
    ),
    Demand(
        "direct", "age of a chunk p50, 200 streams × 10 ms", " ms", _field("stream_200", "p50_ms"), most=1, strict=True
    ),
    Demand("itself", "whole streams of 1,000 × 50 ms", "", _whole_streams, least=NEEDED_STREAMS),
    Demand(
        "itself",
        "first chunk p99, 1,000 streams",
        " ms",
        _field("stream_1000", "first_chunk_p99_ms"),
        most=250,
        strict=True,
    ),
    Demand("itself", "memory with 2,000 streams", " MB", _field("stream_2000", "rss_mb"), most=200, strict=True),
    Demand("itself", "memory of a stalled reader", " MB", _stalled_mb, most=1, strict=True),
    Demand("itself", "memory when idle", " MB", _idle_mb, most=60, strict=True),
    Demand("itself", "exec to /healthz", " s", _start_seconds, most=1, strict=True),
    Demand("itself", "answers that were not whole, all cases", "", _failed, most=0),
)
