"""What became of tool calls, by model: the share that failed, and how sure that is."""

from __future__ import annotations

from fleet.practice.weekly.figures import Figure, Read, number
from fleet.practice.weekly.reading import failures_and_calls
from fleet.practice.weekly.report import Action, Line, Plot, Section, Shape, Table, Tone, Unmeasured, Verdict
from fleet.practice.weekly.sections.part import Asker, Part, key_of
from fleet.practice.weekly.words import percent
from fleet.traffic.budget.calendar import Week
from fleet.traffic.rollback import Rate, rose, surely_risen
from fleet.vocabulary.contracts.usage import Measure, UsageBy

LEAST_CALLS = 200
"""Fewer in one of two weeks say nothing for sure (SPEC section 5.4)."""
FEW_CALLS = 20
_TWO_POINTS = 0.02
_MEASURES = (Measure.TOOLS_AT_SECONDS,)
_HEADS = (
    ("scored calls", Read.CALLS),
    ("failed", Read.FAILURES),
    ("share failed", Read.FAILURE_RATIO),
    ("whole call, P95", Read.P95_TOOL_CALL),
)


def worse(now: Rate, before: Rate) -> bool:
    """Whether calls fail two points more often, for sure: by enough calls, or by few that leave no doubt."""
    if min(now.scored, before.scored) >= LEAST_CALLS:
        return rose(now, before)
    bound = surely_risen(now, before) if now.scored >= FEW_CALLS else None
    return bound is not None and bound > _TWO_POINTS


def tools_part(asker: Asker) -> Part:
    """The models that were offered tools."""
    rates = {names: _rates(asker, names) for names in asker.names(UsageBy.MODEL, measures=_MEASURES) if names[0]}
    scored = [names for names, (now, _) in rates.items() if now.scored]
    if not scored:
        return Part(
            section=Section(id="tools", title="Tool calls", lead="No tool call was scored in this week."),
            unmeasured=(Unmeasured(what="tool-call errors", why="no request of the week offered tools"),),
        )
    risen = [names[0] for names in scored if worse(*rates[names])]
    return Part(
        section=Section(
            id="tools",
            title="Tool calls",
            lead=_lead(risen),
            blocks=(_plot(asker, scored), _table(asker, scored)),
        ),
        verdicts=(_verdict(risen, scored),),
        actions=tuple(
            Action(
                what=f"Look at the tool calls of {model}",
                why="They fail at least two points more often than the week before.",
                commands=(f"fleet usage --by model,app {asker.since_until}",),
            )
            for model in risen
        ),
    )


def _rates(asker: Asker, names: tuple[str, ...]) -> tuple[Rate, Rate]:
    def rate(week: Week) -> Rate:
        lines = asker.answers.lines(asker.query(UsageBy.MODEL, week=week, measures=_MEASURES))
        return Rate(*failures_and_calls(lines.get(names, ())))

    return rate(asker.week), rate(asker.week.previous)


def _lead(risen: list[str]) -> str:
    if not risen:
        return "No model's tool calls got two points worse."
    return f"Worse than the week before by two points or more: {', '.join(risen)}."


def _verdict(risen: list[str], scored: list[tuple[str, ...]]) -> Verdict:
    if risen:
        return Verdict(subject="Tool calls", word="worse", tone=Tone.BAD, why=_lead(risen))
    many = len(scored)
    why = f"No rise of two points in {many} model{'s' if many > 1 else ''}."
    return Verdict(subject="Tool calls", word="steady", tone=Tone.GOOD, why=why)


def _figure(asker: Asker, names: tuple[str, ...], kind: str, label: str, read: Read) -> Figure:
    key = f"tools.{kind}.{key_of(names)}.{read}"
    return asker.usage(key, label, read, UsageBy.MODEL, lines=(names,), measures=_MEASURES)


def _plot(asker: Asker, scored: list[tuple[str, ...]]) -> Plot:
    reads = (("failed", Read.FAILURE_RATIO), ("at least", Read.FAILURE_LOW), ("at most", Read.FAILURE_HIGH))
    lines = tuple(
        Line(name=names[0], figures=tuple(_figure(asker, names, "plot", label, read) for label, read in reads))
        for names in scored
    )
    worst = max(lines, key=lambda line: number(line.figures[0].value) or 0.0)
    return Plot(
        id="tool-errors",
        caption="Share of scored tool calls that failed, with its 95 % interval",
        says=f"{worst.name} fails most often: {percent(number(worst.figures[0].value) or 0.0)} of its calls.",
        shape=Shape.INTERVAL,
        heads=("failed", "at least", "at most"),
        lines=lines,
    )


def _table(asker: Asker, scored: list[tuple[str, ...]]) -> Table:
    return Table(
        caption="By model",
        of="model",
        heads=tuple(head for head, _ in _HEADS),
        lines=tuple(
            Line(name=names[0], figures=tuple(_figure(asker, names, "table", head, read) for head, read in _HEADS))
            for names in scored
        ),
    )
