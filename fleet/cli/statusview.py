"""The FleetView as a whole picture: a headline, the table, and what is wrong with what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from fleet.cli.statusconcerns import INDENT, concern_lines
from fleet.cli.statustable import status_table
from fleet.cli.statuswords import badness, state_text
from fleet.control.watch.view import FleetView

_WIDE = 108


def screen(view: FleetView, *, width: int, height: int | None = None, unicode: bool = True) -> RenderableType:
    """The whole picture, at most `height` lines: a headline, the table, and what is wrong with what to do."""
    table = status_table(view, wide=width >= _WIDE, unicode=unicode)
    lines: list[RenderableType] = list(concern_lines(view, cut=height is not None, unicode=unicode))
    if height is not None and len(lines) > (room := max(1, height - len(view.rows) - 4 - bool(view.laptop_problem))):
        more = Text(f"… {len(lines) - room + 1} more lines", style="dim")
        lines = [*lines[: room - 1], Padding(more, INDENT)]
    head = [_headline(view, unicode=unicode), *_laptop(view, cut=height is not None, unicode=unicode)]
    return Group(*head, table, *([Text(""), *lines] if lines else []))


def _headline(view: FleetView, *, unicode: bool) -> Text:
    """How many nodes are how, the worst first: what a narrow screen cuts off is good news."""
    count = len(view.rows)
    text = Text(f"{count} node{'' if count == 1 else 's'}", style="bold", no_wrap=True, overflow="ellipsis")
    text.append(f"  {view.at:%H:%M:%S} UTC", style="not bold dim")
    if fronts := sorted({row.via for row in view.rows if row.via}):
        text.append(f"  via {', '.join(fronts)}", style="not bold dim")
    rows = sorted(view.rows, key=badness)
    words = Counter((state.plain, str(state.style)) for row in rows for state in [state_text(row, unicode=unicode)])
    for (word, style), many in words.items():
        shape, _, name = word.partition(" ")
        text.append("  ", style="not bold")
        text.append(f"{shape} {many} {name}", style=f"not bold {style}")
    return text


def _laptop(view: FleetView, *, cut: bool, unicode: bool) -> Iterator[Text]:
    """One line instead of as many as there are nodes."""
    if view.laptop_problem:
        text = f"{'○' if unicode else 'o'} this laptop is offline: {view.laptop_problem}; below is what was seen last"
        yield Text(text, style="bold red", no_wrap=cut, overflow="ellipsis" if cut else "fold")
