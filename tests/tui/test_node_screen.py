"""One node: all of its concerns, and plots in which a gap is a gap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Static
from tui_kit import MIXED, Remembered, top

from fleet.tui.app import FleetTop
from fleet.tui.plot import buckets, plot

VALUES = st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), max_size=60)


def text(app: FleetTop, name: str) -> str:
    return str(app.screen.query_one(f"#{name}", Static).content)


async def test_enter_opens_the_node_and_escape_goes_back_to_its_row() -> None:
    app, _ = top(MIXED, history=Remembered())
    async with app.run_test(size=(100, 40)) as pilot:
        app.tick()
        await pilot.press("enter")
        await pilot.pause()
        said = text(app, "node-text")
        assert "mini-03 ■ CRIT" in said
        assert "do:   fleet drain mini-03" in said
        plots = text(app, "node-plots")
        assert "the last 1 h" in plots
        assert "now 335 MiB" in plots
        assert "scale to 24.0 GiB" in plots
        await pilot.press("2")
        await pilot.pause()
        assert "the last 24 h" in text(app, "node-plots")
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.query_one("#lines").row.row.node == "mini-03"  # type: ignore[attr-defined]


async def test_without_a_memory_the_screen_says_so() -> None:
    class Nothing(Remembered):
        def read(self, *args: object, **kwargs: object) -> list[tuple[int, dict[str, float]]]:  # type: ignore[override]
            return []

    app, _ = top(MIXED, history=Nothing())
    async with app.run_test(size=(80, 24)) as pilot:
        app.tick()
        await pilot.press("enter")
        await pilot.pause()
        assert "nothing is remembered here yet" in text(app, "node-plots")


@given(VALUES, st.integers(1, 6), st.booleans())
def test_a_plot_is_as_wide_as_its_values_and_blank_where_nothing_was_read(
    values: list[float | None], height: int, unicode: bool
) -> None:
    lines = plot(values, height=height, low=0.0, high=100.0, unicode=unicode)
    assert [len(line) for line in lines] == [len(values)] * height
    for column, value in enumerate(values):
        assert (value is None) == all(line[column] == " " for line in lines)


def test_a_minute_without_a_gap_is_drawn_without_one() -> None:
    minutes = [(float(at), 1.0) for at in range(0, 3600, 60) if not 1200 <= at < 1800]
    found = buckets(minutes, start=0.0, end=3600.0, width=84, step=60.0)
    blank = [number for number, value in enumerate(found) if value is None]
    assert blank == list(range(28, 42))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-1e6, 1e6)), max_size=50), st.integers(1, 40))
def test_every_reading_is_in_the_mean_of_its_span_and_no_other(points: list[tuple[float, float]], width: int) -> None:
    found = buckets(points, start=0.0, end=100.0, width=width, step=1.0)
    assert len(found) == width
    known = [value for at, value in points if at < 100.0]
    for value in found:
        assert value is None or min(known) - 1e-6 <= value <= max(known) + 1e-6
    assert (not known) == all(value is None for value in found)
