"""The table of docs/performance.md on the ledger, from bench/results/ledger.json (`bench/page.py` says how)."""

from __future__ import annotations

import sys

from bench import page
from bench.demand import judge
from bench.ledger.demands import DEMANDS
from bench.ledger.rows import Results, load
from bench.ledger.run import RESULTS


def tables(results: Results) -> str:
    """As Markdown."""
    heads = ("case", "pairs/s", "CPU µs a pair", "wait for a reserve, µs p50 / p90 / p99", "rows a commit")
    lines = (
        (
            row.case,
            page.number(row.pairs_per_second),
            page.number(row.cpu_us_per_pair),
            " / ".join(page.number(one) for one in (row.wait_p50_us, row.wait_p90_us, row.wait_p99_us)),
            page.number(row.rows_per_commit, 1),
        )
        for row in results.rows
    )
    return page.report(results, judge(DEMANDS, results), heads, lines)


if __name__ == "__main__":
    sys.exit(page.main("ledger", tables(load(RESULTS))))
