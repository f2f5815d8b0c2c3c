"""The tables of docs/performance.md, from bench/results/gateway.json.

python -m bench.gateway.table            print them
python -m bench.gateway.table --write    put them between the markers of the page
python -m bench.gateway.table --check    1 when the page says something else
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.gateway.demands import verdicts
from bench.gateway.rows import Results, Row, load

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench/results/gateway.json"
PAGE = ROOT / "docs/performance.md"
BEGIN, END = "<!-- bench/gateway/table.py: begin -->", "<!-- bench/gateway/table.py: end -->"


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench.gateway.table", description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)}")
    what.add_argument("--check", action="store_true", help="whether the page says what the results say")
    asked = parser.parse_args()
    text = tables(load(RESULTS))
    if not (asked.write or asked.check):
        sys.stdout.write(text)
        return 0
    page = PAGE.read_text()
    fresh = put(page, text)
    if asked.check:
        return 0 if fresh == page else 1
    PAGE.write_text(fresh)
    return 0


def put(page: str, text: str) -> str:
    """The page with the text between its markers. Raises ValueError when it has none."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the page wants {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def tables(results: Results) -> str:
    """All of them, as Markdown."""
    return "\n".join((_where(results), _demands(results), _unary(results), _streams(results), _memory(results)))


def _where(results: Results) -> str:
    machine, versions = results.machine, results.versions
    compared = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Measured {results.date[:10]} in {results.seconds / 60:.0f} minutes on {machine.get('processor', 'unknown')}, "
        f"{machine.get('cores', '?')} cores, {machine.get('memory_gib', '?')} GiB, {machine.get('system', 'unknown')}; "
        f"precedence `{results.priority}`. {compared}.\n"
    )


def _demands(results: Results) -> str:
    lines = (
        (
            verdict.demand.against,
            verdict.demand.text,
            verdict.demand.bound,
            verdict.shown,
            "yes" if verdict.holds else "**no**",
        )
        for verdict in verdicts(results)
    )
    return "### What must be shown\n\n" + _table(("against", "what", "demand", "measured", "met"), lines)


def _unary(results: Results) -> str:
    lines = []
    for target in _targets(results):
        one, many, agent = (results.row(target, case) for case in ("unary_c1", "unary_c64", "agent_92k"))
        lines.append(
            (
                target,
                f"{_field(one, 'p50_ms', 3)} / {_field(one, 'p99_ms', 2)}",
                _field(agent, "p50_ms", 3),
                _field(many, "rps"),
                f"{_field(many, 'p50_ms', 1)} / {_field(many, 'p99_ms', 1)}",
                _field(many, "cpu_us_per_unit"),
            )
        )
    heads = (
        *("target", "1 connection, ms p50 / p99", "92 KB request, ms p50"),
        *("64 connections, requests/s", "ms p50 / p99", "CPU µs a request"),
    )
    return "### Unary\n\n" + _table(heads, lines)


def _streams(results: Results) -> str:
    lines = []
    for target in _targets(results):
        for case in ("stream_200", "stream_1000", "stream_2000"):
            row = results.row(target, case)
            if row is None:
                continue
            lines.append(
                (
                    target,
                    f"{int(case.removeprefix('stream_')):,}",
                    f"{row.asked - row.failed:,.0f} of {row.asked:,.0f}",
                    _number(row.chunks_per_second),
                    f"{_number(row.p50_ms, 2)} / {_number(row.p99_ms, 1)}",
                    f"{_number(row.first_chunk_p50_ms, 1)} / {_number(row.first_chunk_p99_ms, 1)}",
                    _number(row.cpu_us_per_unit),
                    _number(row.rss_mb),
                )
            )
    heads = (
        *("target", "at once", "whole", "chunks/s", "age of a chunk, ms p50 / p99"),
        *("first chunk, ms p50 / p99", "CPU µs a chunk", "memory, MB"),
    )
    return "### Streams\n\n" + _table(heads, lines)


def _memory(results: Results) -> str:
    stalled = {one.target: one.rss_mb_per_reader for one in results.stalled}
    lines = (
        (
            start.target,
            _number(start.start_seconds, 2),
            _number(start.idle_rss_mb),
            _number(stalled.get(start.target), 2),
        )
        for start in results.starts
    )
    heads = ("target", "exec to its health door, s", "idle, MB", "a stalled reader, MB")
    return "### Start and memory\n\n" + _table(heads, lines)


def _targets(results: Results) -> Iterable[str]:
    return dict.fromkeys(row.target for row in results.rows)


def _field(row: Row | None, name: str, digits: int = 0) -> str:
    return _number(getattr(row, name) if row else None, digits)


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
