"""Figures that come from files of the project, rankings and harness runs: read, and read again when doubted."""

from __future__ import annotations

from pathlib import Path

from fleet.errors import FleetError
from fleet.practice.harness.report import HarnessReport, TargetReport
from fleet.practice.harness.store import report_of
from fleet.practice.rankings.ranking import Ranked, Ranking
from fleet.practice.rankings.store import read_week
from fleet.practice.rankings.week import NotAWeek, Week
from fleet.practice.weekly.figures import FileAsked, Value
from fleet.vocabulary.money import usd

RANKINGS, HARNESS = "rankings", "harness"


class ProjectFiles:
    """What `FileAsked` is answered from. A file that is gone or damaged answers None.

    `where` is `SLUG/rank` or `SLUG/tokens` in a ranking, `TARGET/WHAT` in a run; see `_RUN`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._rankings: dict[str, Ranking | None] = {}
        self._runs: dict[str, HarnessReport | None] = {}

    def __call__(self, asked: FileAsked) -> Value:
        """The value."""
        folder, _, name = asked.file.partition("/")
        of, _, what = asked.where.rpartition("/")
        if folder == RANKINGS:
            ranking = self.ranking(name.removesuffix(".json"))
            ranked = None if ranking is None else next((one for one in ranking.models if one.slug == of), None)
            return None if ranked is None else _of_ranked(ranked, what)
        run = self.run(name)
        target = None if run is None else next((one for one in run.targets if one.name == of), None)
        return None if target is None else _of_target(target, what)

    def ranking(self, week: str) -> Ranking | None:
        """The archived ranking of a week."""
        if week not in self._rankings:
            try:
                self._rankings[week] = read_week(self.root / RANKINGS, Week.named(week))
            except (NotAWeek, FleetError):
                self._rankings[week] = None
        return self._rankings[week]

    def run(self, name: str) -> HarnessReport | None:
        """What a run of the harness found."""
        if name not in self._runs:
            try:
                self._runs[name] = report_of(self.root / HARNESS / name)
            except FleetError:
                self._runs[name] = None
        return self._runs[name]


def _of_ranked(ranked: Ranked, what: str) -> Value:
    return {"rank": ranked.rank, "tokens": ranked.tokens}.get(what)


def _of_target(target: TargetReport, what: str) -> Value:
    """See harness.py for what is asked."""
    match what:
        case "passed":
            return _rounded(target.passed.share)
        case "passed_low":
            return _rounded(target.passed.low)
        case "passed_high":
            return _rounded(target.passed.high)
        case "tools":
            return _rounded(target.tools.share)
        case "p50_seconds":
            return _rounded(target.p50_seconds)
        case "p95_seconds":
            return _rounded(target.p95_seconds)
        case "p95_first_token_seconds":
            return _rounded(target.p95_first_token_seconds)
        case "pass_usd":
            return None if target.pass_pico is None else f"{usd(target.pass_pico):f}"
    return None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)
