"""How amounts, counts and states of traffic are told on a screen: short, never 0 for what nobody knows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from fleet.control.watch.statewords import HEALTH, Told, Tone
from fleet.traffic.budget.projection import Projection
from fleet.tui.lines import Cell
from fleet.tui.spark import bar
from fleet.vocabulary.money import PICO_PER_USD
from fleet.vocabulary.names import Health

NOTHING = ("-", Tone.DIM)
OK, WARN, CRITICAL = HEALTH[Health.OK], HEALTH[Health.WARN], HEALTH[Health.CRITICAL]
NAME_CELLS = 18
_NAME_GROWS, _NARROW = 12, 80
_CENT = PICO_PER_USD // 100


@dataclass(frozen=True)
class Pen:
    """What a terminal can show: shapes and bars, or what ASCII has for them."""

    unicode: bool = True

    def shape(self, state: Told) -> str:
        """The shape of a state."""
        return state.shape if self.unicode else state.ascii_shape

    def state(self, state: Told | None) -> tuple[str, Tone]:
        """Shape and word."""
        return NOTHING if state is None else (state.text(unicode=self.unicode), state.tone)

    def bar(self, ratio: float | None, width: int) -> str:
        """How full something is."""
        return bar(ratio, width=width, unicode=self.unicode)

    def fit(self, text: str, width: int, *, right: bool = False) -> str:
        """Exactly `width` characters; what is cut says so."""
        if len(text) > width:
            return text[: max(0, width - 1)] + self._cut[:width]
        return text.rjust(width) if right else text.ljust(width)

    def middle(self, name: str, width: int) -> str:
        """At most `width` characters: what is cut is cut in the middle, for both ends tell names apart."""
        if len(name) <= width:
            return name
        head = max(1, (width - 1) // 2)
        return name[:head] + self._cut + name[len(name) - (width - 1 - head) :]

    @property
    def _cut(self) -> str:
        return "…" if self.unicode else "~"


@dataclass(frozen=True)
class Column:
    """`text` gives what stands in it of what a row says. One that is `spare` goes where there is no room for it.

    It may grow up to `most`, when there is room left.
    """

    title: str
    width: int
    text: Callable[[Any, int, Pen], tuple[str, Tone]]
    right: bool = False
    spare: bool = False
    most: int = 0


def name_column(title: str, name: Callable[[Any], str]) -> Column:
    """The first one of a section: as wide in all of them, so that what comes next stands in line."""
    return Column(title, NAME_CELLS, lambda said, width, pen: (pen.middle(name(said), width), Tone.PLAIN))


def like(one: Told, word: str) -> Told:
    """The shape and tone of a state, with another word."""
    return Told(one.shape, one.ascii_shape, word, one.tone)


def fitted(columns: Sequence[Column], width: int) -> tuple[Column, ...]:
    """Those that are shown at this width, as wide as they are then."""
    name = NAME_CELLS + max(0, min(_NAME_GROWS, (width - _NARROW) // 2))
    shown = [replace(columns[0], width=name), *columns[1:]]
    while (rest := width - 2 - sum(column.width + 1 for column in shown)) < 0 and any(one.spare for one in shown):
        shown.remove(next(one for one in reversed(shown) if one.spare))
    return tuple(replace(one, width=max(one.width, min(one.most, one.width + max(0, rest)))) for one in shown)


def row_cells(columns: Iterable[Column], said: object, *, stale: bool, pen: Pen) -> list[Cell]:
    """A row. Of what is stale all but the first column is dim."""
    cells = [Cell("  ")]
    for number, column in enumerate(columns):
        text, tone = column.text(said, column.width, pen)
        tone = Tone.DIM if stale and number else tone
        cells.append(Cell(pen.fit(text, column.width, right=column.right) + " ", tone.value))
    return cells


def dollars(pico: int | None) -> str:
    """`$1,940`, `$41.20`; what is less than a cent is not told as none."""
    if pico is None:
        return "-"
    if 0 < pico < _CENT:
        return "<$0.01"
    return f"${pico / PICO_PER_USD:,.0f}" if pico >= 100 * PICO_PER_USD else f"${pico / PICO_PER_USD:,.2f}"


def span_of(found: Projection | None) -> str:
    """Where four of five months end: `$780-1,020`."""
    if found is None:
        return "-"
    places = 0 if found.high >= 10 * PICO_PER_USD else 2
    return f"${found.low / PICO_PER_USD:,.{places}f}-{found.high / PICO_PER_USD:,.{places}f}"


def count(number: int | None) -> str:
    """At most five characters: 812, 4.1k, 92k, 1.2M."""
    if number is None:
        return "-"
    for size, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            value = number / size
            return f"{value:.1f}{unit}" if value < 9.95 else f"{value:.0f}{unit}"
    return str(number)


def percent(ratio: float | None, places: int = 1) -> str:
    """`7.9 %`."""
    return "-" if ratio is None else f"{ratio * 100:.{places}f} %" if ratio else "0 %"


def interval(found: tuple[float, float] | None) -> str:
    """`6.8-9.1 %`."""
    return "-" if found is None else f"{found[0] * 100:.1f}-{found[1] * 100:.1f} %"


def span(seconds: float | None) -> str:
    """At most six characters: 420ms, 9.4s, 1m08s, 12m, 3h, 2d."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    if seconds < 600:
        return f"{int(seconds // 60)}m{int(seconds % 60):02d}s"
    for size, unit in ((86400, "d"), (3600, "h")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds // 60)}m"


def ago(age: timedelta) -> str:
    """A time that has passed, in steps of 5 s: one second more alone is no change."""
    seconds = age.total_seconds() // 5 * 5
    return f"{seconds:.0f}s" if seconds < 60 else span(seconds)
