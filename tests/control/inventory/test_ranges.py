"""Ranges stand for what Ansible reads in them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.inventory.ranges import BadRange, expand


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("mini", "mini"),
        ("mini-[1:3]", "mini-1 mini-2 mini-3"),
        ("mini-[08:10]", "mini-08 mini-09 mini-10"),
        ("mini-[:2]", "mini-0 mini-1 mini-2"),
        ("mini-[1:9:4]", "mini-1 mini-5 mini-9"),
        ("rack-[a:c].x", "rack-a.x rack-b.x rack-c.x"),
        ("[y:B]", "y z A B"),
        ("[a:b]-[1:2]", "a-1 a-2 b-1 b-2"),
        ("m[5:5]", "m5"),
    ],
)
def test_a_range_expands_in_order(pattern: str, names: str) -> None:
    assert " ".join(expand(pattern)) == names


@pytest.mark.parametrize(
    "pattern",
    ["[1:", "1]", "[]", "[1]", "[1:2:3:4]", "[1:]", "[a:3]", "[ab:cd]", "[1:5:0]", "[1:5:-1]", "[-1:5]", "[٣:٤]",
     "[2:1]", "[b:a]", "[01:100]", "[1:10001]", "[1:200][1:200]", "[1:9999999999999999999]"],
)  # fmt: skip
def test_a_range_that_means_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(BadRange):
        expand(pattern)


@given(st.integers(0, 500), st.integers(0, 200), st.integers(1, 9), st.integers(0, 4))
def test_a_numeric_range_counts_as_python_does(first: int, more: int, step: int, width: int) -> None:
    low, high = str(first).zfill(width), str(first + more).zfill(width)
    names = expand(f"n[{low}:{high}:{step}]") if len(low) == len(high) else expand(f"n[{first}:{first + more}:{step}]")
    assert [int(name[1:]) for name in names] == list(range(first, first + more + 1, step))
    assert len(set(names)) == len(names)


@given(st.text("[]:019azAZ-٣", max_size=12))
def test_any_text_is_names_or_a_refusal(pattern: str) -> None:
    with contextlib.suppress(BadRange):
        assert all(isinstance(name, str) for name in expand(pattern))
