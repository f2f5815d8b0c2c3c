"""The overview, driven by keys and mouse."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Static
from tui_kit import ALL_STALE, EMPTY, HEALTHY, MIXED, SICK, Shown, node, top, view

from fleet.control.watch.rowfilter import Filter
from fleet.control.watch.roworder import Order
from fleet.control.watch.view import FleetView, NodeRow
from fleet.tui.app import FleetTop
from fleet.tui.lines import Cell, Lines
from fleet.tui.overview import TopRow
from fleet.vocabulary.names import Health

SIZES = [(80, 24), (120, 40), (200, 50)]


def lines(app: FleetTop) -> Lines[TopRow]:
    return app.screen.query_one("#lines", Lines)


def text(app: FleetTop, name: str) -> str:
    return str(app.screen.query_one(f"#{name}", Static).content)


def painted(app: FleetTop) -> list[str]:
    """The lines as they stand on the screen."""
    shown = lines(app)
    return [shown.render_line(y).text.rstrip() for y in range(shown.size.height)]


async def look(app: FleetTop, pilot: Pilot[None], source: Shown, found: FleetView) -> None:
    source.newest = found
    app.tick()
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("found", [HEALTHY, MIXED, ALL_STALE, EMPTY])
async def test_every_node_has_its_line_at_every_size(found: FleetView, size: tuple[int, int]) -> None:
    app, _ = top(found)
    async with app.run_test(size=size) as pilot:
        app.tick()
        await pilot.pause()
        shown = [line.split()[0] for line in painted(app)[1:] if line.strip()]
        assert sorted(shown) == sorted(row.node for row in found.rows)
        assert all(len(line) <= size[0] for line in painted(app))


async def test_the_sickest_node_is_first_and_below_stands_why_and_what_to_do() -> None:
    app, _ = top(MIXED)
    async with app.run_test(size=(120, 30)) as pilot:
        app.tick()
        await pilot.pause()
        assert "mini-03" in painted(app)[1]
        assert "■ CRIT" in painted(app)[1]
        detail = text(app, "detail-text")
        assert "it swaps: 310 MB/s written" in detail
        assert "for 2m 10s" in detail
        assert "then: new requests go elsewhere" in detail
        assert "fleet drain mini-03" in detail
        assert "■ CRIT 1" in text(app, "head")


async def test_the_cursor_stays_on_its_node_wherever_that_goes() -> None:
    app, source = top(MIXED)
    async with app.run_test(size=(120, 30)) as pilot:
        app.tick()
        await pilot.press("down", "down")
        chosen = lines(app).row
        assert chosen is not None
        assert chosen.row.node == "studio-1"
        well = msgspec.structs.replace(SICK, health=Health.OK, concerns=())
        await look(app, pilot, source, view(*(well if row is SICK else row for row in MIXED.rows)))
        after = lines(app).row
        assert after is not None
        assert after.row.node == "studio-1"


async def test_a_filter_shows_what_it_says_while_it_is_typed_and_a_typo_hides_nothing() -> None:
    app, _ = top(MIXED)
    async with app.run_test(size=(120, 30)) as pilot:
        app.tick()
        await pilot.press("slash", *"state>=warn", "enter")
        assert len([line for line in painted(app)[1:] if line.strip()]) == 3
        assert "shown 3: state>=warn" in text(app, "head")
        await pilot.press("escape", "slash", *"stat=ok")
        assert len([line for line in painted(app)[1:] if line.strip()]) == len(MIXED.rows)
        assert "stat: not one of state" in text(app, "head")


async def test_a_click_on_a_header_sorts_by_it_and_a_second_one_the_other_way_round() -> None:
    app, _ = top(HEALTHY)
    async with app.run_test(size=(120, 30)) as pilot:
        app.tick()
        await pilot.pause()
        x = painted(app)[0].index("TOK/S")
        for turned in (False, True):
            await pilot.click("#lines", offset=(x + 1, 0))
            await pilot.pause()
            paces = [float(line.split()[4]) for line in painted(app)[1:] if line.strip()]
            assert paces == sorted(paces, reverse=turned)


async def test_marks_stay_on_their_nodes_and_escape_takes_them_away() -> None:
    app, source = top(MIXED)
    async with app.run_test(size=(120, 30)) as pilot:
        app.tick()
        await pilot.press("space", "space")
        marked = lines(app).aimed
        assert marked == ["mini-03", "studio-2"]
        await look(app, pilot, source, view(*reversed(MIXED.rows)))
        assert set(lines(app).aimed) == set(marked)
        await pilot.press("escape")
        assert lines(app).marks == 0


async def test_what_did_not_change_is_not_painted_again() -> None:
    app, source = top(HEALTHY)
    async with app.run_test(size=(120, 30)) as pilot:
        app.tick()
        await pilot.pause()
        for _ in range(12):  # the lines of tokens per second are full then
            await look(app, pilot, source, view(*HEALTHY.rows))
        before = app.board.rows(Filter(), Order())
        await look(app, pilot, source, view(*HEALTHY.rows[:-1], node("mini-08", in_flight=7)))
        after = app.board.rows(Filter(), Order())
        same = [one is other for one, other in zip(before, after, strict=True)]
        assert same.count(False) == 1


async def test_a_thousand_nodes_are_formatted_only_where_they_are_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = top(view(*(node(f"mini-{number}") for number in range(1000))))
    async with app.run_test(size=(120, 30)) as pilot:
        painter = app.screen._painter  # type: ignore[attr-defined]
        formatted: list[NodeRow] = []
        real = painter.cells

        def counted(row: TopRow, width: int) -> Sequence[Cell]:
            formatted.append(row.row)
            return real(row, width)  # type: ignore[no-any-return]

        monkeypatch.setattr(painter, "cells", counted)
        app.tick()
        await pilot.pause()
        await pilot.press("end")
        await pilot.pause()
        assert len(formatted) < 100
        assert "mini-999" in painted(app)[-1]


async def test_no_color_leaves_shapes_and_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app, _ = top(MIXED, unicode=False)
    async with app.run_test(size=(120, 30)) as pilot:
        app.tick()
        await pilot.pause()
        assert "X CRIT" in painted(app)[1]
        assert "o offline" in painted(app)[2]
