"""The traffic screen, driven by keys: sections, the request under the cursor, what its verbs would run."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from textual.widgets import Static
from traffic_kit import EMPTY_TRAFFIC, HEALTHY_TRAFFIC, MIXED_TRAFFIC, Fronts
from tui_kit import MIXED, Done, top

from fleet.control.actions.traffic import Traffic
from fleet.errors import UsageError
from fleet.tui.app import FleetTop
from fleet.tui.confirm import Confirm
from fleet.tui.node_screen import NodeScreen
from fleet.tui.overview_screen import OverviewScreen
from fleet.tui.traffic_rows import Section
from fleet.tui.traffic_screen import TrafficScreen
from fleet.tui.traffic_source import PolledTraffic

SIZE = (120, 40)
_PATIENCE_SECONDS = 60.0


def text(app: FleetTop, name: str) -> str:
    return str(app.screen.query_one(f"#{name}", Static).content)


def screen(app: FleetTop) -> TrafficScreen:
    assert isinstance(app.screen, TrafficScreen)
    return app.screen


def under_cursor(app: FleetTop) -> tuple[Section, str]:
    row = screen(app).lines.row
    assert row is not None
    return row.section, row.name


async def test_t_opens_it_tab_goes_from_section_to_section_and_escape_back() -> None:
    app, _ = top(MIXED, traffic=Fronts(HEALTHY_TRAFFIC))
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("t")
        seen = [under_cursor(app)]
        for _ in range(5):
            await pilot.press("tab")
            seen.append(under_cursor(app))
        assert [section for section, _ in seen] == [
            Section.TRACKS, Section.GRAY, Section.UPSTREAMS, Section.REQUESTS, Section.BUDGETS, Section.TOOLS,
        ]  # fmt: skip
        await pilot.press("tab")
        assert under_cursor(app) == (Section.TRACKS, "fleet")
        await pilot.press("shift+tab")
        assert under_cursor(app)[0] is Section.TOOLS
        await pilot.press("escape")
        assert isinstance(app.screen, OverviewScreen)


async def test_the_line_above_says_of_which_section_the_first_row_in_sight_is() -> None:
    app, _ = top(MIXED, traffic=Fronts(HEALTHY_TRAFFIC))
    async with app.run_test(size=(80, 24)) as pilot:
        app.tick()
        await pilot.press("t")
        assert screen(app).lines.render_line(0).text.split()[0] == "MONTH"
        await pilot.press("end")
        await pilot.pause()
        lines = screen(app).lines
        top_row = lines.rows[lines.scroll_offset.y]
        assert top_row.section is Section.UPSTREAMS
        assert lines.render_line(0).text.split()[0] == "UPSTREAM"


async def test_kill_is_about_the_request_under_the_cursor_and_runs_the_very_command_of_the_box() -> None:
    done, fronts = Done(), Fronts(MIXED_TRAFFIC)
    app, _ = top(MIXED, actions=done, traffic=fronts)
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("t", "tab", "tab", "tab", "tab", "down", "K")
        assert isinstance(app.screen, Confirm)
        assert text(app, "command") == "$ fleet kill 01KAF3QB7M2"
        assert "openclaw-ann" in text(app, "about")
        await pilot.press("y")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert done.ran == [("kill", "01KAF3QB7M2")]
        assert fronts.asked_soon == 1
        flow = MIXED_TRAFFIC.flow
        fronts.newest = replace(MIXED_TRAFFIC, flow=replace(flow, requests=flow.requests[1:]))
        app.tick()
        await pilot.pause()
        assert under_cursor(app) == (Section.REQUESTS, "01KAF3QB7M2"), "an older one ended: the cursor stays"
        for key, word in (("O", "disable"), ("I", "enable")):
            await pilot.press(key)
            assert text(app, "command") == f"$ fleet gray {word} owl-pool", "there is no other gray route"
            await pilot.press("n")


async def test_read_only_ends_no_request_and_enter_opens_the_node_that_one_runs_on() -> None:
    app, _ = top(MIXED, traffic=Fronts(MIXED_TRAFFIC))
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("t", "tab", "tab", "tab", "tab", "K")
        assert isinstance(app.screen, TrafficScreen)
        assert not [one for one in app.screen.active_bindings.values() if one.binding.action.startswith("act(")]
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, NodeScreen)


async def test_without_something_under_the_cursor_the_box_asks() -> None:
    app, _ = top(MIXED, actions=Done(), traffic=Fronts(EMPTY_TRAFFIC))
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("t", "K", *"01X", "enter", "y")
        await app.workers.wait_for_complete()
        assert isinstance(app.actions, Done)
        assert app.actions.ran == [("kill", "01X")]


async def test_the_first_screen_has_its_line_once_a_front_has_said_something_and_no_key_without_one() -> None:
    fronts = Fronts(None)
    app, _ = top(MIXED, traffic=fronts)
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.pause()
        assert not app.screen.query_one("#traffic").display
        fronts.newest = HEALTHY_TRAFFIC
        app.tick()
        await pilot.pause()
        assert app.screen.query_one("#traffic").display
        assert "n 1,203" in text(app, "traffic")
        app.traffic = None
        await pilot.press("t")
        assert isinstance(app.screen, OverviewScreen)


async def test_why_nothing_newer_comes_is_said() -> None:
    fronts = Fronts(None)
    fronts.problem = "no fleet_key in the inventory"
    app, _ = top(MIXED, traffic=fronts)
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("t")
        await pilot.pause()
        assert text(app, "head").startswith("no fleet_key in the inventory")


class Rounds:
    """Writes down how it was asked; waits until it is let go on."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked: list[bool] = []
        self.done = threading.Semaphore(0)
        self.fails = fails

    def look(self, before: Traffic | None = None, *, whole: bool = True) -> Traffic:
        self.asked.append(whole)
        self.done.release()
        if self.fails:
            raise UsageError("there is no front")
        return before or HEALTHY_TRAFFIC

    def wait(self) -> None:
        assert self.done.acquire(timeout=_PATIENCE_SECONDS)


def test_sums_come_each_few_rounds_and_at_once_when_something_was_changed() -> None:
    rounds = Rounds()
    source = PolledTraffic(rounds, every_seconds=0.001, sums_every=3)
    source.start()
    for _ in range(7):
        rounds.wait()
    source.stop()
    assert rounds.asked[:7] == [True, False, False, True, False, False, True]
    slow = Rounds()
    waiting = PolledTraffic(slow, every_seconds=3600.0, sums_every=3600)
    waiting.start()
    slow.wait()
    waiting.soon()
    slow.wait()
    waiting.stop()
    assert slow.asked == [True, True]


@pytest.mark.parametrize("error", ["there is no front"])
def test_a_round_that_fails_says_why_and_the_next_one_comes(error: str) -> None:
    rounds = Rounds(fails=True)
    source = PolledTraffic(rounds, every_seconds=0.001)
    source.start()
    rounds.wait()
    rounds.wait()
    source.stop()
    assert source.problem == error
    assert source.newest is None
