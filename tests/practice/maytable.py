"""Reads the table of May 2026 and the week before it from tests/samples/rankings."""

from __future__ import annotations

from pathlib import Path

from fleet.practice.rankings.ranking import Ranking
from fleet.practice.rankings.reading import read_text
from fleet.practice.rankings.week import Week

FOLDER = Path(__file__).parents[1] / "samples" / "rankings"
W20, W21 = Week(2026, 20), Week(2026, 21)


def text_of(week: Week) -> str:
    """The Markdown as a person would have copied it."""
    return (FOLDER / f"{week}.md").read_text(encoding="utf-8")


def ranking_of(week: Week) -> Ranking:
    """The same, read. Nothing in it is odd."""
    read = read_text(text_of(week), kind="markdown", week=week, as_of=week.sunday.isoformat())
    assert read.odd == ()
    return read.rankings[0]
