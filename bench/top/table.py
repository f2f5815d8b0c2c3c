"""The table of docs/performance.md on the screen, from bench/results/top.json (`bench/page.py` says how)."""

from __future__ import annotations

import sys

from bench import page
from bench.demand import judge
from bench.top.demands import DEMANDS
from bench.top.rows import Results, Row, load
from bench.top.run import RESULTS

_HEADS = (
    "screen", "fed", "nodes", "CPU %: cells move / nothing does", "kB/s", "key ms p50 / p95 / max",
    "filter ms p50 / p95 / max", "MB: at first / every screen opened",
)  # fmt: skip


def tables(results: Results) -> str:
    """As Markdown."""
    return page.report(results, judge(DEMANDS, results), _HEADS, map(_line, results.rows))


def _line(row: Row) -> tuple[str, ...]:
    return (
        "`fleet top`" if row.screen == "top" else "DataTable",
        row.feed,
        page.number(row.nodes),
        _joined(row.cpu_moving_percent, row.cpu_idle_percent, digits=2),
        page.number(row.output_moving_kb, 1),
        _joined(row.key_p50_ms, row.key_p95_ms, row.key_max_ms),
        _joined(row.filter_p50_ms, row.filter_p95_ms, row.filter_max_ms),
        _joined(row.resident_mb, row.every_screen_mb, digits=0),
    )


def _joined(*values: float | None, digits: int = 1) -> str:
    return " / ".join(page.number(value, digits) for value in values)


if __name__ == "__main__":
    sys.exit(page.main("top", tables(load(RESULTS))))
