"""The last run of the harness: what each target passed, how fast, for how much; and who should take whose place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from shlex import quote

from fleet.practice.harness.compare import Verdict as Compared
from fleet.practice.harness.compare import Word
from fleet.practice.harness.report import HarnessReport, TargetReport
from fleet.practice.weekly.answers import Answers
from fleet.practice.weekly.figures import Better, Figure, FileAsked, Unit
from fleet.practice.weekly.report import Action, Line, Note, Plot, Section, Shape, Table, Tone, Unmeasured, Verdict
from fleet.practice.weekly.sections.part import Part
from fleet.practice.weekly.words import of
from fleet.practice.weeklyfiles.files import HARNESS
from fleet.traffic.budget.calendar import DAY_MILLISECONDS, Week

_TITLE = "Harness"
_HEADS: tuple[tuple[str, str, Unit, Better], ...] = (
    ("passed", "passed", Unit.RATIO, Better.MORE),
    ("tool calls right", "tools", Unit.RATIO, Better.MORE),
    ("P50", "p50_seconds", Unit.SECONDS, Better.LESS),
    ("P95", "p95_seconds", Unit.SECONDS, Better.LESS),
    ("first token P95", "p95_first_token_seconds", Unit.SECONDS, Better.LESS),
    ("USD a pass", "pass_usd", Unit.USD, Better.LESS),
)
_INTERVAL = (("passed", "passed"), ("at least", "passed_low"), ("at most", "passed_high"))
_TONES = {
    Word.PROMOTE: Tone.GOOD,
    Word.HOLD: Tone.WATCH,
    Word.DEMOTE: Tone.BAD,
    Word.NO_VERDICT: Tone.UNKNOWN,
}


def in_week(report: HarnessReport, week: Week) -> bool:
    """Whether a run is a week's: begun in it, or on the Monday after, which looks back on it."""
    return week.starts <= report.started_milliseconds < week.ends + DAY_MILLISECONDS


def harness_part(
    answers: Answers, week: Week, run: HarnessReport | None, before: HarnessReport | None, compared: Sequence[Compared]
) -> Part:
    """`run` is the week's, `before` the one to hold it against; `compared` its targets against its first."""
    if run is None:
        missing = Unmeasured(what="harness", why=f"nothing was run in {week}, nor on the Monday after it")
        action = Action(
            what="Run the harness",
            why="No model is promoted or taken back without it.",
            commands=("fleet harness run", "fleet harness report"),
        )
        section = Section(id="harness", title=_TITLE, lead="Not measured.")
        return Part(section=section, actions=(action,), unmeasured=(missing,))
    there = [target for target in run.targets if target.measured]
    blocks = (*_measured(answers, run, before, there), *_told(compared))
    return Part(
        section=Section(id="harness", title=_TITLE, lead=_lead(run), blocks=blocks),
        verdicts=tuple(map(_verdict, compared)),
        actions=tuple(_action(one) for one in compared if one.word in (Word.PROMOTE, Word.DEMOTE)),
        unmeasured=tuple(
            Unmeasured(what=f"harness: {target.name}", why=target.why or "nothing of it was measured")
            for target in run.targets
            if not target.measured
        ),
    )


def _lead(run: HarnessReport) -> str:
    at = datetime.fromtimestamp(run.started_milliseconds / 1000, UTC)
    part = "" if run.complete else " It is not complete."
    return f"Run {run.run} of {at:%d %B}: {run.prompts} prompts of suite {run.suite}.{part}"


def _measured(
    answers: Answers, run: HarnessReport, before: HarnessReport | None, there: Sequence[TargetReport]
) -> tuple[Plot | Table, ...]:
    if not there:
        return ()
    known = {target.name for target in before.targets} if before is not None else set()

    def figure(target: TargetReport, kind: str, head: tuple[str, str, Unit, Better]) -> Figure:
        label, what, unit, better = head
        then = before if before is not None and target.name in known else None
        return answers.figure(
            f"harness.{kind}.{target.name}.{what}",
            label,
            unit,
            FileAsked(file=f"{HARNESS}/{run.run}", where=f"{target.name}/{what}"),
            before=None if then is None else FileAsked(file=f"{HARNESS}/{then.run}", where=f"{target.name}/{what}"),
            better=better,
        )

    def line(target: TargetReport, kind: str, heads: Sequence[tuple[str, str, Unit, Better]]) -> Line:
        tier = target.tier.value if target.tier is not None else ""
        return Line(name=target.name, tag=tier, figures=tuple(figure(target, kind, head) for head in heads))

    intervals = [(label, what, Unit.RATIO, Better.MORE) for label, what in _INTERVAL]
    bars = tuple(line(target, "plot", intervals) for target in there)
    best = max(bars, key=lambda one: float(one.figures[0].value or 0))
    plot = Plot(
        id="harness-passed",
        caption="Prompts passed, with the 95 % interval",
        says=f"{best.name} passed most: {of(best.figures[0])}.",
        shape=Shape.INTERVAL,
        heads=tuple(label for label, _ in _INTERVAL),
        lines=bars,
    )
    table = Table(
        caption="By target",
        of="target",
        heads=tuple(head[0] for head in _HEADS),
        lines=tuple(line(target, "table", _HEADS) for target in there),
    )
    return (plot, table)


def _told(compared: Sequence[Compared]) -> tuple[Note, ...]:
    items = tuple(f"{one.b} against {one.a}: {_word(one)}: {'; '.join(one.reasons)}." for one in compared)
    return (Note(items=items),) if items else ()


def _verdict(one: Compared) -> Verdict:
    target = one.b.rpartition(":")[2]
    why = f"Against {one.a.rpartition(':')[2]}: {'; '.join(one.reasons) or 'no difference'}."
    return Verdict(subject=f"Harness: {target}", word=_word(one), tone=_TONES[one.word], why=why)


def _word(one: Compared) -> str:
    return one.word.value.replace("_", " ")


def _action(one: Compared) -> Action:
    what = "Promote" if one.word is Word.PROMOTE else "Demote"
    commands = (f"fleet harness compare {quote(one.a)} {quote(one.b)}",)
    return Action(what=f"{what} {one.b.rpartition(':')[2]}", why=_verdict(one).why, commands=commands)
