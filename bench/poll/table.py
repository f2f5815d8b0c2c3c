"""The table of docs/performance.md on polling, from bench/results/poll.json (`bench/page.py` says how)."""

from __future__ import annotations

import sys

from bench import page
from bench.demand import judge
from bench.poll.demands import DEMANDS
from bench.poll.rows import Results, load
from bench.poll.run import RESULTS


def tables(results: Results) -> str:
    """As Markdown."""
    heads = (
        *("way", "client's CPU, ms a poll", "idle, % of a core", "an answer (together: a round), ms p50 / p99"),
        *("connecting, ms CPU each", "resident, MB", "threads", "closing all, s"),
    )
    lines = (
        (
            row.way,
            page.number(row.cpu_ms_per_poll, 3),
            page.number(row.idle_percent, 3),
            f"{page.number(row.p50_ms, 1)} / {page.number(row.p99_ms, 1)}",
            page.number(row.connect_ms_each, 1),
            page.number(row.resident_mb),
            page.number(row.threads),
            page.number(row.close_seconds, 2),
        )
        for row in results.rows
    )
    return page.report(results, judge(DEMANDS, results), heads, lines)


if __name__ == "__main__":
    sys.exit(page.main("poll", tables(load(RESULTS))))
