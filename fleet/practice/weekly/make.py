"""Makes the report of a week out of what the fronts, the rankings and the harness tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from shlex import quote
from typing import Protocol

from fleet import __version__
from fleet.practice.sources import Fronts
from fleet.practice.weekly.answers import Answers
from fleet.practice.weekly.figures import FileAsked, Value
from fleet.practice.weekly.report import Action, Section, Unmeasured, Weekly
from fleet.practice.weekly.sections.gray import gray_part
from fleet.practice.weekly.sections.money import money_part
from fleet.practice.weekly.sections.part import Asker, Part
from fleet.practice.weekly.sections.tools import tools_part
from fleet.practice.weekly.sections.usage import usage_part
from fleet.practice.weekly.weeks import told
from fleet.traffic.budget.calendar import Week


class Project(Protocol):
    """What files tell: the project of whoever asks."""

    def files(self, asked: FileAsked) -> Value:
        """A figure of a file."""
        ...

    def parts(self, answers: Answers, week: Week) -> Sequence[Part]:
        """What the files make of the week."""
        ...


_ELSEWHERE = Part(
    section=Section(
        id="practice", title="Rankings and harness", lead="They lie in the project of whoever deploys, not on a front."
    ),
    unmeasured=(Unmeasured(what="rankings, harness", why="fleet weekly on a laptop reads them from the project"),),
)


def make(week: Week, fronts: Fronts, *, now: datetime, project: Project | None = None) -> Weekly:
    """The report. Without a project, on a front, it has no rankings and no harness."""
    answers = Answers(fronts, files=None if project is None else project.files)
    asker = Asker(week=week, answers=answers)
    parts = [money_part(asker), gray_part(asker), usage_part(asker), tools_part(asker)]
    parts.extend(project.parts(answers, week) if project is not None else [_ELSEWHERE])
    whole = week.ends <= now.timestamp() * 1000
    return Weekly(
        week=str(week),
        days=told(week),
        made_at=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        whole=whole,
        fleet_version=__version__,
        fronts=answers.fronts,
        away=tuple(sorted(set(answers.away) - set(answers.fronts))),
        verdicts=tuple(verdict for part in parts for verdict in part.verdicts),
        sections=tuple(part.section for part in parts),
        actions=(*_for_the_away(answers, week), *_distinct(action for part in parts for action in part.actions)),
        unmeasured=(
            *_away(answers),
            *_begun(answers, week),
            *(missing for part in parts for missing in part.unmeasured),
        ),
    )


def _away(answers: Answers) -> tuple[Unmeasured, ...]:
    return tuple(
        Unmeasured(what=f"front {name}: {_part(name, answers)}", why=why) for name, why in sorted(answers.away.items())
    )


def _begun(answers: Answers, week: Week) -> Iterator[Unmeasured]:
    """A ledger that begins within the weeks that are compared: what was before is not in it."""
    for name, oldest in sorted(answers.begins.items()):
        if week.previous.starts < oldest < week.ends:
            at = datetime.fromtimestamp(oldest // 1000, UTC)
            yield Unmeasured(what=f"{name} before {at:%a %d %B %H:%M} UTC", why="its ledger begins there")


def _part(name: str, answers: Answers) -> str:
    return "what it says of its month and its pool" if name in answers.fronts else "every figure lacks its part"


def _for_the_away(answers: Answers, week: Week) -> tuple[Action, ...]:
    return tuple(
        Action(
            what=f"Bring {name} back and make this report again",
            why="It did not tell all that was asked, so sums are too small.",
            commands=(f"fleet doctor --on {quote(name)}", f"fleet weekly --week {week}"),
        )
        for name in sorted(answers.away)
    )


def _distinct(actions: Iterable[Action]) -> tuple[Action, ...]:
    return tuple(dict.fromkeys(actions))
