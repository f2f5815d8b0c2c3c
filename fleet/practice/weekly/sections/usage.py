"""How the week was used: by model, by track, by team."""

from __future__ import annotations

from fleet.practice.weekly.figures import Figure, Read, number
from fleet.practice.weekly.report import Block, Line, Plot, Section, Shape, Table, Tiles, Unmeasured
from fleet.practice.weekly.sections.part import SPREADS, Asker, Part, key_of
from fleet.practice.weekly.words import about, percent
from fleet.vocabulary.contracts.usage import UsageBy

_MOST_LINES = 15
_HEADS: tuple[tuple[str, Read], ...] = (
    ("requests", Read.REQUESTS),
    ("failed", Read.FAILED),
    ("tokens", Read.TOKENS),
    ("USD", Read.SPENT),
    ("USD/M tokens", Read.USD_PER_MILLION),
    ("P50", Read.P50_SECONDS),
    ("P95", Read.P95_SECONDS),
    ("first token P95", Read.P95_FIRST_TOKEN),
)


def usage_part(asker: Asker) -> Part:
    """Tiles, two pictures and three tables."""
    everything = tiles(asker)
    requests = everything.figures[0].value
    if requests is None:
        missing = Unmeasured(what="usage", why="no front told how it was used in this week")
        return Part(section=Section(id="usage", title="Usage", lead="Not measured."), unmeasured=(missing,))
    if not requests:
        return Part(section=Section(id="usage", title="Usage", lead="Nobody asked anything.", blocks=(everything,)))
    models = [names for names in asker.names(UsageBy.MODEL, measures=SPREADS) if any(names)]
    blocks: list[Block] = [everything]
    if models:
        blocks.extend([_parts(asker, models), _spans(asker, models)])
    blocks.extend(
        _table(asker, by, caption)
        for by, caption in (
            (UsageBy.MODEL, "By model"),
            (UsageBy.TRACK, "By track"),
            (UsageBy.TEAM, "By team"),
        )
    )
    return Part(section=Section(id="usage", title="Usage", lead=_lead(everything.figures), blocks=tuple(blocks)))


def tiles(asker: Asker) -> Tiles:
    """The week in a few figures, whoever asked for whatever."""
    wanted = (
        ("requests", Read.REQUESTS),
        ("tokens", Read.TOKENS),
        ("median answer", Read.P50_SECONDS),
        ("95 % answered within", Read.P95_SECONDS),
        ("95 % began within", Read.P95_FIRST_TOKEN),
        ("failed", Read.FAILED),
    )
    return Tiles(
        figures=tuple(
            asker.usage(f"usage.all.{read}", label, read, UsageBy.TRACK, measures=SPREADS) for label, read in wanted
        )
    )


def _table(asker: Asker, by: UsageBy, caption: str) -> Table:
    names = asker.names(by, measures=SPREADS)
    return Table(
        caption=caption,
        of=by.value,
        heads=tuple(head for head, _ in _HEADS),
        lines=tuple(
            Line(name=one[0] or _nameless(by), figures=tuple(_cell(asker, by, one, read) for _, read in _HEADS))
            for one in names[:_MOST_LINES]
        ),
    )


def _cell(asker: Asker, by: UsageBy, names: tuple[str, ...], read: Read) -> Figure:
    label = next(head for head, one in _HEADS if one is read)
    return asker.usage(f"usage.{by}.{key_of(names)}.{read}", label, read, by, lines=(names,), measures=SPREADS)


def _nameless(by: UsageBy) -> str:
    return {UsageBy.MODEL: "(went nowhere)", UsageBy.TEAM: "(no team)"}.get(by, "(none)")


def _parts(asker: Asker, models: list[tuple[str, ...]]) -> Plot:
    lines = [
        Line(
            name=names[0],
            figures=tuple(
                asker.usage(
                    f"parts.{key_of(names)}.{read}", label, read, UsageBy.MODEL, lines=(names,), measures=SPREADS
                )
                for label, read in (("of the tokens", Read.TOKENS_PART), ("of the dollars", Read.SPENT_PART))
            ),
        )
        for names in models[:_MOST_LINES]
    ]
    return Plot(
        id="parts",
        caption="Who has the tokens, who has the dollars",
        says=_parts_say(lines),
        shape=Shape.PARTS,
        heads=("of the tokens", "of the dollars"),
        lines=tuple(lines),
    )


def _parts_say(lines: list[Line]) -> str:
    dear = max(lines, key=lambda line: number(line.figures[1].value) or 0.0)
    tokens, dollars = (number(figure.value) for figure in dear.figures)
    if not dollars or tokens is None:
        return "Nothing was paid for: the week ran on own machines and free models."
    return f"{dear.name} had {about(tokens)} of the tokens and {about(dollars)} of the dollars."


def _spans(asker: Asker, models: list[tuple[str, ...]]) -> Plot:
    lines = [
        Line(
            name=names[0],
            figures=tuple(
                asker.usage(
                    f"spans.{key_of(names)}.{read}", label, read, UsageBy.MODEL, lines=(names,), measures=SPREADS
                )
                for label, read in (("P50", Read.P50_SECONDS), ("P95", Read.P95_SECONDS))
            ),
        )
        for names in models[:_MOST_LINES]
    ]
    known = [line for line in lines if number(line.figures[1].value) is not None]
    slow = max(known, key=lambda line: number(line.figures[1].value) or 0.0, default=None)
    return Plot(
        id="spans",
        caption="How long answers took, P50 to P95, in seconds",
        says="" if slow is None else f"{slow.name} was the slowest: 95 % within {number(slow.figures[1].value):.2g} s.",
        shape=Shape.SPAN,
        heads=("P50", "P95"),
        lines=tuple(known),
    )


def _lead(figures: tuple[Figure, ...]) -> str:
    requests, failed = figures[0].value, figures[-1].value
    if not failed:
        return "Every request was answered."
    share = percent(float(failed) / float(requests or 1))
    return f"{failed:,} of {requests:,} requests failed ({share})."
