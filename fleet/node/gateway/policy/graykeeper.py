"""What becomes of gray pools: counted by week, taken back when their tool calls get worse, suspended after a burst.

All of it follows from rows and notes of the ledger, so it is the same after a restart.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from fleet.node.gateway.policy.desk import Desk
from fleet.traffic.budget.calendar import week_of
from fleet.traffic.config import Route
from fleet.traffic.gray.reasons import NotGray
from fleet.traffic.gray.standing import DISABLED
from fleet.traffic.policy import GrayTerms
from fleet.traffic.rearm import (
    Enabled,
    HarnessPass,
    armed_since,
    enabling_note,
    note_of_change,
    rearm_problem,
    rollback_note,
    suspension_note,
)
from fleet.traffic.rollback import Judgement, Trials, Word
from fleet.vocabulary.contracts.ledger import Note, Request
from fleet.vocabulary.contracts.policy_admin import GrayReport, GrayRequest, GrayState, HarnessFound

_MOST_SCORED = 50_000
_STATES = {
    NotGray.ROLLED_BACK: GrayState.ROLLED_BACK,
    NotGray.SUSPENDED: GrayState.SUSPENDED,
    NotGray.GONE: GrayState.NO_MODEL,
    NotGray.OFF: GrayState.DISABLED,
}


class NotArmed(Exception):
    """A pool that may not be turned on; the message says what is missing."""


class _Commit(NamedTuple):
    """What makes two requests the same for the share of a pool."""

    week: int
    asked: str
    route: str
    gray: bool
    eligible: bool


@dataclass(slots=True)
class _Sum:
    requests: int = 0
    tokens: int = 0
    eligible: int = 0
    gray: int = 0
    gray_tokens: int = 0


class GrayKeeper:
    """Hears every row. `follow` after the desk took over another configuration."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._scored: deque[Request] = deque(maxlen=_MOST_SCORED)
        self._commits: dict[_Commit, _Sum] = {}
        self._trials: dict[str, Trials] = {}
        self._feeders: dict[str, frozenset[str]] = {}
        self._judged_week = -1
        desk.treasury.noticed.append(self.heard)
        desk.treasury.earlier = self._keep

    def follow(self, *, anew: bool = False) -> None:
        """Know the pools of the moment. `anew`: the rows of the file have been kept by now."""
        for pool, route in self._desk.rules.gray_routes.items():
            feeders = frozenset(self.feeds(pool))
            if anew or self._feeders.get(pool) != feeders:
                self._feeders[pool] = feeders
                self._trials[pool] = Trials(pool, feeders, self._scored)
            changed = note_of_change(
                self._desk.treasury.notes, pool, self.models(route), now_milliseconds=self._desk.treasury.now
            )
            if changed is not None and self._desk.treasury.opened.is_set():
                self._desk.treasury.write(changed)

    def heard(self, row: Request | Note) -> None:
        """A row was written. Before the file was read it is in the file, or in no week's share."""
        if not isinstance(row, Request) or not self._desk.treasury.opened.is_set():
            return
        self._keep(row)
        if row.tool_verdict is not None:
            for pool, trials in tuple(self._trials.items()):
                if trials.add(row):
                    self._judge(pool, row.model)

    def judge_weeks(self) -> None:
        """On Mondays (UTC) once: the week that is over, as a whole."""
        now = self._desk.treasury.now
        week = week_of(now - 5 * 60_000).number
        if week == self._judged_week:
            return
        self._judged_week = week
        for pool, trials in self._trials.items():
            for model in trials.models:
                judged = trials.judge_week(model, now, least=self._least(pool), since_milliseconds=self._since(pool))
                self._act(pool, model, judged)

    # --- turning it off and on ----------------------------------------------------------------------------------------

    def turn(self, asked: GrayRequest) -> None:
        """Off at once; on when what it takes is there. Raises NotArmed, KeyError for a route that is none."""
        treasury, now = self._desk.treasury, self._desk.treasury.now
        route = self._desk.rules.gray_routes[asked.route]
        if not asked.on:
            data = msgspec.json.encode({"reason": asked.reason}).decode()
            note = Note(id=f"{DISABLED}/{asked.route}/{now}", kind=DISABLED, subject=asked.route, at_milliseconds=now)
            treasury.write(msgspec.structs.replace(note, by=asked.by, data=data))
            return
        enabled = Enabled(ticket=asked.ticket, models=self.models(route), harness=_passed(asked.harness))
        if treasury.standing(asked.route).reason is NotGray.ROLLED_BACK:
            dollar = self._desk.rules.policy.dollar
            pattern = dollar.ticket_pattern if dollar is not None else r"\S"
            problem = rearm_problem(enabled, treasury.notes, asked.route, ticket_pattern=pattern)
            if problem:
                raise NotArmed(problem)
        treasury.write(enabling_note(asked.route, enabled, by=asked.by, now_milliseconds=now))

    def gone(self, pool: str) -> None:
        """The provider has the model no more: nobody is asked there until somebody turns the pool on again."""
        treasury, now = self._desk.treasury, self._desk.treasury.now
        if pool in self._desk.rules.gray_routes and treasury.standing(pool).reason is None:
            data = msgspec.json.encode({"reason": "gone"}).decode()
            note = Note(id=f"{DISABLED}/{pool}/{now}", kind=DISABLED, subject=pool, at_milliseconds=now, by="provider")
            treasury.write(msgspec.structs.replace(note, data=data))

    # --- telling ------------------------------------------------------------------------------------------------------

    def report(self, pool: str) -> GrayReport:
        """How a pool stands."""
        treasury, route = self._desk.treasury, self._desk.rules.gray_routes[pool]
        standing, terms, week = treasury.standing(pool), route.gray_terms or GrayTerms(), self._week(pool)
        note = standing.note if standing.reason is not None else None
        models, trials = self.models(route), self._trials.get(pool)
        model = next((one for one in models if trials is not None and one in trials.models), models[0])
        judged = None if trials is None else self._judgement(pool, model)
        report = GrayReport(
            route=pool,
            models=models,
            feeds=self.feeds(pool),
            state=GrayState.ON if standing.reason is None else _STATES.get(standing.reason, GrayState.DISABLED),
            reason="" if standing.reason is None else standing.reason.sentence,
            since_seconds=None if note is None else note.at_milliseconds / 1000,
            until_seconds=None if note is None or note.until_milliseconds is None else note.until_milliseconds / 1000,
            by="" if note is None else note.by,
            share=terms.share,
            token_share=terms.token_share,
            requests=week.requests,
            gray=week.gray,
            eligible=week.eligible,
            tokens=week.tokens,
            gray_tokens=week.gray_tokens,
        )
        return report if judged is None else _with_verdict(report, judged)

    def feeds(self, pool: str) -> tuple[str, ...]:
        """The routes that feed a pool."""
        rules = self._desk.rules
        named = [route.name for route in rules.loaded.config.routes if route.gray == pool]
        folds = rules.gray_routes[pool].folds_to
        return tuple(dict.fromkeys([*named, *([folds] if folds else [])]))

    def models(self, route: Route) -> tuple[str, ...]:
        """What a route serves, under the names that rows have."""
        specs = {spec.name: spec.serves for spec in self._desk.rules.loaded.config.upstreams}
        return tuple(dict.fromkeys(specs[name] for name in route.upstreams if name in specs))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _judge(self, pool: str, model: str) -> None:
        trials, since = self._trials[pool], self._since(pool)
        burst = trials.burst(model, since_milliseconds=since)
        if burst is not None and self._desk.treasury.standing(pool).reason is None:
            seconds = self._desk.pools.terms(pool).suspend_seconds
            self._desk.treasury.write(suspension_note(pool, burst, seconds=seconds))
        self._act(pool, model, self._judgement(pool, model))

    def _act(self, pool: str, model: str, judged: Judgement) -> None:
        treasury = self._desk.treasury
        if judged.word is Word.ROLL_BACK and treasury.standing(pool).reason is not NotGray.ROLLED_BACK:
            treasury.write(rollback_note(pool, model, judged, now_milliseconds=treasury.now))

    def _judgement(self, pool: str, model: str) -> Judgement:
        now = self._desk.treasury.now
        return self._trials[pool].judge(model, now, least=self._least(pool), since_milliseconds=self._since(pool))

    def _since(self, pool: str) -> int:
        return armed_since(self._desk.treasury.notes, pool)

    def _least(self, pool: str) -> int:
        return self._desk.pools.terms(pool).least_calls

    def _week(self, pool: str) -> _Sum:
        """What was committed in this ISO week over the routes that feed a pool."""
        number, feeders, found = week_of(self._desk.treasury.now).number, self._feeders[pool], _Sum()
        for one, total in self._commits.items():
            if one.week == number and (one.asked in feeders or pool in (one.asked, one.route)):
                found.requests += total.requests
                found.tokens += total.tokens
                found.eligible += total.requests if one.eligible else 0
                found.gray += total.requests if one.gray else 0
                found.gray_tokens += total.tokens if one.gray else 0
        return found

    def _keep(self, row: Request) -> None:
        """Add a row to the sums; what was scored is kept itself."""
        if row.attempts:
            week = week_of(row.at_milliseconds).number
            one = _Commit(week, row.asked, row.route, row.gray, row.eligible)
            total = self._commits.get(one)
            if total is None:
                for old in [known for known in self._commits if known.week < week - 1]:
                    del self._commits[old]
                total = self._commits[one] = _Sum()
            total.requests += 1
            total.tokens += (row.prompt_tokens or 0) + (row.completion_tokens or 0)
        if row.tool_verdict is not None:
            self._scored.append(row)


def _passed(found: HarnessFound | None) -> HarnessPass | None:
    """What a harness found, as it is kept in a note."""
    if found is None:
        return None
    return HarnessPass(
        model=found.model,
        prompts=found.prompts,
        successes=found.successes,
        run=found.run,
        scored=found.scored,
        begun_milliseconds=found.begun_milliseconds,
    )


def _with_verdict(report: GrayReport, judged: Judgement) -> GrayReport:
    """The verdict, in the words of the admin door."""
    word = {Word.INSUFFICIENT: "insufficient", Word.STEADY: "ok", Word.ROLL_BACK: "worse"}[judged.word]
    now, before = judged.now, judged.before
    return msgspec.structs.replace(
        report,
        calls=now.scored,
        failures=now.failures,
        calls_before=before.scored,
        failures_before=before.failures,
        verdict=word,
        confounded=judged.confounded,
        why=f"{now.failures} of {now.scored} tool calls failed, {before.failures} of {before.scored} before",
    )
