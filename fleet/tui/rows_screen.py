"""What the screens of many rows share: a head, the rows, what the one under the cursor says, and a filter."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.widgets import Input, Static

from fleet.tui.fleet_screen import FleetScreen
from fleet.tui.keys_footer import KeysFooter
from fleet.tui.lines import Lines, Painter
from fleet.vocabulary.names import NodeName


class RowsScreen(FleetScreen):
    """Filters while it is typed; escape takes filter and marks away."""

    CSS = """
    #head { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    #lines { height: 1fr; }
    #detail-text { height: 8; border-top: solid $surface-lighten-2; padding: 0 1; }
    #filter { display: none; height: 1; border: none; padding: 0 1; }
    #filter.-shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear", "Clear", show=False, tooltip="No filter and no marks", id="rows.clear"),
    ]
    FILTER_HELP: ClassVar[str] = "text  !text"
    sought: reactive[str] = reactive("")

    @property
    def under_cursor(self) -> NodeName | None:
        """The node of the row under the cursor."""
        raise NotImplementedError

    def painter(self) -> Painter[Any]:
        """What paints the rows."""
        raise NotImplementedError

    def show_board(self) -> None:
        """Show what is known now."""
        raise NotImplementedError

    def show_detail(self) -> None:
        """Show what the row under the cursor says."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """Head, rows, detail, filter."""
        yield Static(id="head")
        yield Lines[Any](self.painter(), style_of=self._style, id="lines")
        yield Static(id="detail-text")
        yield Input(id="filter", placeholder=self.FILTER_HELP, compact=True)
        yield KeysFooter()

    def on_mount(self) -> None:
        """Hear of views."""
        self._looked.subscribe(self, lambda _: self.show_board())
        self.app.theme_changed_signal.subscribe(self, lambda _: self.lines.repaint())
        self.lines.focus()
        self.show_board()

    @property
    def lines(self) -> Lines[Any]:
        """The rows on the screen."""
        return self.query_one("#lines", Lines)

    def on_lines_moved(self) -> None:
        """Another row is under the cursor."""
        self.show_detail()

    def action_filter(self) -> None:
        """Ask for a filter."""
        field = self.query_one("#filter", Input)
        field.add_class("-shown")
        field.focus()

    def action_clear(self) -> None:
        """No filter, no marks."""
        self.query_one("#filter", Input).value = ""
        self._close_filter()
        self.lines.clear_marks()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self.sought = event.value
        self.show_board()

    def on_input_submitted(self) -> None:
        """Back to the rows; the filter stays."""
        self._close_filter()

    def _say(self, name: str, text: Text) -> None:
        """Put text where it has its place: nothing moves for it, and what is there already is not painted again."""
        place = self.query_one(f"#{name}", Static)
        if place.content != text:
            place.update(text, layout=False)

    def _close_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.set_class(bool(field.value), "-shown")
        self.lines.focus()
