"""What is broken between words, and what stays whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.cli.lines import fitted, names_text


def test_a_long_hint_goes_on_under_its_first_word() -> None:
    text = "mac-3: refused\n  hint: is Remote Login on, and is this the right port?"
    assert fitted(text, 40) == ("mac-3: refused\n  hint: is Remote Login on, and is this\n        the right port?")


def test_a_line_that_fits_is_left_as_it_is() -> None:
    assert fitted("two  blanks,\tand a tab", 80) == "two  blanks,\tand a tab"


def test_a_path_is_never_broken() -> None:
    path = "/opt/fleet/" + "a" * 60
    assert path in fitted(f"cannot read {path}: it is a folder", 40)


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12), max_size=30))
def test_no_word_is_lost(words: list[str]) -> None:
    assert fitted(" ".join(words), 40).split() == words


def test_of_many_names_the_first_few_are_said_and_how_many_more() -> None:
    assert names_text([f"mini-{n}" for n in range(1, 7)]) == "mini-1, mini-2, mini-3, mini-4, mini-5, mini-6"
    assert names_text([f"mini-{n}" for n in range(1, 41)]) == "mini-1, mini-2, mini-3, mini-4, mini-5 and 35 more"
