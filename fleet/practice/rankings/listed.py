"""What the list of models says of the top ten and of our routes: gone, about to go, another price. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from fleet.practice.rankings.finding import Finding, Kind, PricePair, Subject
from fleet.practice.rankings.join import tail
from fleet.practice.rankings.ours import Ours
from fleet.practice.rankings.pairing import Move
from fleet.practice.rankings.ranking import Catalogue, ListedModel


@dataclass(frozen=True, kw_only=True)
class Lists:
    """The list of now and the one of the week before, each None when it is not there; what they are looked at for."""

    week: str
    ours: Ours
    moves: tuple[Move, ...]
    before: Catalogue | None
    now: Catalogue | None
    today: date

    def notes(self) -> Iterator[str]:
        """What could not be said."""
        if self.now is None:
            yield f"No list of models was read for {self.week}: gone and expiring models and prices are unknown."
        elif self.before is None:
            yield "No list of models of the week before: changes of prices are unknown."

    def watched(self) -> dict[str, Subject]:
        """Whom it is about, by what is asked for: the first ten of either week, and what our routes name."""
        found: dict[str, Subject] = {}
        for move in self.moves:
            if move.model.id and (move.in_top or move.was_in_top):
                found[move.model.id] = move.subject(self.ours)
        for one in self.ours.models:
            if one.catalogued:
                served = tuple(other.served for other in self.ours.models if other.asked == one.asked)
                routes = tuple(dict.fromkeys(route.name for name in served for route in self.ours.naming(name)))
                before = found.get(one.asked)
                found[one.asked] = Subject(
                    key=before.key if before else tail(one.asked),
                    title=before.title if before else one.asked,
                    id=one.asked,
                    vendor=before.vendor if before else "",
                    served=served,
                    routes=routes,
                )
        return found


def listed_findings(lists: Lists) -> tuple[Finding, ...]:
    """Vanished, expiring and repriced models. None of it from a list that is not there."""
    if lists.now is None:
        return ()
    found: list[Finding] = []
    for asked, subject in lists.watched().items():
        now = lists.now.find(asked)
        before = None if lists.before is None else lists.before.find(asked)
        if now is None:
            if before is not None or subject.served:
                found.append(_vanished(lists, subject, before))
            continue
        if now.expires_on is not None:
            found.append(_expiring(lists, subject, now))
        if before is not None and _repriced(before, now):
            found.append(_price(lists, subject, before, now))
    return tuple(found)


def _said_by(lists: Lists) -> str:
    assert lists.now is not None
    return f"OpenRouter's list of models, read {lists.now.read_at}"


def _vanished(lists: Lists, subject: Subject, before: ListedModel | None) -> Finding:
    since = (
        "" if lists.before is None or before is None else f"It was in the list that was read {lists.before.read_at}."
    )
    return Finding(
        kind=Kind.VANISHED,
        week=lists.week,
        subject=subject,
        said_by=_said_by(lists),
        notes=tuple(note for note in (since,) if note),
    )


def _expiring(lists: Lists, subject: Subject, now: ListedModel) -> Finding:
    assert now.expires_on is not None
    left = (date.fromisoformat(now.expires_on) - lists.today).days
    when = "that day has passed" if left < 0 else "that is today" if left == 0 else f"{left} days from now"
    note = f"It is offered until {now.expires_on}: {when.replace('1 days', '1 day') if left == 1 else when}."
    return Finding(
        kind=Kind.EXPIRING,
        week=lists.week,
        subject=subject,
        expires_on=now.expires_on,
        said_by=_said_by(lists),
        notes=(note,),
    )


def _repriced(before: ListedModel, now: ListedModel) -> bool:
    known = None not in (before.prompt, before.completion, now.prompt, now.completion)
    return known and (before.prompt, before.completion) != (now.prompt, now.completion)


def _price(lists: Lists, subject: Subject, before: ListedModel, now: ListedModel) -> Finding:
    return Finding(
        kind=Kind.PRICE,
        week=lists.week,
        subject=subject,
        price=PricePair(prompt=now.prompt, completion=now.completion),
        price_before=PricePair(prompt=before.prompt, completion=before.completion),
        said_by=_said_by(lists),
    )
