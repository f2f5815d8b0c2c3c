"""Asks the question behind every figure again: what was printed must come out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fleet.practice.sources import Fronts
from fleet.practice.weekly.answers import Answers
from fleet.practice.weekly.figures import Asked, Figure, FileAsked, Value
from fleet.practice.weekly.report import Weekly


@dataclass(frozen=True, kw_only=True)
class Differs:
    """A figure whose question has another answer now."""

    figure: Figure
    printed: Value
    found: Value
    before: bool


@dataclass(frozen=True, kw_only=True)
class Recheck:
    """How many questions were asked again, those that differ, and how many figures come from files."""

    asked: int
    differing: tuple[Differs, ...]
    of_files: int


def recheck(report: Weekly, fronts: Fronts) -> Recheck:
    """All figures of a report, asked again at these fronts."""
    answers = Answers(fronts)
    asked, of_files, differing = 0, 0, []
    for figure, question, printed, before in _questions(report):
        if isinstance(question, FileAsked):
            of_files += 1
            continue
        asked += 1
        found = answers.value(question)
        if found != printed:
            differing.append(Differs(figure=figure, printed=printed, found=found, before=before))
    return Recheck(asked=asked, differing=tuple(differing), of_files=of_files)


def _questions(report: Weekly) -> Iterator[tuple[Figure, Asked, Value, bool]]:
    for figure in report.figures():
        yield figure, figure.asked, figure.value, False
        if figure.asked_before is not None:
            yield figure, figure.asked_before, figure.before, True
