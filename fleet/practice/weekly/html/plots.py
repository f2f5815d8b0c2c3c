"""The plots of a report, each drawn out of its figures. A key beside it says what is what. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fleet.practice.weekly.figures import Figure, Unit, number
from fleet.practice.weekly.html.svg import Canvas, ticks
from fleet.practice.weekly.report import Line, Plot, Shape
from fleet.practice.weekly.words import of, percent, short, shown

_ROW = 46.0
_MOST_BESIDE, _MOST_ALONE = 26, 44
"""Letters of a name that a phone has room for, with and without words beside it; the table has all of them."""
_GUTTER = 8.0
"""Per cent of the width for the numbers of the lines across."""
_FAR = 3.0
"""A cap that is so many times above all else is named and not drawn: the rest would be flat."""


def drawn(plot: Plot) -> str:
    """The plot as SVG."""
    return _DRAW[plot.shape](plot)


def key(plot: Plot) -> Sequence[tuple[str, str]]:
    """Look and word for each kind of thing in the plot."""
    match plot.shape:
        case Shape.DAYS:
            used = [head for at, head in enumerate(plot.heads) if any(_at(line, at) for line in plot.lines)]
            past = any(number(figure.before) for line in plot.lines for figure in line.figures)
            return (*((f"c-{head}", head) for head in used), *((("c-past", "the week before"),) if past else ()))
        case Shape.BURN:
            found = {figure.label: figure for figure in plot.limits}
            cap = (("c-cap", f"cap {of(found['cap'])}{_above(plot)}"),) if "cap" in found else ()
            end = (("c-come", "at this pace"),) if "ends at" in found else ()
            return (("c-spent", "spent, added up"), *end, *cap)
        case Shape.SPAN:
            return (("c-from", "half were faster"), ("c-to", "95 % were faster"))
        case Shape.INTERVAL:
            return (("c-to", "observed"), ("c-range", "where the truth is, 95 %"))
        case Shape.PARTS:
            return (("c-token", plot.heads[0]), ("c-dollar", plot.heads[1]))
        case Shape.METER:
            return (("c-gray", "in the week"), ("c-cap", "cap"))


def _days(plot: Plot) -> str:
    canvas = Canvas(232.0)
    sums = [sum(_at(line, at) for at in range(len(plot.heads))) for line in plot.lines]
    before = [sum(number(figure.before) or 0.0 for figure in line.figures) for line in plot.lines]
    y = _grid(canvas, max([*sums, *before, 0.0]), top=18, foot=196, unit=Unit.USD)
    wide = (100 - _GUTTER) / max(len(plot.lines), 1)
    for place, line in enumerate(plot.lines):
        left = _GUTTER + place * wide
        if before[place]:
            top = y(before[place])
            canvas.box(left + wide * 0.14, top, wide * 0.2, 196 - top, "c-past", says=f"before: {_usd(before[place])}")
        foot = 0.0
        for at, head in enumerate(plot.heads):
            part = _at(line, at)
            if not part:
                continue
            top = y(foot + part)
            says = f"{line.name}, {head}: {of(line.figures[at])} USD"
            canvas.box(left + wide * 0.38, top, wide * 0.44, y(foot) - top, f"c-{head}", round_=1, says=says)
            foot += part
        canvas.words(left + wide / 2, 214, line.name, "t-axis", anchor="middle")
        if foot:
            canvas.words(left + wide * 0.6, y(foot) - 5, _usd(foot), "t-value", anchor="middle")
    return canvas.drawn(says=f"{plot.caption}. {plot.says}")


def _burn(plot: Plot) -> str:
    canvas = Canvas(232.0)
    limits = _limits(plot)
    spent, running = [], 0.0
    for line in plot.lines:
        running += _at(line, 0)
        spent.append(running if line.figures else None)
    end, cap = limits.get("ends at"), limits.get("cap")
    most = _most(plot)
    if cap is not None and not _above(plot):
        most = max(most, cap)
    y = _grid(canvas, most * 1.04, top=18, foot=196, unit=Unit.USD)
    wide = (100 - _GUTTER) / max(len(plot.lines), 1)
    known = sum(one is not None for one in spent)
    left_days = len(plot.lines) - known
    for place, line in enumerate(plot.lines):
        value = spent[place]
        if value is None and end is not None:
            value = running + (end - running) * (place - known + 1) / left_days
        if value is not None:
            look = "c-spent" if spent[place] is not None else "c-come"
            says = f"{line.name}: {_usd(value)} USD"
            canvas.box(
                _GUTTER + place * wide + wide * 0.12, y(value), wide * 0.76, 196 - y(value), look, round_=1, says=says
            )
        if place in (0, len(plot.lines) - 1) or ((place + 1) % 7 == 0 and place < len(plot.lines) - 3):
            canvas.words(_GUTTER + (place + 0.5) * wide, 214, line.name, "t-axis", anchor="middle")
    low, high = limits.get("at least"), limits.get("at most")
    if left_days and end is not None and low is not None and high is not None:
        middle = 100 - wide / 2
        canvas.line(middle, y(high), middle, y(low), "l-whisker")
        canvas.words(100, y(high) - 6, f"{_usd(low)} to {_usd(high)}", "t-value", anchor="end")
    if cap is not None and cap <= most:
        canvas.line(0, y(cap), 100, y(cap), "l-cap")
    return canvas.drawn(says=f"{plot.caption}. {plot.says}")


def _limits(plot: Plot) -> Mapping[str, float | None]:
    return {figure.label: number(figure.value) for figure in plot.limits}


def _most(plot: Plot) -> float:
    """How high the month comes, by all that is known."""
    limits = _limits(plot)
    return max(sum(_at(line, 0) for line in plot.lines), limits.get("at most") or 0.0, limits.get("ends at") or 0.0)


def _above(plot: Plot) -> str:
    """What is said of a cap that is not drawn, since all else would be flat."""
    cap = _limits(plot).get("cap")
    return ", far above" if cap is not None and cap > _most(plot) * _FAR else ""


def _span(plot: Plot) -> str:
    most = max([_at(line, 1) for line in plot.lines] or [0.0])

    def row(canvas: Canvas, x: Callable[[float], float], y: float, line: Line) -> str:
        low, high = _at(line, 0), _at(line, 1)
        canvas.box(x(low), y - 3, x(high) - x(low), 6, "c-range", round_=3)
        canvas.dot(x(low), y, 5, "c-from", says=f"P50 {of(line.figures[0])}")
        canvas.dot(x(high), y, 5, "c-to", says=f"P95 {of(line.figures[1])}")
        return f"{of(line.figures[0])} to {of(line.figures[1])}"

    return _rows(plot, most, row, unit=Unit.SECONDS)


def _interval(plot: Plot) -> str:
    most = max([_at(line, 2) for line in plot.lines] or [0.0])

    def row(canvas: Canvas, x: Callable[[float], float], y: float, line: Line) -> str:
        value, low, high = (_at(line, at) for at in range(3))
        canvas.box(x(low), y - 3, x(high) - x(low), 6, "c-range", round_=3)
        canvas.dot(x(value), y, 5, "c-to", says=of(line.figures[0]))
        return f"{of(line.figures[0])}, {percent(low)} to {percent(high)}"

    return _rows(plot, most, row, unit=Unit.RATIO)


def _parts(plot: Plot) -> str:
    """Two bars a name. The scale leaves room for the value behind the longest."""
    canvas = Canvas(_ROW * len(plot.lines) + 4)
    most = max([_at(line, at) for line in plot.lines for at in (0, 1)] or [0.0]) or 1.0
    for place, line in enumerate(plot.lines):
        top = place * _ROW
        canvas.words(0, top + 13, _cut(line.name, _MOST_ALONE), "t-name")
        for at, look in ((0, "c-token"), (1, "c-dollar")):
            value, y = _at(line, at), top + 18 + 12 * at
            width = value / most * 82
            canvas.box(0, y, max(width, 0.4), 10, look, says=f"{line.name}: {of(line.figures[at])} {plot.heads[at]}")
            canvas.words(width, y + 9, of(line.figures[at]), "t-small", nudge=6)
    return canvas.drawn(says=f"{plot.caption}. {plot.says}")


def _meter(plot: Plot) -> str:
    most = max([max(_at(line, 0), _at(line, 1) * 1.25) for line in plot.lines] or [0.0])

    def row(canvas: Canvas, x: Callable[[float], float], y: float, line: Line) -> str:
        value, cap = _at(line, 0), _at(line, 1)
        canvas.box(0, y - 5, x(value), 10, "c-gray", says=f"{of(line.figures[0])} of {of(line.figures[4])} requests")
        canvas.line(x(cap), y - 10, x(cap), y + 10, "l-cap")
        return f"{of(line.figures[0])} of {of(line.figures[1])}"

    return _rows(plot, most, row, unit=Unit.RATIO)


def _rows(
    plot: Plot, most: float, row: Callable[[Canvas, Callable[[float], float], float, Line], str], *, unit: Unit
) -> str:
    """A name and what `row` says of it, and what `row` draws below; one scale for all, told at the foot."""
    canvas = Canvas(_ROW * len(plot.lines) + 24)
    marks = ticks(most, wanted=3)
    scale = 96 / (marks[-1] or 1.0)
    foot = _ROW * len(plot.lines) + 2
    for mark in marks:
        canvas.line(1 + mark * scale, 0, 1 + mark * scale, foot, "l-grid")
        canvas.words(
            1 + mark * scale, foot + 15, _mark(mark, unit), "t-axis", anchor="start" if mark == 0 else "middle"
        )
    for place, line in enumerate(plot.lines):
        middle = place * _ROW + 31
        canvas.line(1, middle, 97, middle, "l-row")
        said = row(canvas, lambda value: 1 + value * scale, middle, line)
        name = f"{line.name} ({line.tag})" if line.tag else line.name
        canvas.words(0, place * _ROW + 15, _cut(name, _MOST_BESIDE), "t-name")
        canvas.words(100, place * _ROW + 15, said, "t-value", anchor="end")
    return canvas.drawn(says=f"{plot.caption}. {plot.says}")


def _grid(canvas: Canvas, most: float, *, top: float, foot: float, unit: Unit) -> Callable[[float], float]:
    """Lines across with their numbers on them; where a value lies."""
    marks = ticks(most)
    scale = (foot - top) / (marks[-1] or 1.0)
    for mark in marks:
        y = foot - mark * scale
        canvas.line(0, y, 100, y, "l-grid" if mark else "l-foot")
        if mark:
            canvas.words(0, y - 4, _mark(mark, unit), "t-axis")
    return lambda value: foot - value * scale


def _mark(value: float, unit: Unit) -> str:
    if unit is Unit.RATIO:
        return f"{value * 100:g} %"
    if unit is Unit.SECONDS:
        return f"{value:g} s"
    return short(value) if value >= 1000 else f"{value:g}"


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _usd(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}" if value >= 0.01 else shown(f"{value:.6f}", Unit.USD)


def _at(line: Line, place: int) -> float:
    figures: Sequence[Figure] = line.figures
    return (number(figures[place].value) or 0.0) if place < len(figures) else 0.0


_DRAW: Mapping[Shape, Callable[[Plot], str]] = {
    Shape.DAYS: _days,
    Shape.BURN: _burn,
    Shape.SPAN: _span,
    Shape.INTERVAL: _interval,
    Shape.PARTS: _parts,
    Shape.METER: _meter,
}
