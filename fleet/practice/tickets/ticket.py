"""A routing ticket: a finding that persists keeps its ticket. Schema 1. Pure.

Its id follows from model and kind, so it is the same on every machine and in every week: `deepseek-v4-flash-rise`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from fleet.practice.rankings.diff import RankingDiff
from fleet.practice.rankings.finding import Finding
from fleet.practice.rankings.ours import Ours
from fleet.practice.tickets.advice import advise
from fleet.practice.tickets.change import RouteChange

ALREADY = "the file says that already"
"""The problem of a ticket whose changes somebody has made: nothing is left to propose."""
_LONGEST_HISTORY = 26


class State(StrEnum):
    """Whether somebody has decided about it."""

    OPEN = "open"
    APPLIED = "applied"
    CLOSED = "closed"


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """The exact change of one file. `before` and `after` are SHA-256 of the whole file, in hex."""

    file: str
    before: str
    after: str
    diff: str


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """`seen` are its findings, one a week, oldest first. `problem`: why there are changes but no proposal.

    `decided_week` is the newest week that was known when it was applied or closed: a later one opens it again.
    """

    id: str
    state: State = State.OPEN
    opened: str
    seen: tuple[Finding, ...]
    advice: tuple[str, ...] = ()
    changes: tuple[RouteChange, ...] = ()
    proposal: Proposal | None = None
    problem: str = ""
    decided_week: str = ""
    decided_by: str = ""
    decided_at: str = ""
    decided_why: str = ""
    schema: int = 1

    @property
    def last(self) -> Finding:
        """The newest finding."""
        return self.seen[-1]


def tickets_of(diff: RankingDiff, *, ours: Ours) -> tuple[Ticket, ...]:
    """A ticket for every finding of a week."""
    return tickets_for(diff.findings, ours=ours)


def tickets_for(findings: Iterable[Finding], *, ours: Ours) -> tuple[Ticket, ...]:
    """A ticket for every finding. Two vendors' models of one name get their vendors into their ids."""
    several = list(findings)
    ids: dict[str, set[str]] = {}
    for finding in several:
        ids.setdefault(finding.subject.key, set()).add(finding.subject.id or finding.subject.title)
    found: dict[str, Ticket] = {}
    for finding in several:
        advice, subject = advise(finding, ours), finding.subject
        vendor = subject.id.partition("/")[0] if "/" in subject.id else ""
        head = f"{vendor}-" if vendor and len(ids[subject.key]) > 1 else ""
        name = f"{head}{subject.key}-{finding.kind.value}"
        ticket = Ticket(id=name, opened=finding.week, seen=(finding,), advice=advice.sentences, changes=advice.changes)
        found.setdefault(name, ticket)
    return tuple(found.values())


def merged(old: Ticket | None, new: Ticket) -> Ticket:
    """A ticket that may be there already, with what is known now. A week that is told again replaces itself.

    A decided one is opened again by a week after its decision, not by the week that it was decided in.
    """
    if old is None:
        return new
    weeks = {one.week: one for one in old.seen} | {one.week: one for one in new.seen}
    seen = tuple(weeks[week] for week in sorted(weeks))[-_LONGEST_HISTORY:]
    newest = new if new.last.week >= old.last.week else old
    again = old.state is not State.OPEN and new.last.week > old.decided_week
    found = msgspec.structs.replace(
        old,
        opened=min(old.opened, new.opened),
        seen=seen,
        advice=newest.advice,
        changes=newest.changes,
        proposal=old.proposal if newest.changes == old.changes else newest.proposal,
        problem=old.problem if newest.changes == old.changes else newest.problem,
    )
    if again:
        found = msgspec.structs.replace(
            found, state=State.OPEN, decided_week="", decided_by="", decided_at="", decided_why=""
        )
    elif old.state is not State.OPEN:
        found = msgspec.structs.replace(
            found, advice=old.advice, changes=old.changes, proposal=old.proposal, problem=old.problem
        )
    return found


def decided(ticket: Ticket, state: State, *, by: str, at: str, why: str = "") -> Ticket:
    """The ticket when somebody has decided. `at` is UTC, ISO 8601."""
    return msgspec.structs.replace(
        ticket, state=state, decided_week=ticket.last.week, decided_by=by, decided_at=at, decided_why=why
    )
