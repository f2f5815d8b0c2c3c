"""The table of docs/performance.md on hundreds of nodes, from bench/results/many.json (`bench/page.py` says how)."""

from __future__ import annotations

import sys

from bench import page
from bench.demand import judge
from bench.deploy.rows import Results, load
from bench.many.demands import DEMANDS
from bench.many.run import RESULTS

_CASES = {"noop": "`fleet deploy`, nothing to do", "plan": "`fleet plan`"}


def tables(results: Results) -> str:
    """As Markdown."""
    heads = ("case", "nodes", "wall, s (least-most)", "laptop's CPU, s", "largest process, MB")
    lines = (
        (
            _CASES.get(row.case, row.case),
            str(row.n),
            f"{row.wall_s_median:.2f} ({row.wall_s_least or 0:.2f}-{row.wall_s_most or 0:.2f})",
            f"{row.cpu_s_median:.2f}",
            page.number(row.peak_mb),
        )
        for row in results.rows
    )
    return page.report(results, judge(DEMANDS, results), heads, lines)


if __name__ == "__main__":
    sys.exit(page.main("many", tables(load(RESULTS))))
