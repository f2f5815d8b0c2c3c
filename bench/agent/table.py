"""The table of docs/performance.md on the agent, from bench/results/agent.json (`bench/page.py` says how)."""

from __future__ import annotations

import sys

from bench import page
from bench.agent.demands import DEMANDS
from bench.agent.rows import Results, load
from bench.agent.run import RESULTS
from bench.demand import judge


def tables(results: Results) -> str:
    """As Markdown."""
    heads = (
        *("agent", "CPU, % of a core", "resident / own part, MB", "a scrape, ms p50 / p99", "page, kB"),
        *("exec to the first page, s", "forks / threads made in 30 s"),
    )
    lines = (
        (
            row.agent,
            page.number(row.cpu_percent, 3),
            f"{row.resident_mb:.1f} / {row.own_mb:.1f}",
            f"{row.p50_ms:.2f} / {row.p99_ms:.2f}",
            page.number(row.page_kb, 1),
            page.number(row.start_seconds, 2),
            f"{page.number(row.forks)} / {page.number(row.threads_made)}",
        )
        for row in results.rows
    )
    return page.report(results, judge(DEMANDS, results), heads, lines)


if __name__ == "__main__":
    sys.exit(page.main("agent", tables(load(RESULTS))))
