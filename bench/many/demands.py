"""What `fleet plan` and `fleet deploy` must show on hundreds of nodes with nothing to do. Pure."""

from __future__ import annotations

from bench.demand import Demand
from bench.deploy.rows import Results

FEW, MANY = 50, 200


def more_per_node(results: Results, name: str, *, case: str = "noop") -> float | None:
    """What one node more adds to a figure, between few nodes and many."""
    few, many = (results.row("fleet", case, n, 0) for n in (FEW, MANY))
    if few is None or many is None:
        return None
    most, least = float(getattr(many, name)), float(getattr(few, name))
    return (most - least) / (MANY - FEW)


def _cpu_ms(results: Results) -> float | None:
    seconds = more_per_node(results, "cpu_s_median")
    return None if seconds is None else seconds * 1000


def _more_mb(results: Results) -> float | None:
    return more_per_node(results, "peak_mb")


def _peak_mb(results: Results) -> float | None:
    row = results.row("fleet", "noop", MANY, 0)
    return None if row is None else row.peak_mb


DEMANDS = (
    Demand("itself", "the laptop's processor time for one node more, no-op", " ms", _cpu_ms, 8),
    Demand("itself", "the laptop's memory for one node more, no-op", " MB", _more_mb, 0.1),
    Demand("itself", f"largest process, no-op, {MANY} nodes", " MB", _peak_mb, 60),
)
