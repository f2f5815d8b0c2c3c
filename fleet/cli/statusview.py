"""The FleetView as a table, and as plain lines. Every state has a shape, a word and a colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.control.watch.view import Concern, FleetView, NodeRow, Reach, ServedModel
from fleet.vocabulary.macos.notifyutil import THERMAL_WORDS
from fleet.vocabulary.names import Freshness, Health
from fleet.vocabulary.units import GIB, MIB, bytes_text, seconds_text

_WIDE = 108
_HEALTH = {
    Health.OK: ("●", "+", "ok", "green"),
    Health.WARN: ("▲", "!", "warn", "yellow"),
    Health.CRITICAL: ("■", "X", "CRIT", "bold red"),
    Health.UNKNOWN: ("?", "?", "unknown", "cyan"),
}
_AWAY = {
    Freshness.STALE: ("◌", "~", "stale", "yellow"),
    Freshness.OFFLINE: ("○", "o", "offline", "bold red"),
    Freshness.NEVER_SEEN: ("·", ".", "never", "magenta"),
}
_PRESSURE = {1: ("ok", "green"), 2: ("high", "yellow"), 4: ("CRIT", "bold red")}
_THERMAL = {
    0: ("ok", "green"),
    1: ("mild", "green"),
    2: ("hot", "yellow"),
    3: ("TRAP", "bold red"),
    4: ("SLEEP", "bold red"),
}
_UNKNOWN = Text("-", style="dim")


def screen(view: FleetView, *, width: int, height: int | None = None, unicode: bool = True) -> RenderableType:
    """The whole picture, at most `height` lines: a headline, the table, and what is wrong with what to do."""
    table = _table(view, wide=width >= _WIDE, unicode=unicode)
    room = None if height is None else max(0, height - len(view.rows) - 5)
    concerns = list(_concern_lines(view, unicode=unicode))
    if room is not None and len(concerns) > room:
        concerns = [*concerns[: max(0, room - 1)], Text(f"  … {len(concerns) - room + 1} more lines", style="dim")]
    parts: list[RenderableType] = [_headline(view, unicode=unicode), table]
    if concerns:
        parts += [Text(""), *concerns]
    return Group(*parts)


def plain_lines(view: FleetView) -> Iterator[str]:
    """One fact per line: NODE KEY VALUE. Unknown is `-`."""
    for row in view.rows:
        facts: dict[str, object] = {
            "freshness": row.freshness,
            "health": row.health,
            "intent": row.intent,
            "reach": row.reach,
            "age": seconds_text(row.age_seconds),
            "groups": " ".join(row.groups) or "-",
            "services": _services(row),
            "memory_pressure": _pressure_word(row.pressure_level),
            "thermal_pressure": _thermal_word(row.thermal_level),
            "wired_headroom": bytes_text(row.wired_headroom_bytes),
            "swap_used": bytes_text(row.swap_used_bytes),
        }
        for key, value in facts.items():
            yield f"{row.node} {key} {value}"
        for model in row.models:
            yield f"{row.node} model {model.name} {_ready_word(model)}"
        for concern in row.concerns:
            yield f"{row.node} concern {concern.health} {concern.text}"
        if row.problem and row.reach is not Reach.ANSWERED:
            yield f"{row.node} problem {row.problem}"


def _table(view: FleetView, *, wide: bool, unicode: bool) -> Table:
    table = Table(box=None, padding=(0, 2 if wide else 1, 0, 0), show_edge=False, header_style="dim", expand=False)
    table.add_column("NODE", no_wrap=True, max_width=24 if wide else 14, overflow="ellipsis")
    table.add_column("STATE", no_wrap=True)
    if wide:
        table.add_column("GROUPS", no_wrap=True, max_width=16, overflow="ellipsis")
    table.add_column("MODELS", no_wrap=True, max_width=28 if wide else 18, overflow="ellipsis")
    table.add_column("SVC", no_wrap=True, justify="right")
    table.add_column("HEADROOM" if wide else "HEADRM", no_wrap=True, justify="right")
    table.add_column("SWAP", no_wrap=True, justify="right")
    table.add_column("PRESS", no_wrap=True)
    table.add_column("THERM", no_wrap=True)
    if wide:
        table.add_column("CHIP", no_wrap=True, max_width=16, overflow="ellipsis")
    table.add_column("AGE", no_wrap=True, justify="right")
    for row in view.rows:
        table.add_row(*_cells(row, wide=wide, unicode=unicode), style=None if _is_live(row) else "dim")
    return table


def _cells(row: NodeRow, *, wide: bool, unicode: bool) -> list[Text]:
    cells = [Text(row.node, style="bold" if _is_live(row) else ""), _state(row, unicode=unicode)]
    if wide:
        cells.append(Text(" ".join(row.groups) or "-", style="dim"))
    cells += [
        _models(row.models, unicode=unicode),
        Text(_services(row), style=_services_style(row)),
        _amount(row.wired_headroom_bytes),
        _amount(row.swap_used_bytes),
        _coloured(None if row.pressure_level is None else _PRESSURE.get(row.pressure_level)),
        _coloured(None if row.thermal_level is None else _THERMAL.get(row.thermal_level)),
    ]
    if wide:
        cells.append(Text(row.chip or "-", style="dim"))
    cells.append(_age(row.age_seconds))
    return cells


def _is_live(row: NodeRow) -> bool:
    return row.freshness is Freshness.LIVE


def _state(row: NodeRow, *, unicode: bool) -> Text:
    """Freshness first; then, of a node that is live, its health. A silent agent is worse than stale."""
    if row.reach is Reach.NOT_ADOPTED and row.freshness is Freshness.NEVER_SEEN:
        shape, ascii_shape, word, style = "·", ".", "adopt me", "magenta"
    elif row.reach is Reach.AGENT_SILENT:
        shape, ascii_shape, word, style = "■", "X", "SILENT", "bold red"
    elif row.freshness in _AWAY:
        shape, ascii_shape, word, style = _AWAY[row.freshness]
    else:
        shape, ascii_shape, word, style = _HEALTH[row.health]
    return Text(f"{shape if unicode else ascii_shape} {word}", style=f"not dim {style}")


def _models(models: tuple[ServedModel, ...], *, unicode: bool) -> Text:
    if not models:
        return _UNKNOWN
    shapes = {True: ("●", "+", "green"), False: ("■", "X", "bold red"), None: ("?", "?", "cyan")}
    text = Text()
    for model in models:
        shape, ascii_shape, style = shapes[model.ready]
        if text:
            text.append(" ")
        text.append(shape if unicode else ascii_shape, style=style)
        text.append(f" {model.name}")
    return text


def _services(row: NodeRow) -> str:
    return "-" if not row.services_total else f"{row.services_up}/{row.services_total}"


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


def _pressure_word(level: int | None) -> str:
    return {1: "normal", 2: "warning", 4: "critical"}.get(level or 0, "-")


def _thermal_word(level: int | None) -> str:
    return THERMAL_WORDS[level] if level in range(len(THERMAL_WORDS)) and level is not None else "-"


def _ready_word(model: ServedModel) -> str:
    return {True: "ready", False: "not_ready", None: "unknown"}[model.ready]


def _headline(view: FleetView, *, unicode: bool) -> Text:
    text = Text()
    count = len(view.rows)
    text.append(f"{count} node{'' if count == 1 else 's'}", style="bold")
    words = Counter((state.plain, str(state.style)) for row in view.rows for state in [_state(row, unicode=unicode)])
    for (word, style), many in words.most_common():
        text.append("   ")
        shape, _, name = word.partition(" ")
        text.append(f"{shape} {many} {name}", style=style)
    text.append(f"   {view.at:%H:%M:%S} UTC", style="dim")
    return text


def _concern_lines(view: FleetView, *, unicode: bool) -> Iterator[Text]:
    """Each thing that is wrong, and below it what to do."""
    for row in view.rows:
        found = list(row.concerns)
        if row.problem and row.reach in (Reach.UNREACHABLE, Reach.NOT_ADOPTED):
            seen = "" if row.age_seconds is None else f", last seen {seconds_text(row.age_seconds)} ago"
            own = Concern(code=row.reach, health=Health.UNKNOWN, text=f"{row.problem}{seen}", hint=row.hint or "")
            found = [own]
        for concern in found:
            state = _state(row, unicode=unicode) if concern.code == row.reach else None
            shape, ascii_shape, _, style = _HEALTH[concern.health]
            line = Text()
            mark = state.plain[0] if state else (shape if unicode else ascii_shape)
            line.append(f"{mark} ", style=str(state.style) if state else style)
            line.append(row.node, style="bold")
            line.append(f"  {concern.text}")
            yield line
            for advice in concern.hint.splitlines():
                yield Text(f"    {advice.strip()}", style="dim")
