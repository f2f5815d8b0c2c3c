"""The table of all nodes."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from fleet.cli.statuswords import is_live, services_text, state_text
from fleet.control.watch.view import FleetView, NodeRow, ServedModel
from fleet.vocabulary.units import GIB, MIB

_PRESSURE = {1: ("ok", "green"), 2: ("high", "yellow"), 4: ("CRIT", "bold red")}
_THERMAL = {
    0: ("ok", "green"),
    1: ("mild", "green"),
    2: ("hot", "yellow"),
    3: ("TRAP", "bold red"),
    4: ("SLEEP", "bold red"),
}
_UNKNOWN = Text("-", style="dim")


def status_table(view: FleetView, *, wide: bool, unicode: bool) -> Table:
    """A row a node; narrow screens get fewer columns."""
    table = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="dim", expand=False)
    table.add_column("NODE", no_wrap=True, max_width=20 if wide else 14, overflow="ellipsis")
    table.add_column("STATE", no_wrap=True, min_width=9)
    if wide:
        table.add_column("GROUPS", no_wrap=True, max_width=14, overflow="ellipsis")
    table.add_column("MODELS", no_wrap=True, max_width=28 if wide else 19, overflow="ellipsis")
    table.add_column("SVC", no_wrap=True, justify="right", min_width=3)
    table.add_column("HEADROOM" if wide else "HEADRM", no_wrap=True, justify="right", min_width=6)
    table.add_column("SWAP", no_wrap=True, justify="right", min_width=5)
    table.add_column("PRESS", no_wrap=True, min_width=5)
    table.add_column("THERM", no_wrap=True, min_width=5)
    if wide:
        table.add_column("CHIP", no_wrap=True, max_width=14, overflow="ellipsis")
    table.add_column("AGE", no_wrap=True, justify="right", min_width=3)
    for row in view.rows:
        cells = _cells(row, model_width=26 if wide else 17, wide=wide, unicode=unicode)
        table.add_row(*cells, style=None if is_live(row) else "dim")
    return table


def _cells(row: NodeRow, *, model_width: int, wide: bool, unicode: bool) -> list[Text]:
    cells = [Text(row.node, style="bold" if is_live(row) else ""), state_text(row, unicode=unicode)]
    if wide:
        cells.append(Text(" ".join(row.groups) or "-", style="dim"))
    cells += [
        _models(row.models, width=model_width, unicode=unicode),
        Text(services_text(row), style=_services_style(row)),
        _amount(row.wired_headroom_bytes),
        _amount(row.swap_used_bytes),
        _coloured(None if row.pressure_level is None else _PRESSURE.get(row.pressure_level)),
        _coloured(None if row.thermal_level is None else _THERMAL.get(row.thermal_level)),
    ]
    if wide:
        cells.append(Text(row.chip or "-", style="dim"))
    cells.append(_age(row.age_seconds))
    return cells


def _models(models: tuple[ServedModel, ...], *, width: int, unicode: bool) -> Text:
    if not models:
        return _UNKNOWN
    shapes = {True: ("●", "+", "green"), False: ("■", "X", "bold red"), None: ("?", "?", "cyan")}
    text = Text()
    for model in models:
        shape, ascii_shape, style = shapes[model.ready]
        if text:
            text.append(" ")
        text.append(shape if unicode else ascii_shape, style=style)
        text.append(f" {_short(model.name, max(6, width // len(models) - (len(models) > 1)))}")
    return text


def _short(name: str, width: int) -> str:
    """A model's name without its organisation, cut in the middle: both ends tell models apart."""
    name = name.rsplit("/", 1)[-1]
    if len(name) <= width:
        return name
    head = (width - 1) // 2
    return f"{name[:head]}…{name[len(name) - (width - 1 - head) :]}"


def _services_style(row: NodeRow) -> str:
    if not row.services_total:
        return "dim"
    return "green" if row.services_up == row.services_total else "bold red"


def _amount(count: int | None) -> Text:
    """Bytes in at most five characters: 6.2G, 512M, 0."""
    if count is None:
        return _UNKNOWN
    if count < MIB:
        return Text("0")
    return Text(f"{count / GIB:.1f}G" if count >= GIB else f"{count // MIB}M")


def _age(seconds: float | None) -> Text:
    if seconds is None:
        return _UNKNOWN
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return Text(f"{int(seconds // size)}{unit}")
    return Text(f"{int(seconds)}s")


def _coloured(word: tuple[str, str] | None) -> Text:
    return Text(word[0], style=word[1]) if word else _UNKNOWN
