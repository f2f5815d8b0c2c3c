"""Asks the question behind every figure again: what was printed must come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    """How many questions were asked again, those that differ, and how many are of files that are not here."""

    asked: int
    differing: tuple[Differs, ...]
    unread: int


def recheck(report: Weekly, fronts: Fronts, *, files: Callable[[FileAsked], Value] | None = None) -> Recheck:
    """All figures of a report, asked again at these fronts, and read again from `files`."""
    answers = Answers(fronts, files=files)
    asked, unread, differing = 0, 0, []
    for figure, question, printed, before in _questions(report):
        if isinstance(question, FileAsked) and files is None:
            unread += 1
            continue
        asked += 1
        found = answers.value(question)
        if found != printed:
            differing.append(Differs(figure=figure, printed=printed, found=found, before=before))
    return Recheck(asked=asked, differing=tuple(differing), unread=unread)


def _questions(report: Weekly) -> Iterator[tuple[Figure, Asked, Value, bool]]:
    for figure in report.figures():
        yield figure, figure.asked, figure.value, False
        if figure.asked_before is not None:
            yield figure, figure.asked_before, figure.before, True
