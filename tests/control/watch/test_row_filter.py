"""The filter of rows: what is asked for is shown, and a typo hides nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.watch.rowfilter import KEYS, parse_filter, severity, state_word
from fleet.control.watch.roworder import READINGS, Order, natural, ordered
from fleet.control.watch.view import Concern, NodeRow, Reach, ServedModel
from fleet.vocabulary.names import Freshness, Health, Intent, NodeName
from fleet.vocabulary.units import GIB


def row(name: str, **changes: Any) -> NodeRow:
    values = {"freshness": Freshness.LIVE, "health": Health.OK, "reach": Reach.ANSWERED, **changes}
    return NodeRow(node=NodeName(name), **values)


SICK = row(
    "mini-2",
    health=Health.CRITICAL,
    groups=("mlx", "berlin"),
    problem="memory pressure critical",
    concerns=(Concern(code="pressure", health=Health.CRITICAL, text="memory pressure critical"),),
    models=(ServedModel(name="mlx-community/Qwen3-8B", sidecar="chat"),),
    wired_headroom_bytes=GIB // 2,
    pressure_level=4,
    age_seconds=3.0,
)
WELL = row("mini-10", groups=("mlx",), wired_headroom_bytes=8 * GIB, pressure_level=1, chip="Apple M4", age_seconds=1.0)
GONE = row("mini-3", freshness=Freshness.OFFLINE, reach=Reach.UNREACHABLE, health=Health.UNKNOWN, age_seconds=900.0)
NEVER = row("new-1", freshness=Freshness.NEVER_SEEN, reach=Reach.NOT_ADOPTED, health=Health.UNKNOWN)
SILENT = row("mini-4", reach=Reach.AGENT_SILENT, freshness=Freshness.STALE, health=Health.CRITICAL)
DRAINED = row("mini-5", intent=Intent.DRAINED, groups=("mlx-old",))
ROWS = [SICK, WELL, GONE, NEVER, SILENT, DRAINED]


def shown(text: str) -> set[str]:
    return {str(one.node) for one in ROWS if parse_filter(text).lets(one)}


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("", {"mini-2", "mini-10", "mini-3", "new-1", "mini-4", "mini-5"}),
        ("/qwen", {"mini-2"}),
        ("/!mini", {"new-1"}),
        ("/tag=mlx", {"mini-2", "mini-10"}),
        ("/tag=mlx !berlin", {"mini-10"}),
        ("/state>=warn", {"mini-2", "mini-3", "mini-4"}),
        ("/state=crit", {"mini-2"}),
        ("/!state=ok", {"mini-2", "mini-3", "new-1", "mini-4"}),
        ("/headroom<=1GiB", {"mini-2"}),
        ("/headroom>=1GiB", {"mini-10"}),
        ("/age>=5m", {"mini-3"}),
        ("/press>=2", {"mini-2"}),
        ("/press!=4", {"mini-10"}),
        ("/intent=drained", {"mini-5"}),
        ("/intent!=drained state=ok", {"mini-10"}),
        ("/problem=press", {"mini-2"}),
        ("/m4", {"mini-10"}),
    ],
)
def test_every_word_asks_for_what_it_says(text: str, nodes: set[str]) -> None:
    assert shown(text) == nodes
    assert parse_filter(text).problem == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("/stat=ok", "stat: not one of state"),
        ("/state>=bad", "state: not one of ok"),
        ("/tag>=mlx", "has no order"),
        ("/headroom>=much", "much is no size"),
        ("/age>=soon", "soon is no span"),
        ("/press=high", "high is no number"),
        ("/tag=", "what should tag be?"),
    ],
)
def test_a_word_that_is_not_understood_is_said_and_hides_nothing(text: str, problem: str) -> None:
    assert problem in parse_filter(text).problem
    assert shown(text) == shown("")
    assert shown(f"{text} qwen") == {"mini-2"}


@given(st.text(max_size=40) | st.builds("{}{}{}".format, st.sampled_from(KEYS), st.sampled_from("=<>!"), st.text()))
def test_no_text_makes_an_error(text: str) -> None:
    found = parse_filter(text)
    for one in ROWS:
        found.lets(one)


def test_by_default_what_is_wrong_comes_first_then_names_as_people_count() -> None:
    assert [str(one.node) for one in ordered(ROWS, Order())] == [
        "mini-2", "mini-4", "mini-3", "new-1", "mini-5", "mini-10",
    ]  # fmt: skip
    assert natural("mini-2") < natural("mini-10")


@pytest.mark.parametrize("by", ["node", *READINGS])
def test_every_order_keeps_every_row_and_unknown_readings_last(by: str) -> None:
    for turned in (False, True):
        found = ordered(ROWS, Order(by, turned))
        assert sorted(found, key=lambda one: one.node) == sorted(ROWS, key=lambda one: one.node)
        if by in READINGS:
            known = [READINGS[by](one) is not None for one in found]
            assert known == sorted(known, reverse=True)


def test_the_state_of_a_row_is_how_far_it_can_be_trusted_then_how_it_is() -> None:
    assert [state_word(one) for one in ROWS] == ["critical", "ok", "offline", "unknown", "silent", "ok"]
    assert state_word(row("a", freshness=Freshness.STALE)) == "stale"
    assert state_word(row("a", freshness=Freshness.STALE, health=Health.WARN)) == "warn"
    assert severity(GONE) == severity(SICK) > severity(WELL)
