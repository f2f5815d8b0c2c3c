"""The FleetView as a table, and as plain lines. Every state has a shape, a word and a colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, OverflowMethod, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fleet.cli.lines import names_text
from fleet.control.watch.view import Concern, FleetView, NodeRow, Reach, ServedModel
from fleet.vocabulary.macos.notifyutil import THERMAL_WORDS
from fleet.vocabulary.names import Freshness, Health, Intent
from fleet.vocabulary.units import GIB, MIB, bytes_text, seconds_text

_WIDE = 108
_INDENT = (0, 0, 0, 4)
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
_INTENT = {
    Intent.DRAINING: ("◇", "v", "draining", "blue"),
    Intent.DRAINED: ("◆", "V", "drained", "blue"),
}
_INTENT_TEXT = {
    Intent.DRAINING: "draining: it gets no new work, and what runs may end",
    Intent.DRAINED: "drained: it gets no new work",
}
_LASTED_SECONDS = 5.0
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
    lines: list[RenderableType] = list(_concern_lines(view, cut=height is not None, unicode=unicode))
    if height is not None and len(lines) > (room := max(1, height - len(view.rows) - 4 - bool(view.laptop_problem))):
        more = Text(f"… {len(lines) - room + 1} more lines", style="dim")
        lines = [*lines[: room - 1], Padding(more, _INDENT)]
    head = [_headline(view, unicode=unicode), *_laptop(view, cut=height is not None, unicode=unicode)]
    return Group(*head, table, *([Text(""), *lines] if lines else []))


def plain_lines(view: FleetView) -> Iterator[str]:
    """One fact per line: NODE KEY VALUE. Unknown is `-`. The laptop itself is the node `-`."""
    if view.laptop_problem:
        yield f"- problem this laptop is offline: {view.laptop_problem}"
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
            yield f"{row.node} concern {concern.health} {concern.text}{_gone(concern, view.at)}"
            if concern.since:
                yield f"{row.node} concern_since {concern.since:%Y-%m-%dT%H:%M:%SZ} {concern.code}"
        if row.problem and row.reach is not Reach.ANSWERED:
            yield f"{row.node} problem {row.problem}"


def _table(view: FleetView, *, wide: bool, unicode: bool) -> Table:
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
        table.add_row(*cells, style=None if _is_live(row) else "dim")
    return table


def _cells(row: NodeRow, *, model_width: int, wide: bool, unicode: bool) -> list[Text]:
    cells = [Text(row.node, style="bold" if _is_live(row) else ""), _state(row, unicode=unicode)]
    if wide:
        cells.append(Text(" ".join(row.groups) or "-", style="dim"))
    cells += [
        _models(row.models, width=model_width, unicode=unicode),
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
    """Freshness first; then, of a node that is live, what is wrong; then what is wanted of it.

    A silent agent is worse than stale.
    """
    if row.reach is Reach.NOT_ADOPTED and row.freshness is Freshness.NEVER_SEEN:
        shape, ascii_shape, word, style = "·", ".", "new", "magenta"
    elif row.reach is Reach.AGENT_SILENT:
        shape, ascii_shape, word, style = "■", "X", "SILENT", "bold red"
    elif row.freshness in _AWAY:
        shape, ascii_shape, word, style = _AWAY[row.freshness]
    elif row.intent in _INTENT and row.health in (Health.OK, Health.UNKNOWN):
        shape, ascii_shape, word, style = _INTENT[row.intent]
    else:
        shape, ascii_shape, word, style = _HEALTH[row.health]
    return Text(f"{shape if unicode else ascii_shape} {word}", style=f"not dim {style}")


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
    """How many nodes are how, the worst first: what a narrow screen cuts off is good news."""
    count = len(view.rows)
    text = Text(f"{count} node{'' if count == 1 else 's'}", style="bold", no_wrap=True, overflow="ellipsis")
    text.append(f"  {view.at:%H:%M:%S} UTC", style="not bold dim")
    rows = sorted(view.rows, key=_badness)
    words = Counter((state.plain, str(state.style)) for row in rows for state in [_state(row, unicode=unicode)])
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


def _badness(row: NodeRow) -> int:
    """What a person looks at first comes first."""
    if row.reach is not Reach.ANSWERED:
        return {Reach.AGENT_SILENT: 1, Reach.UNREACHABLE: 2}.get(row.reach, 6)
    return {Health.CRITICAL: 0, Health.WARN: 3, Health.UNKNOWN: 4}.get(row.health, 5)


def _concern_lines(view: FleetView, *, cut: bool, unicode: bool) -> Iterator[RenderableType]:
    """Each thing that is wrong, the worst node first, and below it what to do. `cut` = one line each."""
    fold: OverflowMethod = "ellipsis" if cut else "fold"
    strangers = [row for row in view.rows if row.reach is Reach.NOT_ADOPTED]
    for row in sorted(view.rows, key=_badness):
        if (len(strangers) > 1 and row in strangers) or (view.laptop_problem and row.reach is Reach.UNREACHABLE):
            continue
        found = _concerns(row)
        for index, concern in enumerate(found):
            state = _state(row, unicode=unicode) if concern.code == row.reach else None
            shape, ascii_shape, _, style = _INTENT[row.intent] if concern.code == "intent" else _HEALTH[concern.health]
            mark = state.plain[0] if state else (shape if unicode else ascii_shape)
            line = Text(f"{mark} ", style=str(state.style) if state else style, no_wrap=cut, overflow=fold)
            line.append(row.node, style="bold default")
            line.append(f"  {concern.text}", style="not bold default")
            line.append(_since(concern, view.at), style="not bold dim default")
            yield line
            if concern.hint and all(after.hint != concern.hint for after in found[index + 1 : index + 2]):
                advice = (" · " if cut else "\n").join(concern.hint.split("\n"))
                yield Padding(Text(advice, style="dim", no_wrap=cut, overflow=fold), _INDENT)
    if len(strangers) > 1:
        state = _state(strangers[0], unicode=unicode)
        line = Text(f"{state.plain[0]} ", style=str(state.style), no_wrap=cut, overflow=fold)
        line.append(names_text([row.node for row in strangers]), style="bold default")
        yield line.append("  not adopted yet", style="not bold default")
        which = "--all" if len(strangers) == len(view.rows) else " ".join(row.node for row in strangers)
        yield Padding(Text(f"fleet adopt {which}", style="dim", no_wrap=cut, overflow=fold), _INDENT)


def _concerns(row: NodeRow) -> tuple[Concern, ...]:
    """What to say of a row. Of a node that was not reached: why, and what it looked like last is in the table."""
    if row.reach not in (Reach.UNREACHABLE, Reach.NOT_ADOPTED):
        wanted = _INTENT_TEXT.get(row.intent)
        hint = f"fleet resume {row.node}"
        own = (Concern(code="intent", health=Health.OK, text=wanted, hint=hint),) if wanted else ()
        return (*row.concerns, *own)
    seen = "" if row.age_seconds is None else f", last seen {seconds_text(row.age_seconds)} ago"
    text = f"{row.problem or 'not reached'}{seen}"
    return (Concern(code=row.reach, health=Health.UNKNOWN, text=text, hint=row.hint or ""),)


def _since(concern: Concern, now: datetime) -> str:
    """How long it has lasted; what is new has not lasted yet."""
    if concern.gone_since is not None:
        return _gone(concern, now)
    lasted = (now - concern.since).total_seconds() if concern.since else 0.0
    return f", for {seconds_text(lasted)}" if lasted >= _LASTED_SECONDS else ""


def _gone(concern: Concern, now: datetime) -> str:
    if concern.gone_since is None:
        return ""
    return f" (gone for {seconds_text(max(0.0, (now - concern.gone_since).total_seconds()))}, still watched)"
