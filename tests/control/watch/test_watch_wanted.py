"""Drain and resume are events: told once, with the time since when, over commands and looks of several laptops."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fleet.control.watch.book import HealthBook
from fleet.control.watch.eventrows import EventRow, rows_of
from fleet.control.watch.wanted import Wanted, turned_intents
from fleet.vocabulary.eventfiles import EventFiles
from fleet.vocabulary.health.state import Transition
from fleet.vocabulary.names import Health, Intent, NodeName

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINI = NodeName("mini-1")


def look(folder: Path, at: datetime, intent: Intent | None, *, since: datetime | None = None) -> None:
    wanted = {} if intent is None else {MINI: Wanted(intent, (since or at).timestamp())}
    HealthBook(folder).look({}, at, known=[MINI], wanted=wanted)


def rows(folder: Path, now: datetime) -> tuple[EventRow, ...]:
    return rows_of(EventFiles(folder).read(), now)


def test_a_drain_is_a_row_from_its_beginning_to_the_resume(tmp_path: Path) -> None:
    began, minute = NOW - timedelta(minutes=3), timedelta(minutes=1)
    look(tmp_path, NOW, Intent.SERVING)
    look(tmp_path, NOW + minute, Intent.DRAINING, since=began)
    look(tmp_path, NOW + 2 * minute, Intent.DRAINED, since=began)
    look(tmp_path, NOW + 3 * minute, Intent.DRAINED, since=began)
    (row,) = rows(tmp_path, NOW + 4 * minute)
    assert (row.check, row.intent, row.health, row.since, row.until) == (
        "intent",
        Intent.DRAINED,
        Health.OK,
        began,
        None,
    )
    assert (row.text, row.do) == ("drained: it gets no new work", "fleet resume mini-1")
    look(tmp_path, NOW + 5 * minute, None)
    look(tmp_path, NOW + 6 * minute, Intent.SERVING)
    (row,) = rows(tmp_path, NOW + 9 * minute)
    assert (row.until, row.lasted_seconds) == (NOW + 6 * minute, 540.0)
    assert len([*EventFiles(tmp_path).read()]) == 3


def test_a_node_that_left_the_inventory_leaves_no_open_row(tmp_path: Path) -> None:
    look(tmp_path, NOW, Intent.DRAINED)
    HealthBook(tmp_path).look({}, NOW + timedelta(hours=1), known=[NodeName("other")])
    (row,) = rows(tmp_path, NOW + timedelta(hours=2))
    assert row.until == NOW + timedelta(hours=1)


intents = st.sampled_from(Intent)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]).map(NodeName), intents), max_size=30))
def test_the_told_changes_lead_from_one_intent_to_the_next_and_rows_never_overlap(
    looks: list[dict[NodeName, Intent]],
) -> None:
    drained: dict[str, Wanted] = {}
    told: list[Transition] = []
    shown: dict[str, Intent] = {}
    for index, said in enumerate(looks):
        now = 1000.0 + 10 * index
        wanted = {name: Wanted(intent, now) for name, intent in said.items()}
        drained, changes = turned_intents(drained, wanted, now, known={"a", "b"})
        for one in changes:
            assert one.intent is not None
            assert one.intent is not shown.get(one.node, Intent.SERVING)
            assert one.began_seconds <= one.since_seconds <= one.at_seconds
            shown[one.node] = one.intent
        told += changes
        assert {name: shown.get(name, Intent.SERVING) for name in said} == said
    for name in ("a", "b"):
        found = [row for row in rows_of(told, datetime.fromtimestamp(5000, UTC)) if row.node == name]
        ends = [row.until for row in found]
        assert all(end is not None and end <= after.since for end, after in zip(ends, found[1:], strict=False))
        assert (bool(ends) and ends[-1] is None) == (shown.get(name, Intent.SERVING) is not Intent.SERVING)
