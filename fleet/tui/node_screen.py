"""One node: everything that is wrong with it, and its last hour, day or week."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.signal import Signal
from textual.widgets import Static

from fleet.control.watch.view import FleetView, NodeRow
from fleet.tui.board import Board
from fleet.tui.detail import detail_lines
from fleet.tui.fleet_screen import FleetScreen, status_document
from fleet.tui.keys_footer import KeysFooter
from fleet.tui.lines import Cell
from fleet.tui.plot import buckets, plot
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.units import GIB, MIB, bytes_text

_ALL_LINES = 200
_HEIGHT = 4
_LABEL_CELLS = 22
_MINUTE_SECONDS = 60.0
_LOOKED_EVERY_TICKS = 5


class History(Protocol):
    """What is remembered of a node (watch/seriesfiles.py). Total: what cannot be read is nothing."""

    def read(
        self, node: NodeName, *, since_seconds: float, until_seconds: float
    ) -> Iterable[tuple[int, Mapping[str, float]]]:
        """Minutes, by the node's own clock."""
        ...


@dataclass(frozen=True)
class Span:
    """How far back."""

    word: str
    seconds: float


SPANS = (Span("1 h", 3600.0), Span("24 h", 86400.0), Span("7 d", 7 * 86400.0))


@dataclass(frozen=True)
class Plotted:
    """One reading: its field, its name, the ends of its scale for a node, and how a value is said."""

    field: str
    title: str
    high: Callable[[NodeRow], float]
    said: Callable[[float], str]


def _bytes(value: float) -> str:
    return bytes_text(int(value))


def _level(value: float) -> str:
    return f"{value:.0f} of 4"


PLOTS = (
    Plotted("wired_headroom_bytes", "wired headroom", lambda row: float(row.wired_limit_bytes or 32 * GIB), _bytes),
    Plotted("swapout_bytes_per_second", "written to swap", lambda _: 100.0 * MIB, lambda value: f"{_bytes(value)}/s"),
    Plotted("memory_pressure_level", "memory pressure", lambda _: 4.0, _level),
    Plotted("thermal_pressure_level", "thermal pressure", lambda _: 4.0, _level),
    Plotted("gpu_ratio", "GPU", lambda _: 1.0, lambda value: f"{value * 100:.0f} %"),
)


class NodeScreen(FleetScreen):
    """Shows one node of a board."""

    NAME = "node"
    CSS = """
    NodeScreen { layout: vertical; }
    #node-text { padding: 0 1; height: auto; }
    #node-plots { padding: 0 1; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "app.pop_screen", "Back", id="node.back"),
        Binding("1", "span(0)", "1 h", id="node.hour"),
        Binding("2", "span(1)", "24 h", id="node.day"),
        Binding("3", "span(2)", "7 d", id="node.week"),
    ]

    def __init__(
        self,
        node: NodeName,
        board: Board,
        *,
        clock: Clock,
        unicode: bool,
        looked: Signal[FleetView | None],
        history: History | None,
    ) -> None:
        super().__init__(board, clock=clock, unicode=unicode, looked=looked)
        self._node = node
        self._history = history
        self._span = SPANS[0]
        self._ticks = 0

    @property
    def aimed_at(self) -> tuple[NodeName, ...]:
        """See FleetScreen."""
        return (self._node,)

    def document(self) -> object:
        """See FleetScreen: as `fleet status NODE --json`."""
        return status_document(self._board.view, {self._node})

    def compose(self) -> ComposeResult:
        """Text above, plots below."""
        with VerticalScroll():
            yield Static(id="node-text")
            yield Static(id="node-plots")
        yield KeysFooter()

    def on_mount(self) -> None:
        """Hear of views."""
        self._looked.subscribe(self, lambda _: self._tick())
        self.app.theme_changed_signal.subscribe(self, lambda _: self.show_node())
        self.show_node()

    def on_resize(self) -> None:
        """Other widths, other plots."""
        self.show_node()

    def action_span(self, number: int) -> None:
        """How far back the plots go."""
        self._span = SPANS[number]
        self.show_node()

    def show_node(self) -> None:
        """What is known now."""
        found = self._board.row(self._node)
        row = found.row if found is not None else NodeRow(node=self._node)
        lines = detail_lines(row, self._clock.now(), height=_ALL_LINES, unicode=self._unicode)
        self.query_one("#node-text", Static).update(self._text(lines))
        self.query_one("#node-plots", Static).update(self._text(self._plots(row)))

    def _tick(self) -> None:
        """Readings change each tick; a plot of minutes need not be drawn as often."""
        self._ticks += 1
        if self.is_current and self._ticks % _LOOKED_EVERY_TICKS == 0:
            self.show_node()

    def _plots(self, row: NodeRow) -> list[list[Cell]]:
        if self._history is None:
            return []
        width = max(20, self.size.width - _LABEL_CELLS - 4)
        end = row.sampled_at_seconds or self._clock.now().timestamp()
        start = end - self._span.seconds
        minutes = list(self._history.read(self._node, since_seconds=start, until_seconds=end + 60))
        lines: list[list[Cell]] = [[Cell("")], [Cell(f"the last {self._span.word}", "header")]]
        if not minutes:
            return [*lines, [Cell("  nothing is remembered here yet: it is fetched while fleet looks", "dim")]]
        for one in PLOTS:
            points = [(float(at), values[one.field]) for at, values in minutes if one.field in values]
            if points:
                lines += self._plot(one, row, points, start=start, end=end + 60, width=width)
        return lines

    def _plot(
        self, one: Plotted, row: NodeRow, points: list[tuple[float, float]], *, start: float, end: float, width: int
    ) -> list[list[Cell]]:
        values = buckets(points, start=start, end=end, width=width, step=_MINUTE_SECONDS)
        high = one.high(row)
        drawn = plot(values, height=_HEIGHT, low=0.0, high=high, unicode=self._unicode)
        labels = [one.title, f"now {one.said(points[-1][1])}", f"most {one.said(max(value for _, value in points))}"]
        labels += [f"scale to {one.said(high)}"]
        return [
            [Cell(label.ljust(_LABEL_CELLS), "bold" if not number else "dim"), Cell(line, "ok")]
            for number, (label, line) in enumerate(zip(labels, drawn, strict=True))
        ] + [[Cell("")]]
