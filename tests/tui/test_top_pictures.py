"""The pictures of the guide: they stand alone, and each says by itself who is sick, why, and what to type."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from pictures import DOCS, PICTURES, fleet

from fleet.vocabulary.names import Health

ALLOWED = {"http://www.w3.org/2000/svg", "https://www.textualize.io"}
"""The namespace, and a word in a comment."""


def words(file: Path) -> str:
    """The text of a picture; a word ends where its colour does."""
    found = re.findall(r"<text[^>]*>([^<]*)</text>", file.read_text())
    return " ".join(unescape(" ".join(found)).split()).replace(" ;", ";")


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_fetches_nothing_and_the_guide_shows_it(name: str) -> None:
    text = (DOCS / f"top-{name}.svg").read_text()
    assert set(re.findall(r"https?://[^\s\"'<>)]+", text)) <= ALLOWED
    assert "@font-face" not in text
    assert "@import" not in text
    assert f"(top-{name}.svg)" in (DOCS / "top.md").read_text()


@pytest.mark.parametrize("name", ["overview", "node"])
def test_a_picture_of_a_sick_node_says_why_and_the_next_command(name: str) -> None:
    sickest = next(row for row in fleet().rows if row.health is Health.CRITICAL)
    said = words(DOCS / f"top-{name}.svg")
    assert sickest.problem is not None
    assert sickest.problem in said
    assert f"do: {sickest.hint}" in said


def test_the_picture_of_the_fleet_has_both_sick_nodes_first() -> None:
    said = words(DOCS / "top-overview.svg")
    assert said.index("mini-03") < said.index("studio-1") < said.index("front-1")
