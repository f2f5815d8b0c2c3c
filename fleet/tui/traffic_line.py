"""Traffic in one line, for the first screen: gray share, money of the month, requests in flight. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from fleet.control.actions.graypool import Pool
from fleet.control.actions.traffic import Part, Traffic
from fleet.control.watch.statewords import AWAY, Tone
from fleet.tui.lines import Cell
from fleet.tui.traffic_cells import Pen, ago, dollars, percent, span_of
from fleet.tui.traffic_money import Spent, cap_of, gray_state, tracks_of
from fleet.tui.traffic_rows import Section, is_old
from fleet.vocabulary.contracts.policy_admin import BudgetKind
from fleet.vocabulary.names import Freshness, Track

_GAP = Cell("  ")


def summary(found: Traffic | None, now: datetime, *, width: int, pen: Pen) -> list[Cell]:
    """One line of at most `width` cells; nothing where there is nothing to say, or no room for it.

    What is of fewer fronts than there are says so, and what is old is dim and says how old.
    """
    if found is None or not found.fronts:
        return []
    parts = next((one for one in _shorter(found, now, pen) if _width(one) <= width), [])
    old = is_old(found.sums, Section.TRACKS, now), is_old(found.flow, Section.REQUESTS, now)
    dim = (old[0], old[0], old[1], False)
    line: list[Cell] = []
    for cells, stale in zip(parts, dim, strict=False):
        if cells:
            line += [_GAP] if line else []
            line += [Cell(cell.text, Tone.DIM.value) for cell in cells] if stale else cells
    return line


def _shorter(found: Traffic, now: datetime, pen: Pen) -> Iterator[list[list[Cell]]]:
    """The same in fewer and fewer cells: what is left out first is missed least."""
    gray, flight, away = _gray(found, pen), _flight(found), _away(found, now, pen, named=True)
    for named, end in ((True, True), (False, True), (True, False), (False, False)):
        yield [gray, _money(found, pen, named=named, end=end), flight, away]
    money = _money(found, pen, named=False, end=False)
    yield [gray, money, [], away]
    yield [gray, money, [], _away(found, now, pen, named=False)]
    yield [gray, money]
    yield [gray]


def _width(parts: Sequence[Sequence[Cell]]) -> int:
    said = [sum(len(cell.text) for cell in cells) for cells in parts if cells]
    return sum(said) + len(_GAP.text) * max(0, len(said) - 1)


def worst_pool(pools: Sequence[Pool]) -> Pool | None:
    """The gray route to show alone: the first that does not go as it should, else the first."""
    return next((pool for pool in pools if gray_state(pool).tone is not Tone.OK), pools[0] if pools else None)


def month_of(found: Traffic) -> Spent | None:
    """The budget to show alone: the whole fleet's where it has a cap, else the dollar track's, else what was spent."""
    spent = {one.line.name if one.line.kind is BudgetKind.TRACK else "": one for one in _tracks(found)}
    whole = spent.get("")
    dollar = spent.get(Track.DOLLAR.value)
    if dollar is not None and dollar.ratio is not None and (whole is None or whole.ratio is None):
        return dollar
    return whole


def _tracks(found: Traffic) -> list[Spent]:
    return [] if found.sums.budget is None else tracks_of(found.sums.budget)


def _gray(found: Traffic, pen: Pen) -> list[Cell]:
    pool = worst_pool(found.sums.pools)
    if pool is None:
        return []
    state, cap = gray_state(pool), cap_of(pool)
    at_most = "caps differ" if cap is None else f"cap {cap * 100:g} %"
    more = f" +{len(found.sums.pools) - 1}" if len(found.sums.pools) > 1 else ""
    shape = pen.shape(state)
    return [
        Cell("gray ", Tone.DIM.value),
        Cell(f"{shape} {'' if state.tone is Tone.OK else state.word + ' '}", state.tone.value),
        Cell(percent(pool.observed), "bold"),
        Cell(f", {at_most}, n {pool.eligible:,}{more}"),
    ]


def _money(found: Traffic, pen: Pen, *, named: bool, end: bool) -> list[Cell]:
    one = month_of(found)
    if one is None:
        return []
    state, line = one.state, one.line
    whose = "month " if line.kind is BudgetKind.FLEET else f"{line.name} "
    cells = [Cell(whose, Tone.DIM.value)] if named else []
    if state is not None:
        word = "" if state.tone is Tone.OK else f"{state.word} "
        cells.append(Cell(f"{pen.shape(state)} {word}", state.tone.value))
    cells.append(Cell(dollars(line.spent_pico), "bold"))
    cells.append(Cell("" if line.cap_pico is None else f" of {dollars(line.cap_pico)}"))
    if end and one.month_end is not None:
        cells.append(Cell(f", end {span_of(one.month_end)}", Tone.WARN.value if one.cap_ahead else ""))
    return cells


def _flight(found: Traffic) -> list[Cell]:
    if found.flow.at is None:
        return []
    return [Cell(str(len(found.flow.requests)), "bold"), Cell(" in flight")]


def _away(found: Traffic, now: datetime, pen: Pen, *, named: bool) -> list[Cell]:
    """Who is missing in these figures; where all are, how old the figures are."""
    part: Part = found.flow if found.flow.away else found.sums
    if not part.away:
        return []
    off = AWAY[Freshness.OFFLINE]
    if len(part.away) == len(found.fronts) and part.at is not None and part.told:
        said = f"as of {ago(now - part.at)} ago"
    elif not named:
        said = "away"
    else:
        said = f"{len(part.away)} fronts away" if len(part.away) > 1 else f"{next(iter(part.away))} away"
    return [Cell(f"{pen.shape(off)} {said}", off.tone.value)]
