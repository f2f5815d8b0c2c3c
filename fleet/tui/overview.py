"""The columns of the overview: which there are at which width, and what a node shows in each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from fleet.control.watch.roworder import Order
from fleet.control.watch.statewords import Tone, told
from fleet.control.watch.view import NodeRow
from fleet.tui.lines import Cell, Painter
from fleet.tui.spark import bar, spark
from fleet.vocabulary.names import Freshness
from fleet.vocabulary.units import GIB, MIB

SPARK_CELLS = 12
"""How many of the last looks the line of tokens per second shows."""
_PRESSURE = {1: ("ok", Tone.PLAIN), 2: ("high", Tone.WARN), 4: ("CRIT", Tone.CRITICAL)}
_THERMAL = {
    0: ("ok", Tone.PLAIN),
    1: ("mild", Tone.PLAIN),
    2: ("hot", Tone.WARN),
    3: ("TRAP", Tone.CRITICAL),
    4: ("SLEEP", Tone.CRITICAL),
}
_SLOW_RATIO = 0.6
_SWAP_FELT_BYTES_PER_SECOND = 10 * MIB
_TIGHT_RATIO = 0.10
_MARK = ("▌", ">")


class TopRow(NamedTuple):
    """A node as the overview shows it: its row, and its pace at the last looks (None = not known then)."""

    row: NodeRow
    paces: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Column:
    """`least` is the width of the screen from on which it is shown. `sorts` is the reading behind its header."""

    title: str
    width: int
    sorts: str
    text: Callable[[TopRow, int], tuple[str, Tone]]
    least: int = 0
    right: bool = False


class Overview(Painter[TopRow]):
    """Paints nodes. `fastest` is the end of the scale that all lines of tokens per second share."""

    def __init__(self, *, unicode: bool) -> None:
        self._unicode = unicode
        self.order = Order()
        self.fastest = 50.0
        self._columns = lru_cache(maxsize=8)(self._columns_of)

    def key(self, row: TopRow) -> Hashable:
        """See Painter."""
        return row.row.node

    def header(self, width: int) -> Sequence[Cell]:
        """See Painter."""
        cells = [Cell("  ", "header")]
        for column in self._columns(width):
            title = column.title
            if column.sorts == self.order.by:
                title += ("▲" if self.order.turned else "▼") if self._unicode else ("^" if self.order.turned else "v")
            cells.append(Cell(_fit(title, column.width, right=column.right) + " ", "header"))
        return cells

    def cells(self, row: TopRow, width: int) -> Sequence[Cell]:
        """See Painter. Of a node that is not live all but its name and state is dim."""
        live = row.row.freshness is Freshness.LIVE
        found = [Cell("  ")]
        for column in self._columns(width):
            text, tone = column.text(row, column.width)
            if not live and column.sorts not in ("node", "state", "problem"):
                tone = Tone.DIM
            found.append(Cell(_fit(text, column.width, right=column.right) + " ", tone.value))
        return found

    def column_at(self, x: int, width: int) -> str | None:
        """See Painter."""
        at = 2
        for column in self._columns(width):
            if at <= x < at + column.width + 1:
                return column.sorts if column.sorts != "problem" else None
            at += column.width + 1
        return None

    def sorted_by(self, width: int) -> tuple[str, ...]:
        """What the columns in sight can be sorted by, from the left."""
        return tuple(column.sorts for column in self._columns(width) if column.sorts != "problem")

    def _columns_of(self, width: int) -> tuple[Column, ...]:
        wide, normal = width >= 140, width >= 100
        every = (
            Column("NODE", 16 if wide else 14, "node", lambda one, _: (one.row.node, Tone.PLAIN)),
            Column("STATE", 10, "state", self._state),
            Column("MODEL", 26 if wide else 18 if normal else 12, "model", _model),
            Column("TOK/S", 6, "pace", _pace, right=True),
            Column("", SPARK_CELLS, "pace", self._spark, least=120),
            Column("TTFT", 6, "ttft", _first_token, least=100, right=True),
            Column("REQ", 4, "queue", _queue, least=84, right=True),
            Column("HEADROOM", 13 if normal else 8, "headroom", self._headroom),
            Column("SWAP", 6, "swap", _swap, least=90, right=True),
            Column("PRESS", 5, "press", lambda one, _: _level(one.row.pressure_level, _PRESSURE)),
            Column("THERM", 5, "therm", lambda one, _: _level(one.row.thermal_level, _THERMAL)),
            Column("UP", 4, "up", _up, least=170, right=True),
            Column("AGE", 4, "age", lambda one, _: (_span(one.row.age_seconds), Tone.DIM), right=True),
        )
        shown = tuple(column for column in every if width >= column.least)
        rest = width - 2 - sum(column.width + 1 for column in shown)
        if rest >= 12:
            problem = Column("PROBLEM", rest - 1, "problem", lambda one, _: (one.row.problem or "", Tone.PLAIN))
            return (*shown, problem)
        return shown

    def _state(self, one: TopRow, _: int) -> tuple[str, Tone]:
        state = told(one.row)
        return state.text(unicode=self._unicode), state.tone

    def _spark(self, one: TopRow, width: int) -> tuple[str, Tone]:
        return spark(one.paces, width=width, low=0.0, high=self.fastest, unicode=self._unicode), Tone.OK

    def _headroom(self, one: TopRow, width: int) -> tuple[str, Tone]:
        room, limit = one.row.wired_headroom_bytes, one.row.wired_limit_bytes
        if room is None:
            return "-", Tone.DIM
        ratio = room / limit if limit else None
        tone = Tone.WARN if ratio is not None and ratio < _TIGHT_RATIO else Tone.PLAIN
        words = _bytes(room)
        if width < 10 or ratio is None:
            return words, tone
        return f"{bar(ratio, width=width - 7, unicode=self._unicode)} {words:>6}", tone


def _model(one: TopRow, width: int) -> tuple[str, Tone]:
    models = one.row.models
    if not models:
        return "-", Tone.DIM
    more = f" +{len(models) - 1}" if len(models) > 1 else ""
    unready = any(model.ready is False for model in models)
    name = _middle(models[0].name.rsplit("/", 1)[-1], width - len(more))
    return name + more, Tone.CRITICAL if unready else Tone.PLAIN


def _pace(one: TopRow, _: int) -> tuple[str, Tone]:
    pace, ratio = one.row.tokens_per_second, one.row.pace_ratio
    if pace is None:
        return "-", Tone.DIM
    return f"{pace:.1f}" if pace < 100 else f"{pace:.0f}", Tone.WARN if (ratio or 1.0) < _SLOW_RATIO else Tone.PLAIN


def _first_token(one: TopRow, _: int) -> tuple[str, Tone]:
    seconds = one.row.first_token_seconds
    if seconds is None:
        return "-", Tone.DIM
    return (f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.1f}s"), Tone.PLAIN


def _queue(one: TopRow, _: int) -> tuple[str, Tone]:
    return ("-", Tone.DIM) if one.row.in_flight is None else (str(one.row.in_flight), Tone.PLAIN)


def _swap(one: TopRow, _: int) -> tuple[str, Tone]:
    used, rate = one.row.swap_used_bytes, one.row.swapout_bytes_per_second
    if used is None:
        return "-", Tone.DIM
    return _bytes(used), Tone.WARN if (rate or 0) >= _SWAP_FELT_BYTES_PER_SECOND else Tone.PLAIN


def _up(one: TopRow, _: int) -> tuple[str, Tone]:
    row = one.row
    if row.boot_time_seconds is None or row.sampled_at_seconds is None:
        return "-", Tone.DIM
    return _span(max(0.0, row.sampled_at_seconds - row.boot_time_seconds)), Tone.DIM


def _level(level: int | None, words: dict[int, tuple[str, Tone]]) -> tuple[str, Tone]:
    return ("-", Tone.DIM) if level is None else words.get(level, (str(level), Tone.UNKNOWN))


def _bytes(count: int) -> str:
    """At most six characters: 12.3G, 512M, 0."""
    if count < MIB:
        return "0"
    return f"{count / GIB:.1f}G" if count >= GIB else f"{count // MIB}M"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def _middle(name: str, width: int) -> str:
    """Cut in the middle: both ends tell models apart."""
    if len(name) <= width:
        return name
    head = max(1, (width - 1) // 2)
    return f"{name[:head]}…{name[len(name) - (width - 1 - head) :]}"


def _fit(text: str, width: int, *, right: bool) -> str:
    if len(text) > width:
        return text[: width - 1] + "…"
    return text.rjust(width) if right else text.ljust(width)
