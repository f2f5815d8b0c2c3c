"""The budget review: the week, the month so far, where it will end, and what that means for the dollar track."""

from __future__ import annotations

from datetime import date

from fleet.practice.budget import Budget
from fleet.practice.weekly.figures import BudgetAsked, BudgetRead, Figure, Read, Unit, UsageAsked, number
from fleet.practice.weekly.report import Block, Line, Note, Plot, Section, Shape, Table, Tiles, Unmeasured
from fleet.practice.weekly.sections.downgrade import decision
from fleet.practice.weekly.sections.part import Asker, Part
from fleet.practice.weekly.weeks import day_bounds, days_of
from fleet.practice.weekly.words import about
from fleet.vocabulary.contracts.policy_admin import BUDGETED_TRACKS, BudgetKind
from fleet.vocabulary.contracts.usage import UsageBy, UsageQuery
from fleet.vocabulary.names import Track

_FLEET = "fleet"
_MOST_LINES = 15
_ENDS = (
    ("ends at", BudgetRead.MONTH_END),
    ("at least", BudgetRead.MONTH_END_LOW),
    ("at most", BudgetRead.MONTH_END_HIGH),
)


def money_part(asker: Asker) -> Part:
    """Tiles, the days, the month and its caps."""
    month = asker.answers.month
    week = asker.usage("money.week.spent", "spent in the week", Read.SPENT, UsageBy.TRACK)
    if week.value is None and month is None:
        missing = Unmeasured(what="budget", why="no front told what was spent")
        return Part(section=Section(id="money", title="Money", lead="Not measured."), unmeasured=(missing,))
    decided = decision(asker, month)
    blocks: list[Block] = [Tiles(figures=(week, *_dollar_tile(asker, month), *_month_tiles(asker, month)))]
    if number(week.value) or number(week.before):
        blocks.append(_days(asker))
    if month is not None:
        if any(month.days_pico):
            blocks.append(_burn(asker, month))
        blocks.append(_caps(asker, month))
        blocks.extend(_tickets(asker))
        notes = _notes(month)
        if notes:
            blocks.append(Note(items=notes))
    return Part(
        section=Section(
            id="money",
            title="Money",
            lead=f"Dollar track: {decided.verdict.word}. {decided.verdict.why}",
            blocks=tuple(blocks),
        ),
        verdicts=(decided.verdict,),
        actions=decided.actions,
        unmeasured=_unmeasured(month),
    )


def _name(month: Budget) -> str:
    """`November`: everything here is of the running month."""
    return f"{date.fromisoformat(f'{month.month}-01'):%B}"


def _ask(asker: Asker, key: str, label: str, unit: Unit, asked: BudgetAsked) -> Figure:
    return asker.answers.figure(key, label, unit, asked)


def _dollar_tile(asker: Asker, month: Budget | None) -> tuple[Figure, ...]:
    if month is None or month.dollar is None:
        return ()
    spent = asker.usage(
        "money.week.dollar", "on the dollar track", Read.SPENT, UsageBy.TRACK, lines=((Track.DOLLAR.value,),)
    )
    part = BudgetAsked(kind=BudgetKind.TRACK, name=Track.DOLLAR.value, read=BudgetRead.ALLOTMENT, week=str(asker.week))
    return (spent, _ask(asker, "money.week.allotment", "its part of the cap", Unit.USD, part))


def _month_tiles(asker: Asker, month: Budget | None) -> tuple[Figure, ...]:
    if month is None or month.line(BudgetKind.FLEET, _FLEET) is None:
        return ()

    def tile(read: BudgetRead, label: str) -> Figure:
        asked = BudgetAsked(kind=BudgetKind.FLEET, name=_FLEET, read=read)
        return _ask(asker, f"money.month.{read}", label, Unit.USD, asked)

    found = [tile(BudgetRead.SPENT, f"{_name(month)} so far"), tile(BudgetRead.MONTH_END, f"{_name(month)} ends near")]
    return tuple(figure for figure in found if figure.value is not None)


def _days(asker: Asker) -> Plot:
    """Seven days by track; each is a question of its own, so that a day is a day of UTC."""
    tracks = [track.value for track in BUDGETED_TRACKS]
    lines = []
    for day, previous in zip(days_of(asker.week), days_of(asker.week.previous), strict=True):
        figures = []
        for track in tracks:
            now, then = (_day_query(one) for one in (day, previous))
            figures.append(
                asker.answers.figure(
                    f"money.day.{day:%a}.{track}",
                    track,
                    Unit.USD,
                    UsageAsked(query=now, lines=((track,),), read=Read.SPENT),
                    before=UsageAsked(query=then, lines=((track,),), read=Read.SPENT),
                )
            )
        lines.append(Line(name=f"{day:%a} {day.day}", tag=day.isoformat(), figures=tuple(figures)))
    return Plot(
        id="days",
        caption="Spent by day and track, USD",
        says=_days_say(lines),
        shape=Shape.DAYS,
        heads=tuple(tracks),
        lines=tuple(lines),
    )


def _day_query(day: date) -> UsageQuery:
    since, until = day_bounds(day)
    return UsageQuery(by=(UsageBy.TRACK,), since_milliseconds=since, until_milliseconds=until)


def _days_say(lines: list[Line]) -> str:
    sums = [(sum(number(figure.value) or 0.0 for figure in line.figures), line.name) for line in lines]
    most, day = max(sums)
    whole = sum(amount for amount, _ in sums)
    if not most:
        return "Nothing was spent in this week."
    return f"{day} was the dearest day: {most:,.2f} USD, {about(most / whole)} of the week."


def _burn(asker: Asker, month: Budget) -> Plot:
    """The running month: what each day cost until now, the cap, and where it ends."""
    capped = month.line(BudgetKind.FLEET, _FLEET)
    days = tuple(
        Line(
            name=str(day),
            figures=(
                _ask(
                    asker,
                    f"money.burn.{day:02d}",
                    "spent",
                    Unit.USD,
                    BudgetAsked(kind=BudgetKind.FLEET, name=_FLEET, read=BudgetRead.DAY, day=day),
                ),
            ),
        )
        for day in range(1, month.today + 1)
    )
    limits = [
        _ask(asker, f"money.burn.{read}", label, Unit.USD, BudgetAsked(kind=BudgetKind.FLEET, name=_FLEET, read=read))
        for label, read in (("cap", BudgetRead.CAP), *_ENDS)
    ]
    end = next(figure for figure in limits if figure.label == "ends at")
    cap = limits[0]
    says = (
        f"It is too early in {_name(month)} to say where it ends."
        if end.value is None
        else f"At this pace {_name(month)} ends near {number(end.value):,.2f} USD"
        + ("." if cap.value is None else f", of {number(cap.value):,.2f} allowed.")
    )
    return Plot(
        id="burn",
        caption=f"{_name(month)} day by day, added up, USD",
        says=says if capped is not None else "",
        shape=Shape.BURN,
        heads=("spent",),
        lines=(*days, *_to_come(month)),
        limits=tuple(figure for figure in limits if figure.value is not None),
    )


def _to_come(month: Budget) -> tuple[Line, ...]:
    return tuple(Line(name=str(day), figures=()) for day in range(month.today + 1, len(month.days_pico) + 1))


def _caps(asker: Asker, month: Budget) -> Table:
    lines = []
    for kind, name in _shown(month):
        figures = [
            _ask(asker, f"money.{kind}.{name}.{read}", label, unit, BudgetAsked(kind=kind, name=name, read=read))
            for label, unit, read in (
                ("spent", Unit.USD, BudgetRead.SPENT),
                ("held", Unit.USD, BudgetRead.HELD),
                ("cap", Unit.USD, BudgetRead.CAP),
                ("of the cap", Unit.RATIO, BudgetRead.USED_PART),
                ("month ends near", Unit.USD, BudgetRead.MONTH_END),
            )
        ]
        lines.append(Line(name=name, tag=kind.value, figures=tuple(figures)))
    return Table(
        caption=f"{_name(month)} under its caps, as of now",
        of="budget",
        heads=("spent", "held", "cap", "of the cap", "month ends near"),
        lines=tuple(lines),
    )


def _tickets(asker: Asker) -> list[Table]:
    """What the week's escalations cost, the dearest first: each carries a ticket."""
    heads = (("requests", Read.REQUESTS), ("tokens", Read.TOKENS), ("USD", Read.SPENT))
    lines = [
        Line(
            name=names[0],
            figures=tuple(
                asker.usage(f"money.ticket.{names[0]}.{read}", head, read, UsageBy.TICKET, lines=(names,))
                for head, read in heads
            ),
        )
        for names in asker.names(UsageBy.TICKET)
        if names[0]
    ]
    lines.sort(key=lambda line: -(number(line.figures[-1].value) or 0.0))
    caption = "What carried a ticket in the week"
    table = Table(
        caption=caption, of="ticket", heads=tuple(head for head, _ in heads), lines=tuple(lines[:_MOST_LINES])
    )
    return [table] if lines else []


def _shown(month: Budget) -> list[tuple[BudgetKind, str]]:
    """The fleet, its tracks and teams, and what else has a cap and a use."""
    always = (BudgetKind.FLEET, BudgetKind.TRACK, BudgetKind.TEAM)
    return [
        (line.kind, line.name)
        for line in month.lines
        if line.kind in always or (line.cap_pico is not None and line.spent_pico + line.reserved_pico)
    ]


def _notes(month: Budget) -> tuple[str, ...]:
    unsettled = sum(front.unsettled for front in month.fronts)
    said = [*month.warnings]
    if unsettled:
        said.append(f"{unsettled} attempts are not settled yet: what was reserved for them counts as held.")
    said.extend(
        f"{front.node}: paid routes are closed: {front.ledger_problem}"
        for front in month.fronts
        if front.ledger_problem
    )
    return tuple(said)


def _unmeasured(month: Budget | None) -> tuple[Unmeasured, ...]:
    if month is None:
        return (Unmeasured(what="caps and the month", why="no front told its budget"),)
    line = month.line(BudgetKind.FLEET, _FLEET)
    if line is not None and line.spent_pico and month.month_end(line) is None:
        why = f"fewer than five days of {_name(month)} are over"
        return (Unmeasured(what="where the month will end", why=why),)
    return ()
