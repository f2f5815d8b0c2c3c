"""Logs: merged by time, followed until somebody reads, filtered, bounded; a node that is away is a line."""

from __future__ import annotations

import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from runs_kit import FakeLogs, lines_of, whole
from textual.pilot import Pilot
from textual.widgets import Static
from tui_kit import MIXED, NOW

from fleet.control.actions.loglines import LogLine
from fleet.tui.app import FleetTop
from fleet.tui.confirm import Confirm
from fleet.tui.logs import LogBook, Logs, line_lines
from fleet.tui.logs_screen import LogsScreen

SIZE = (100, 24)
NODES = ("mini-03", "studio-2", "studio-1")
BASE = NOW.timestamp()


def line(number: int, *, node: str = "mini-03", at: float | None = None, text: str = "") -> LogLine:
    return LogLine(BASE + number if at is None else at, number, node, "agent", text or f"line {number}")


def front(app: FleetTop) -> LogsScreen:
    assert isinstance(app.screen, LogsScreen)
    return app.screen


def head(app: FleetTop) -> str:
    return str(app.screen.query_one("#head", Static).content)


async def opened(app: FleetTop, pilot: Pilot[None], *marks: str) -> None:
    app.tick()
    await pilot.pause()
    await pilot.press(*marks, "l")
    await pilot.pause()
    front(app).take()
    await pilot.pause()


async def test_logs_are_of_the_marked_nodes_and_end_with_the_screen(tmp_path: Path) -> None:
    logs = FakeLogs(lines_of("mixed", NODES))
    app, _ = whole(MIXED, tmp_path, logs=logs)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot, "space", "space", "space")
        assert logs.nodes == NODES
        assert logs.started
        assert [one.node for one in front(app).lines.rows].count("studio-1") == 1
        assert "no logs from here: cannot reach 10.0.0.9" in front(app).lines.rows[-1].text
        await pilot.press("escape")
        await pilot.pause()
        assert logs.stopped


async def test_the_newest_line_is_followed_until_somebody_goes_up_and_again_from_the_end_on(tmp_path: Path) -> None:
    logs = FakeLogs([line(1), line(2)])
    app, _ = whole(MIXED, tmp_path, logs=logs)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        for keys, came, wanted in (((), 3, 3), (("up",), 4, 2), (("end",), 5, 5), (("f",), 6, 5), (("f",), 7, 7)):
            await pilot.press(*keys)
            await pilot.pause()
            logs.lines.append(line(came))
            front(app).take()
            await pilot.pause()
            row = front(app).lines.row
            assert row is not None
            assert row.seq == wanted
            assert ("holds" in head(app)) is (wanted != came)


async def test_a_filter_shows_what_it_says_of_what_is_there_and_of_what_comes(tmp_path: Path) -> None:
    logs = FakeLogs([line(1, text="INFO a"), line(2, text="ERROR b")])
    app, _ = whole(MIXED, tmp_path, logs=logs)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        await pilot.press("slash", *"!info", "enter")
        logs.lines += [line(3, text="INFO c"), line(4, text="ERROR d")]
        front(app).take()
        await pilot.pause()
        assert [one.said for one in front(app).lines.rows] == ["ERROR b", "ERROR d"]
        assert "shown 2 of 4: !info" in head(app)
        await pilot.press("escape")
        await pilot.pause()
        assert len(front(app).lines.rows) == 4


async def test_an_action_is_about_the_node_of_the_line(tmp_path: Path) -> None:
    app, _ = whole(MIXED, tmp_path, logs=FakeLogs([line(1, node="studio-1")]))
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        await pilot.press("D")
        assert isinstance(app.screen, Confirm)
        assert app.screen.argv[:2] == ("drain", "studio-1")


async def test_a_flood_is_said_and_only_what_is_in_sight_is_painted(tmp_path: Path) -> None:
    logs = FakeLogs()
    app, _ = whole(MIXED, tmp_path, logs=logs)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        painter, painted = front(app).painter(), list[LogLine]()
        real = painter.cells
        painter.cells = lambda row, width: (painted.append(row), real(row, width))[1]  # type: ignore[method-assign]
        for second in range(10):
            logs.lines = [line(second * 5000 + number) for number in range(5000)]
            logs.skipped = 100
            front(app).take()
            await pilot.pause()
        assert len(front(app).lines.rows) == 20_000
        assert front(app).lines.rows[-1].seq == 49_999
        assert "1,000 came too fast" in head(app)
        assert len(painted) < 1000
        await pilot.press("up")
        await pilot.pause()
        assert front(app).lines.row is front(app).lines.rows[-2]


STAMPS = st.lists(st.lists(st.tuples(st.integers(0, 50), st.sampled_from(["a", "b", "ab"])), max_size=12), max_size=8)


@given(STAMPS, st.integers(1, 30), st.sampled_from(["", "a", "!a", "a !b"]))
def test_a_book_keeps_the_newest_in_order_and_shows_what_is_sought(
    batches: list[list[tuple[int, str]]], most: int, sought: str
) -> None:
    book, count, whole_list = LogBook(most=most), itertools.count(), list[LogLine]()
    book.seek(sought)
    for batch in batches:
        lines = sorted(LogLine(float(at), next(count), "n", "s", text) for at, text in batch)
        book.add(lines)
        whole_list = sorted([*whole_list, *lines])[-most:]
        assert book.all == whole_list
    words = sought.split()
    lets = [
        one
        for one in book.all
        if all((word[1:] not in f"n s {one.text}") if word[0] == "!" else word in f"n s {one.text}" for word in words)
    ]
    assert book.shown == lets
    book.seek("")
    assert book.shown == book.all


@given(st.text(max_size=80), st.integers(30, 200), st.booleans())
def test_whatever_a_service_writes_is_one_line_that_moves_no_cursor(text: str, width: int, unicode: bool) -> None:
    row = LogLine(BASE, 1, "mini-03", "agent", text)
    for painter in (Logs(["mini-03"], unicode=unicode), Logs(NODES, unicode=unicode)):
        said = "".join(cell.text for cell in painter.cells(row, width))
        assert len(said) <= max(width, 40)
        assert said.isprintable()
    assert all(cell.text.isprintable() for cells in line_lines(row) for cell in cells)
