"""Traffic as frozen rows, section by section: what the screen shows, and what its filter leaves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from fleet.control.actions.traffic import Part, Traffic
from fleet.control.actions.uses import Use
from fleet.tui.traffic_flow import Upstream, open_now, where
from fleet.tui.traffic_money import budgets_of, tracks_of
from fleet.tui.traffic_notes import notes_of
from fleet.vocabulary.contracts.usage import UsageLine
from fleet.vocabulary.names import NodeName

FLOW_OLD = timedelta(seconds=30)
SUMS_OLD = timedelta(seconds=120)


class Section(StrEnum):
    """What a row is about, in the order of the screen."""

    NOTES = "notes"
    TRACKS = "tracks"
    GRAY = "gray"
    UPSTREAMS = "upstreams"
    REQUESTS = "requests"
    BUDGETS = "budgets"
    TOOLS = "tools"
    INCIDENTS = "incidents"


FLOWING = frozenset({Section.UPSTREAMS, Section.REQUESTS})
_ALWAYS = frozenset({Section.UPSTREAMS, Section.REQUESTS})


@dataclass(frozen=True)
class TrafficRow:
    """One line. Without a `name` it is the head of its section, and `said` what the head adds, as text."""

    section: Section
    name: str
    said: Any
    stale: bool = False


def rows_of(found: Traffic, now: datetime, *, sought: str = "", known: Iterable[TrafficRow] = ()) -> list[TrafficRow]:
    """All rows, a head before each section that has any. One that is equal to one of `known` is that very object.

    `sought` is words that must all be in what a row says; a `!` in front turns a word around.
    """
    before = {(row.section, row.name): row for row in known}
    words = sought.removeprefix("/").lower().split()
    rows: list[TrafficRow] = []
    for section, said in _sections(found):
        part = part_of(found, section)
        stale = section is not Section.NOTES and is_old(part, section, now)
        fitting = [TrafficRow(section, name, one, stale) for name, one in said if _fits(section, name, one, words)]
        if fitting or (section in _ALWAYS and part.at is not None and not words):
            rows += [TrafficRow(section, "", _head(section, fitting, part, found), stale), *fitting]
    return [same if (same := before.get((row.section, row.name))) == row and same is not None else row for row in rows]


def part_of(found: Traffic, section: Section) -> Part:
    """Where a section's rows are from."""
    return found.flow if section in FLOWING else found.sums


def is_old(part: Part, section: Section, now: datetime) -> bool:
    """Whether it was said too long ago to be how things are."""
    return part.at is not None and now - part.at > (FLOW_OLD if section in FLOWING else SUMS_OLD)


def node_of(row: TrafficRow | None) -> NodeName | None:
    """The node that a row is about, if it is about one."""
    if row is None or not row.name:
        return None
    node = row.said.node if row.section is Section.REQUESTS else ""
    node = row.said.now.node if row.section is Section.UPSTREAMS else node
    return NodeName(node) if node else None


def _sections(found: Traffic) -> Iterator[tuple[Section, Sequence[tuple[str, Any]]]]:
    sums, flow = found.sums, found.flow
    budget = sums.budget
    yield Section.NOTES, [(one.name, one) for one in notes_of(found)]
    if budget is not None:
        yield Section.TRACKS, [(one.name, one) for one in tracks_of(budget)]
    yield Section.GRAY, [(pool.route, pool) for pool in sums.pools]
    hour = sums.hour
    unused = None if hour is None else Use(UsageLine(names=("",)))
    yield (
        Section.UPSTREAMS,
        [(one.name, Upstream(one, hour.get(one.name, unused) if hour is not None else None)) for one in flow.upstreams],
    )
    yield Section.REQUESTS, [(one.id, one) for one in flow.requests]
    if budget is not None:
        yield Section.BUDGETS, [(one.name, one) for one in budgets_of(budget)]
    yield Section.TOOLS, [(name, one) for name, one in (sums.day or {}).items() if one.scored]
    yield Section.INCIDENTS, [(one.name, one) for one in open_now(sums.incidents)]


def _head(section: Section, rows: Sequence[TrafficRow], part: Part, found: Traffic) -> str:
    """How many there are, where that says something, and of which fronts, when not of all."""
    many = str(len(rows)) if section is Section.REQUESTS else ""
    some = 0 < len(part.told) < len(found.fronts) and section is not Section.NOTES
    few = f"({len(part.told)}/{len(found.fronts)})" if some else ""
    return " ".join(word for word in (many, few) if word)


def _fits(section: Section, name: str, said: Any, words: Sequence[str]) -> bool:
    if not words:
        return True
    text = f"{section} {name}"
    if section is Section.REQUESTS:
        text += f" {said.key} {said.route} {where(said)} {said.phase} {said.model}"
    elif section is Section.UPSTREAMS:
        text += f" {said.state.word} {said.now.kind} {' '.join(said.now.routes)}"
    elif section in (Section.TRACKS, Section.BUDGETS):
        text += f" {said.state.word if said.state else ''}"
    text = text.lower()
    return all((word[1:] not in text) if word[0] == "!" and len(word) > 1 else word in text for word in words)
