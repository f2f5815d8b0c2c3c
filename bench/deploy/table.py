"""The table of docs/performance.md on deploys, from bench/results/deploy.json (`bench/page.py` says how)."""

from __future__ import annotations

import sys

from bench import page
from bench.demand import judge
from bench.deploy.demands import DEMANDS
from bench.deploy.rows import Results, load
from bench.deploy.run import RESULTS


def tables(results: Results) -> str:
    """As Markdown."""
    heads = ("tool", "case", "nodes", "round trip, ms", "wall, s (least-most)", "client CPU, s", "largest process, MB")
    lines = (
        (
            row.tool,
            row.case,
            str(row.n),
            str(row.rtt_ms),
            f"{row.wall_s_median:.2f} ({row.wall_s_least or 0:.2f}-{row.wall_s_most or 0:.2f})",
            f"{row.cpu_s_median:.2f}",
            page.number(row.peak_mb),
        )
        for row in results.rows
    )
    return page.report(results, judge(DEMANDS, results), heads, lines)


if __name__ == "__main__":
    sys.exit(page.main("deploy", tables(load(RESULTS))))
