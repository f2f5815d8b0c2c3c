"""Results as tables of docs/performance.md, between two markers that name the module that made them.

A module `bench.X.table` gives its text to `main`:

python -m bench.X.table            print it
python -m bench.X.table --write    put it between the markers of the page
python -m bench.X.table --check    1 when the page says something else
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from bench.demand import Verdict
from bench.machine import ROOT

PAGE = ROOT / "docs/performance.md"

R = TypeVar("R")


def main(name: str, text: str) -> int:
    """The exit code of `bench/NAME/table.py`."""
    parser = argparse.ArgumentParser(prog=f"bench.{name}.table")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)}")
    what.add_argument("--check", action="store_true", help="whether the page says what the results say")
    asked = parser.parse_args()
    if not (asked.write or asked.check):
        sys.stdout.write(text)
        return 0
    page = PAGE.read_text()
    fresh = put(page, name, text)
    if asked.check:
        return 0 if fresh == page else 1
    PAGE.write_text(fresh)
    return 0


def put(page: str, name: str, text: str) -> str:
    """The page with the text between the markers of `bench/NAME/table.py`. Raises ValueError when it has none."""
    begin, end = (f"<!-- bench/{name}/table.py: {word} -->" for word in ("begin", "end"))
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page wants {begin} and {end}")
    return f"{before}{begin}\n\n{text}\n{end}{after}"


class Run(Protocol):
    """What the results of a run say of the run itself."""

    @property
    def date(self) -> str:
        """When, ISO 8601."""
        ...

    @property
    def seconds(self) -> float:
        """How long it took."""
        ...

    @property
    def machine(self) -> dict[str, str]:
        """On what."""
        ...

    @property
    def versions(self) -> dict[str, str]:
        """Of what."""
        ...


def report(run: Run, verdicts: Iterable[Verdict[R]], heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A run as the page shows it: where, what was demanded, every row."""
    made = where(run.date, run.seconds, run.machine, run.versions)
    return "\n".join((made, demands(verdicts), table(heads, lines)))


def where(date: str, seconds: float, machine: dict[str, str], versions: dict[str, str]) -> str:
    """When and on what a run was made."""
    compared = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Measured {date[:10]} in {seconds / 60:.0f} minutes on {machine.get('processor', 'unknown')}, "
        f"{machine.get('cores', '?')} cores, {machine.get('memory_gib', '?')} GiB, {machine.get('system', 'unknown')}. "
        f"{compared}.\n"
    )


def demands(verdicts: Iterable[Verdict[R]]) -> str:
    """What must be shown, and whether it was."""
    lines = (
        (one.demand.against, one.demand.text, one.demand.bound, one.shown, "yes" if one.holds else "**no**")
        for one in verdicts
    )
    return table(("against", "what", "demand", "measured", "met"), lines)


def number(value: float | None, digits: int = 0) -> str:
    """`-` for what is not known."""
    return "-" if value is None else f"{value:,.{digits}f}"


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    rows = [heads, ["---"] * len(heads), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
