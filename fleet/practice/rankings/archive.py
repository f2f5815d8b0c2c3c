"""Between the figures and the folder: archive a week, and compare it with the one before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from fleet.practice.rankings.diff import RankingDiff, diff
from fleet.practice.rankings.join import Joined, join
from fleet.practice.rankings.ours import Ours
from fleet.practice.rankings.ranking import Catalogue, Ranking
from fleet.practice.rankings.store import Kept, keep_week, model_lists, read_models, read_week
from fleet.practice.rankings.week import Week


@dataclass(frozen=True, kw_only=True)
class Archived:
    """What became of a week, and the models of it that no list of models has."""

    week: Week
    kept: Kept
    unknown: tuple[str, ...]


def archive(folder: Path, ranking: Ranking, *, models: Catalogue | None = None) -> Archived:
    """Join a ranking to the lists of models that there are, `models` first, and keep it. Raises WeekTaken."""
    week = Week.named(ranking.week)
    lists = ((models,) if models is not None else ()) + model_lists(folder, near=week)
    joined = join(ranking, lists)
    return Archived(week=week, kept=keep_week(folder, joined.ranking), unknown=joined.unknown)


def joined_week(folder: Path, week: Week) -> Joined | None:
    """An archived week, with the ids that lists know by now; None when it is not archived. Raises ConfigError."""
    ranking = read_week(folder, week)
    return None if ranking is None else join(ranking, model_lists(folder, near=week))


def diff_of_week(folder: Path, week: Week, *, ours: Ours, today: date) -> RankingDiff | None:
    """A week against the one before, from the archive; None when the week is not in it. Raises ConfigError."""
    after, before = joined_week(folder, week), joined_week(folder, week.previous)
    if after is None:
        return None
    return diff(
        None if before is None else before.ranking,
        after.ranking,
        ours=ours,
        models_before=read_models(folder, week.previous),
        models=read_models(folder, week),
        today=today,
    )
