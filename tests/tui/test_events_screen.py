"""Events: the newest first, only what lasts, a filter; read again only when something was added."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import Static
from tui_kit import EVENTS, MIXED, NOW, Done, Shown, Written, top, turn

from fleet.control.watch.eventrows import rows_of
from fleet.tui.app import FleetTop
from fleet.tui.confirm import Confirm
from fleet.tui.events import Events, event_lines, shown
from fleet.tui.events_screen import EventsScreen
from fleet.tui.node_screen import NodeScreen
from fleet.vocabulary.names import Health

SIZE = (100, 24)
ROWS = rows_of(EVENTS, NOW)


def text(app: FleetTop, name: str) -> str:
    return str(app.screen.query_one(f"#{name}", Static).content)


def painted(app: FleetTop) -> list[str]:
    screen = app.screen
    assert isinstance(screen, EventsScreen)
    found = [screen.lines.render_line(y).text.rstrip() for y in range(1, screen.lines.size.height)]
    return [line for line in found if line]


async def opened(app: FleetTop, pilot: Pilot[None]) -> None:
    app.tick()
    await pilot.press("e")
    await settled(app, pilot)


async def settled(app: FleetTop, pilot: Pilot[None]) -> None:
    await pilot.pause()
    await app.workers.wait_for_complete()
    await pilot.pause()


async def test_the_newest_is_first_and_says_since_when_and_what_to_do() -> None:
    app, _ = top(MIXED, told=Written(*EVENTS))
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        assert [line.split()[-1] == "" or line.split()[2] for line in painted(app)] == ["lasts", "lasts", "08:00"]
        assert "mini-03" in painted(app)[0]
        assert "■ CRIT" in painted(app)[0]
        assert "do:   fleet drain mini-03" in text(app, "detail-text")
        assert text(app, "head").startswith("3 events of the last 7 days")


async def test_o_leaves_only_what_lasts_and_brings_the_rest_back() -> None:
    app, _ = top(MIXED, told=Written(*EVENTS))
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        await pilot.press("o")
        await settled(app, pilot)
        assert len(painted(app)) == 2
        assert text(app, "head").startswith("2 events that last")
        await pilot.press("o")
        await settled(app, pilot)
        assert len(painted(app)) == 3


async def test_a_filter_holds_until_escape_and_a_second_escape_goes_back() -> None:
    app, _ = top(MIXED, told=Written(*EVENTS))
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        await pilot.press("slash", *"!lasts", "enter")
        await settled(app, pilot)
        assert ["mini-02" in line for line in painted(app)] == [True]
        await pilot.press("escape")
        await settled(app, pilot)
        assert len(painted(app)) == 3
        await pilot.press("escape")
        assert not isinstance(app.screen, EventsScreen)


async def test_what_is_added_comes_and_what_is_known_is_not_read_again() -> None:
    written = Written(*EVENTS)
    app, _ = top(MIXED, told=written)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        for _ in range(3):
            app.tick()
            await settled(app, pilot)
        assert written.reads == 1
        written.told.append(turn("mini-01", "disk_full", Health.WARN, 0.5, text="4 GiB left"))
        app.tick()
        await settled(app, pilot)
        assert written.reads == 2
        assert "4 GiB left" in painted(app)[0]


async def test_enter_opens_the_node_and_an_action_is_about_it() -> None:
    app, _ = top(MIXED, told=Written(*EVENTS), actions=Done())
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        await pilot.press("D")
        assert isinstance(app.screen, Confirm)
        assert app.screen.argv[:2] == ("drain", "mini-03")
        await pilot.press("escape", "enter")
        await pilot.pause()
        assert isinstance(app.screen, NodeScreen)


async def test_a_laptop_without_events_says_that_nothing_went_wrong() -> None:
    app, _ = top(MIXED, told=Written())
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        assert "nothing went wrong, as far as fleet looked" in text(app, "head")


async def test_a_screen_that_stands_still_says_why() -> None:
    app, source = top(MIXED)
    async with app.run_test(size=(140, 24)) as pilot:
        source.problem = "the front cannot be asked"
        app.clock.sleep(45.0)
        app.tick()
        await pilot.pause()
        assert text(app, "head").startswith("the front cannot be asked  no newer look for 45")


async def test_before_the_first_look_its_problem_is_said() -> None:
    app, source = top(None)
    assert isinstance(source, Shown)
    async with app.run_test(size=SIZE) as pilot:
        source.problem = "no session with front-1"
        app.tick()
        await pilot.pause()
        assert text(app, "head").startswith("no session with front-1")


@given(st.integers(20, 200), st.booleans(), st.text(max_size=20))
def test_a_line_is_never_wider_than_the_screen_and_a_filter_never_fails(width: int, unicode: bool, sought: str) -> None:
    painter = Events(unicode=unicode)
    for row in shown(ROWS, NOW, sought=sought, only_lasting=False):
        said = "".join(cell.text for cell in painter.cells(row, width))
        assert len(said) <= max(width, 62)
        assert event_lines(row, height=7, unicode=unicode)


def test_a_second_more_is_no_change() -> None:
    before = shown(ROWS, NOW, sought="", only_lasting=False)
    later = shown(rows_of(EVENTS, NOW.replace(second=1)), NOW, sought="", only_lasting=False, known=before)
    assert all(one is other for one, other in zip(before, later, strict=True))
