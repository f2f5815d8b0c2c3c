"""No name becomes a formula, and no number becomes a text."""

from __future__ import annotations

import pytest

from fleet.vocabulary.spreadsheet import harmless


@pytest.mark.parametrize("text", ["=1+1", "+49", "-x", "@SUM(A1)", "\tx", "-", "-1.2.3", "+1"])
def test_a_text_that_would_be_a_formula_gets_an_apostrophe(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("value", ["", "flash", "-1.25", "1e3", "-7", 5, -5, 0.5, None])
def test_everything_else_stays(value: object) -> None:
    assert harmless(value) == value
