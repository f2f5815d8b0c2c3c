"""Runs: each as it stands, a live one followed, and what can be done about one is the command line's own verb."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_kit import HINT, KEY, NODES, Room, record, whole
from textual.pilot import Pilot
from textual.widgets import Static
from tui_kit import MIXED, NOW, Done

from fleet.control.actions.runlist import RunRow, last_to_change
from fleet.tui.app import FleetTop
from fleet.tui.confirm import Confirm
from fleet.tui.node_screen import NodeScreen
from fleet.tui.rows_screen import RowsScreen
from fleet.tui.run import RunNodes, Story, counted, node_lines, node_story, story_of
from fleet.tui.run_screen import RunScreen
from fleet.tui.runs import Runs, aim_of, run_lines
from fleet.vocabulary.contracts.events import Outcome, Phase, RunEvent

SIZE = (100, 30)


def text(app: FleetTop, name: str) -> str:
    return str(app.screen.query_one(f"#{name}", Static).content)


def painted(app: FleetTop) -> list[str]:
    screen = app.screen
    assert isinstance(screen, RowsScreen)
    found = [screen.lines.render_line(y).text.rstrip() for y in range(1, screen.lines.size.height)]
    return [line for line in found if line]


async def settled(app: FleetTop, pilot: Pilot[None]) -> None:
    await pilot.pause()
    await app.workers.wait_for_complete()
    await pilot.pause()


async def pressed(app: FleetTop, pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settled(app, pilot)


async def opened(app: FleetTop, pilot: Pilot[None], *keys: str) -> None:
    app.tick()
    await pressed(app, pilot, "d", *keys)


async def test_every_run_says_how_it_stands_and_below_stands_why_and_what_to_do(tmp_path: Path) -> None:
    room = Room(tmp_path)
    app, _ = whole(MIXED, tmp_path, runs=room.of("mixed"))
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        assert [line.split("  ")[1].split(" ", 2)[2].split()[1] for line in painted(app)] == [
            "going",
            "left",
            "not",
            "well",
        ]
        assert "do:   enter follows it" in text(app, "detail-text")
        await pressed(app, pilot, "down", "down")
        assert "mini-03 ↩ reverted  its gate did not pass" in text(app, "detail-text")


async def test_a_live_run_is_followed_and_its_end_is_seen(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.of("mixed")
    app, _ = whole(MIXED, tmp_path, runs=room.list)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot, "enter")
        assert painted(app)[0].split()[:3] == ["mini-03", "▶", "revert"]
        assert "MemoryError: the model does not fit" in text(app, "detail-text")
        for line in HINT.splitlines():
            assert f"do:   {line}" in text(app, "detail-text")
        journal = room.live
        assert journal is not None
        journal.say(Phase.DONE, "failed", "went back", node=NODES[2], outcome=Outcome.REVERTED)
        journal.say(Phase.SEND, "progress", node=NODES[3], done=600 * 2**20, total=900 * 2**20)
        app.tick()
        await settled(app, pilot)
        assert "↩ reverted" in painted(app)[0]
        assert any("mini-04" in line and "▶ send" in line for line in painted(app))
        journal.close()
        outcomes = dict.fromkeys(NODES, Outcome.CHANGED) | {NODES[2]: Outcome.REVERTED}
        room.store.save(record(NOW - timedelta(seconds=70), outcomes, minutes=3))
        app.tick()
        await settled(app, pilot)
        assert "■ not well" in text(app, "head")
        assert "1 reverted  4 changed" in text(app, "head")


async def test_a_secret_that_a_service_logged_is_not_on_the_screen(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.of("mixed")
    assert room.live is not None
    room.live.say(Phase.GATE, "failed", "it ended", node=NODES[1], detail=f"bad key {KEY}", hint="look")
    app, _ = whole(MIXED, tmp_path, runs=room.list)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot, "enter")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        screen.lines.put_cursor("mini-02")
        await settled(app, pilot)
        assert "bad key ***" in text(app, "detail-text")
        assert KEY[:20] not in app.export_screenshot()


async def test_enter_on_a_node_of_a_run_opens_it_and_escape_goes_all_the_way_back(tmp_path: Path) -> None:
    room = Room(tmp_path)
    app, _ = whole(MIXED, tmp_path, runs=room.of("healthy"))
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot, "enter", "enter")
        assert isinstance(app.screen, NodeScreen)
        await pressed(app, pilot, "escape", "escape", "escape")
        assert app.screen.NAME == "overview"  # type: ignore[attr-defined]


async def test_a_run_that_was_left_is_gone_on_with_by_its_own_verb(tmp_path: Path) -> None:
    room = Room(tmp_path)
    app, done = whole(MIXED, tmp_path, runs=room.of("stale"))
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        left = room.list.rows()[0].run_id
        await pressed(app, pilot, "C")
        assert isinstance(app.screen, Confirm)
        assert app.screen.argv == ("rollback", "--resume", left)
        await pressed(app, pilot, "n", "down")
        assert not {one.binding.action for one in app.screen.active_bindings.values()} & {
            "act('rollback --resume')",
            "act('deploy --resume')",
        }
        assert done.ran == []


async def test_what_a_run_changed_last_can_be_undone_from_it(tmp_path: Path) -> None:
    room = Room(tmp_path)
    app, _ = whole(MIXED, tmp_path, runs=room.of("healthy"))
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        await pressed(app, pilot, "R")
        assert isinstance(app.screen, Confirm)
        assert app.screen.argv[:3] == ("rollback", "--on", ",".join(NODES))


def test_no_run_undoes_what_a_later_one_changed_and_no_live_one_is_undone(tmp_path: Path) -> None:
    room = Room(tmp_path)
    rows = room.of("mixed").rows()
    going, left, failed, past = rows
    assert aim_of(going, rows, "rollback run") == ("", "")
    assert last_to_change(rows, left) == ()  # the live one changed its only node
    assert last_to_change(rows, failed) == ()
    assert set(last_to_change(rows, past)) == set(NODES[1:])
    assert aim_of(left, rows, "rollback --resume").word == left.run_id
    assert aim_of(left, rows, "deploy --resume") == ("", "")
    assert aim_of(None, rows, "deploy --resume") == ("", "")


def test_a_record_that_did_not_change_is_the_same_row_and_one_that_is_torn_is_none(tmp_path: Path) -> None:
    room = Room(tmp_path)
    before = room.of("mixed").rows()
    after = room.list.rows()
    assert all(one is other for one, other in zip(before, after, strict=True))
    (tmp_path / "runs" / f"{before[-1].run_id}.json").write_bytes(b"{")
    assert [row.run_id for row in room.list.rows()] == [row.run_id for row in before[:-1]]


def test_a_run_whose_journal_is_gone_is_told_by_its_record(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.failed()
    row = room.list.rows()[0]
    lines = node_lines(story_of(row), row, NOW.timestamp(), roomy=False)
    assert [(line.node, line.state.word) for line in lines[:2]] == [("mini-03", "reverted"), ("mini-04", "skipped")]
    said = node_story(story_of(row), lines[0], row, width=80, height=5, unicode=True)
    assert "its gate did not pass" in str(said)


@pytest.mark.parametrize("reads_only", [True, False])
async def test_read_only_offers_nothing_on_any_screen(tmp_path: Path, reads_only: bool) -> None:
    from fleet.tui.palette import Screens, Verbs

    room = Room(tmp_path)
    app, done = whole(MIXED, tmp_path, runs=room.of("stale"), reads_only=reads_only)
    offered = set[str]()
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        for keys in (
            (),
            ("enter",),
            ("escape", "e"),
            ("escape", "d"),
            ("enter",),
            ("escape", "escape", "l"),
            ("ctrl+p",),
        ):
            await pressed(app, pilot, *keys)
            screen = app.screen
            offered |= {one.binding.action for one in screen.active_bindings.values() if "act(" in one.binding.action}
            offered |= {entry.title for entry in Verbs(screen).entries()}
            assert not [entry.title for entry in Screens(screen).entries() if "fleet" in entry.title]
        for verb in Done().verbs:
            await app.run_action(f"act({verb.word!r})")
        assert done.ran == []
    assert bool(offered) is not reads_only


def test_a_screen_that_shows_no_runs_brings_nothing_of_deploys_along() -> None:
    seen = (
        "import sys, fleet.tui.app; print([name for name in sys.modules if name.startswith('fleet.control.desired')])"
    )
    assert subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout == "[]\n"


EVENTS = st.lists(
    st.builds(
        RunEvent,
        run_id=st.just("r"),
        seq=st.integers(0, 99),
        at=st.sampled_from(["", "2026-11-22T11:59:00+00:00", "2026-11-22T12:00:00.500+00:00", "odd"]),
        phase=st.sampled_from(Phase),
        status=st.sampled_from(["start", "ok", "failed", "progress", "note"]),
        node=st.sampled_from(["", *NODES, "gone-1"]),
        text=st.text(max_size=40),
        detail=st.text(max_size=60),
        hint=st.text(max_size=20),
        bytes_done=st.integers(0, 2**40),
        bytes_total=st.integers(0, 2**40),
        outcome=st.none() | st.sampled_from(Outcome),
    ),
    max_size=20,
)


@given(EVENTS, st.integers(40, 200), st.booleans(), st.booleans())
def test_whatever_happens_every_node_has_one_line_that_fits(
    events: list[RunEvent], width: int, unicode: bool, live: bool
) -> None:
    row = RunRow(record(NOW, {NODES[0]: Outcome.CHANGED}, minutes=None, away=NODES[1:2]), live)
    story: Story = story_of(row).after(events)
    lines = node_lines(story, row, NOW.timestamp(), roomy=width >= 100)
    assert {*NODES} <= {line.node for line in lines}
    assert len({line.node for line in lines}) == len(lines) == sum(count for _, count in counted(lines))
    painter = RunNodes(unicode=unicode)
    for line in lines:
        assert len("".join(cell.text for cell in painter.cells(line, width))) <= max(width, 56)
        assert len(node_story(story, line, row, width=width, height=7, unicode=unicode)) <= 7
    assert len("".join(cell.text for cell in Runs(unicode=unicode).cells(row, width))) <= max(width, 60)
    assert len(run_lines(row, last=live, width=width, height=7, unicode=unicode)) <= 7
    again = node_lines(story, row, NOW.timestamp(), roomy=width >= 100, known=lines)
    assert all(one is other for one, other in zip(lines, again, strict=True))
