"""The report of a week as one frozen value. Three writers tell it: JSON, Markdown, HTML. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TypeAlias

import msgspec

from fleet.practice.weekly.figures import Figure

SCHEMA = 1


class Tone(StrEnum):
    """How a finding is meant."""

    GOOD = "good"
    WATCH = "watch"
    BAD = "bad"
    UNKNOWN = "unknown"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided or found of one subject: a word, and the sentence for it."""

    subject: str
    word: str
    tone: Tone
    why: str


class Tiles(msgspec.Struct, frozen=True, kw_only=True, tag_field="block", tag="tiles"):
    """A few figures side by side."""

    figures: tuple[Figure, ...]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a table: its name, a word beside it, and a figure for each head."""

    name: str
    figures: tuple[Figure, ...]
    tag: str = ""


class Table(msgspec.Struct, frozen=True, kw_only=True, tag_field="block", tag="table"):
    """Lines of figures below `heads`; the name's own head is `of`."""

    caption: str
    of: str
    heads: tuple[str, ...]
    lines: tuple[Line, ...]


class Shape(StrEnum):
    """How a plot is drawn; what its lines hold, in this order.

    `days`: a figure a track, one line a day. `burn`: what one day cost. `span`: low, high. `interval`: value, low and
    high. `parts`: two shares. `meter`: value, cap.
    """

    DAYS = "days"
    BURN = "burn"
    SPAN = "span"
    INTERVAL = "interval"
    PARTS = "parts"
    METER = "meter"


class Plot(msgspec.Struct, frozen=True, kw_only=True, tag_field="block", tag="plot"):
    """A picture of figures. `says` is its point in a sentence: who cannot see it loses nothing.

    `limits` are figures drawn as lines across it (a cap, where the month will end: expected, low, high).
    """

    id: str
    caption: str
    says: str
    shape: Shape
    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    limits: tuple[Figure, ...] = ()


class Note(msgspec.Struct, frozen=True, kw_only=True, tag_field="block", tag="note"):
    """Sentences."""

    items: tuple[str, ...]


Block: TypeAlias = Tiles | Table | Plot | Note


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the report. `lead` is its finding."""

    id: str
    title: str
    lead: str
    blocks: tuple[Block, ...] = ()

    def figures(self) -> Iterator[Figure]:
        """All of it, in the order of reading."""
        for block in self.blocks:
            if isinstance(block, Tiles):
                yield from block.figures
            elif isinstance(block, Table | Plot):
                for line in block.lines:
                    yield from line.figures
                if isinstance(block, Plot):
                    yield from block.limits


class Unmeasured(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be measured, and why."""

    what: str
    why: str


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What to do next: why, and the exact commands."""

    what: str
    why: str
    commands: tuple[str, ...] = ()


class Weekly(msgspec.Struct, frozen=True, kw_only=True):
    """The report. `whole`: the week was over when it was made. `made_at`: UTC, to the second.

    `fronts` are in every figure of the gateways, the part of those `away` is in none.
    """

    week: str
    days: str
    made_at: str
    whole: bool
    fleet_version: str
    fronts: tuple[str, ...]
    away: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    sections: tuple[Section, ...]
    actions: tuple[Action, ...]
    unmeasured: tuple[Unmeasured, ...]
    schema: int = SCHEMA

    def figures(self) -> Iterator[Figure]:
        """Every figure, in the order of reading."""
        for section in self.sections:
            yield from section.figures()
