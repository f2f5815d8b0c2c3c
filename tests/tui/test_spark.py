"""Lines and bars on a scale that all rows share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.tui.spark import bar, spark

READINGS = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=40)


@given(READINGS, st.integers(0, 20), st.booleans())
def test_a_line_is_as_wide_as_asked_and_a_gap_is_a_gap(values: list[float | None], width: int, unicode: bool) -> None:
    drawn = spark(values, width=width, low=0.0, high=100.0, unicode=unicode)
    assert len(drawn) == width
    newest = values[-width:] if width else []
    for sign, value in zip(drawn[width - len(newest) :], newest, strict=True):
        assert (sign == " ") == (value is None)


def test_the_scale_is_fixed_so_rows_can_be_compared() -> None:
    assert spark([1, 2, 3], width=3, low=0, high=100) == "▁▁▁"
    assert spark([95, 95, 95], width=3, low=0, high=100) == "███"
    assert spark([0, 50, 100], width=5, low=0, high=100) == "  ▁▅█"


@given(st.one_of(st.none(), st.floats(-1, 2)), st.integers(1, 20), st.booleans())
def test_a_bar_is_as_wide_as_asked(ratio: float | None, width: int, unicode: bool) -> None:
    assert len(bar(ratio, width=width, unicode=unicode)) == width


def test_nothing_is_drawn_of_what_nobody_knows() -> None:
    assert bar(None, width=4) == "-   "
    assert bar(0.0, width=4) == "····"
    assert bar(1.0, width=4) == "████"
