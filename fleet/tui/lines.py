"""A view of many rows that paints only what changed: one line each, formatted when it comes into sight.

Rows are frozen: one that did not change is the same object, so a look at each that is in sight finds what to paint. A
thousand rows cost what forty cost (measured: docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Generic, NamedTuple, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

_PAINTED_ONE_BY_ONE = 12

R = TypeVar("R")


class Cell(NamedTuple):
    """Text of its column's width, and the name of its style."""

    text: str
    style: str = ""


class Painter(Generic[R]):
    """How rows become lines. `key` names a row over all its changes; `styles` are by the names that cells use."""

    def key(self, row: R) -> Hashable:
        """What stays when the row changes."""
        raise NotImplementedError

    def header(self, width: int) -> Sequence[Cell]:
        """The line above."""
        raise NotImplementedError

    def cells(self, row: R, width: int) -> Sequence[Cell]:
        """The line of a row."""
        raise NotImplementedError

    def column_at(self, x: int, width: int) -> str | None:
        """The column whose header is at `x`."""
        raise NotImplementedError


class Lines(ScrollView, Generic[R], can_focus=True):
    """Rows with a cursor and marks. `show` takes the new rows; the cursor stays on its row wherever that goes."""

    DEFAULT_CSS = "Lines { overflow-x: hidden; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "edge(0)", "First", show=False),
        Binding("end,G", "edge(1)", "Last", show=False),
        Binding("space", "mark", "Mark", tooltip="Mark the row; actions are about the marked ones", id="lines.mark"),
        Binding("enter", "choose", "Open", tooltip="Open the row under the cursor", id="lines.open"),
    ]

    class Chosen(Message):
        """A row was opened, by key or by a second click."""

        def __init__(self, key: Hashable) -> None:
            super().__init__()
            self.key = key

    class HeaderClicked(Message):
        """A column's header was clicked."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    class Moved(Message):
        """The cursor is on another row, or the marks changed."""

    def __init__(
        self,
        painter: Painter[R],
        *,
        style_of: Callable[[str], Style],
        id: str | None = None,  # noqa: A002 (Textual's)
    ) -> None:
        super().__init__(id=id)
        self._painter = painter
        self._style_of = style_of
        self._rows: Sequence[R] = ()
        self._at = 0
        self._cursor_key: Hashable = None
        self._marked: set[Hashable] = set()
        self._cache: dict[int, tuple[R, object, Strip]] = {}
        self._header: tuple[object, Strip] | None = None

    @property
    def row(self) -> R | None:
        """The row under the cursor."""
        return self._rows[self._at] if self._rows else None

    @property
    def rows(self) -> Sequence[R]:
        """What is shown, in sight or not."""
        return self._rows

    @property
    def aimed(self) -> list[Hashable]:
        """The keys of what is marked, in order, and then of what is marked and not shown; without marks the cursor's.

        A mark that a filter hides is still one: else an action on two nodes would be one on the node under the cursor.
        """
        if not self._marked:
            return [self._painter.key(self._rows[self._at])] if self._rows else []
        shown = [key for key in map(self._painter.key, self._rows) if key in self._marked]
        return [*shown, *sorted(self._marked - set(shown), key=str)]

    @property
    def marks(self) -> int:
        """How many rows are marked, in sight or not."""
        return len(self._marked)

    def show(self, rows: Sequence[R]) -> None:
        """Show these from now on. A row that did not change must be the same object."""
        old, self._rows = self._rows, rows
        before = self._at
        self._follow()
        if len(old) != len(rows):
            self.virtual_size = Size(self.size.width, len(rows) + 1)
            self.repaint()
            return
        top = self.scroll_offset.y
        seen = range(top, min(top + self._page, len(rows)))
        changed = [number for number in seen if rows[number] is not old[number]]
        if self._at != before:
            changed += [number for number in (before, self._at) if number in seen]
        if len(changed) > _PAINTED_ONE_BY_ONE:
            self.refresh()
        elif changed:
            self.refresh(*(self._region(number) for number in changed))

    def repaint(self) -> None:
        """Forget what was painted: styles or columns have changed."""
        self._cache.clear()
        self._header = None
        self.refresh()

    def clear_marks(self) -> None:
        """Mark nothing."""
        if self._marked:
            self._marked.clear()
            self.repaint()
            self.post_message(self.Moved())

    def put_cursor(self, key: Hashable) -> bool:
        """Put the cursor on the row of that key; False when it is not shown."""
        number = next((at for at, row in enumerate(self._rows) if self._painter.key(row) == key), None)
        if number is None:
            return False
        self._go(number)
        return True

    def action_move(self, delta: int) -> None:
        """Move the cursor."""
        self._go(self._at + delta)

    def action_page(self, direction: int) -> None:
        """Move the cursor by a screen."""
        self._go(self._at + direction * max(1, self._page - 1))

    def action_edge(self, last: int) -> None:
        """Move the cursor to the first or the last row."""
        self._go(len(self._rows) - 1 if last else 0)

    def action_mark(self) -> None:
        """Turn the mark of the row under the cursor, and go to the next."""
        if not self._rows:
            return
        self._marked ^= {self._painter.key(self._rows[self._at])}
        self._paint(self._at)
        self.post_message(self.Moved())
        self.action_move(1)

    def action_choose(self) -> None:
        """Open the row under the cursor."""
        if self._rows:
            self.post_message(self.Chosen(self._painter.key(self._rows[self._at])))

    def on_click(self, event: Click) -> None:
        """A click on a row puts the cursor there, a second one opens it; one on the header names its column."""
        if event.y == 0:
            column = self._painter.column_at(event.x + self.scroll_offset.x, self.scrollable_content_region.width)
            if column is not None:
                self.post_message(self.HeaderClicked(column))
            return
        number = self.scroll_offset.y + event.y - 1
        if number < len(self._rows):
            self._go(number)
            if event.chain > 1:
                self.action_choose()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The wheel moves the cursor: what is in sight is always around it."""
        event.stop()
        event.prevent_default()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """As down."""
        event.stop()
        event.prevent_default()
        self.action_move(-3)

    def on_resize(self, event: Resize) -> None:
        """Other columns may fit."""
        self.virtual_size = Size(event.size.width, len(self._rows) + 1)
        self.repaint()
        self._into_sight()

    def render_line(self, y: int) -> Strip:
        """One line of what is in sight; the first is the header."""
        width = self.scrollable_content_region.width
        if y == 0:
            return self._header_strip(width)
        number = self.scroll_offset.y + y - 1
        if number >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        row = self._rows[number]
        here = number == self._at
        marked = bool(self._marked) and self._painter.key(row) in self._marked
        state = (here and self.has_focus, here, marked, width)
        kept = self._cache.get(number)
        if kept is not None and kept[0] is row and kept[1] == state:
            return kept[2]
        strip = self._strip(self._painter.cells(row, width), width, here=here, marked=marked)
        self._cache[number] = (row, state, strip)
        return strip

    def _strip(self, cells: Sequence[Cell], width: int, *, here: bool, marked: bool) -> Strip:
        """Neighbours of one style are one segment."""
        over = self._style_of("cursor" if here else "marked") if here or marked else None
        runs: list[list[str]] = []
        names: list[str] = []
        for text, name in cells:
            if names and names[-1] == name:
                runs[-1].append(text)
            else:
                names.append(name)
                runs.append([text])
        base = self.rich_style
        segments = []
        for name, parts in zip(names, runs, strict=True):
            style = base + self._style_of(name)
            segments.append(Segment("".join(parts), style if over is None else style + over))
        return Strip(segments).adjust_cell_length(width, base if over is None else base + over)

    def _header_strip(self, width: int) -> Strip:
        if self._header is None or self._header[0] != width:
            strip = self._strip(self._painter.header(width), width, here=False, marked=False)
            self._header = (width, strip)
        return self._header[1]

    def _follow(self) -> None:
        """Find the row of the cursor again; where it went, the place stays."""
        rows = self._rows
        if not rows:
            self._at = 0
            return
        key = self._cursor_key
        if key is None:
            self._at = min(self._at, len(rows) - 1)
        elif self._at >= len(rows) or self._painter.key(rows[self._at]) != key:
            found = next((at for at, row in enumerate(rows) if self._painter.key(row) == key), None)
            self._at = min(self._at, len(rows) - 1) if found is None else found
        self._cursor_key = self._painter.key(rows[self._at])
        self._into_sight()

    def _go(self, number: int) -> None:
        if not self._rows:
            return
        before, self._at = self._at, max(0, min(len(self._rows) - 1, number))
        self._cursor_key = self._painter.key(self._rows[self._at])
        if before == self._at:
            return
        if not self._into_sight():
            self.refresh(self._region(before), self._region(self._at))
        self.post_message(self.Moved())

    def _into_sight(self) -> bool:
        """Scroll until the cursor can be seen; whether that was needed."""
        top, page = self.scroll_offset.y, max(1, self._page)
        wanted = min(max(top, self._at - page + 1), self._at)
        if wanted == top:
            return False
        self.scroll_to(y=wanted, animate=False, immediate=True)
        return True

    def _paint(self, number: int) -> None:
        self.refresh(self._region(number))

    def _region(self, number: int) -> Region:
        return Region(0, number - self.scroll_offset.y + 1, self.size.width, 1)

    @property
    def _page(self) -> int:
        """How many rows are in sight."""
        return max(0, self.size.height - 1)
