"""What becomes of a request for the dollar track: it is let in, folded to another route, or refused. Pure.

Decided twice: when the request comes, for the cheapest upstream, and again when money is reserved for the one that it
goes to: `Decision.limits` are what `Book.reserve` is given, so nothing can come between the check and the promise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from fleet.traffic.budget.book import Book
from fleet.traffic.budget.dollar import DOLLAR, DollarState, DollarWord, dollar_state
from fleet.traffic.budget.exact import exact
from fleet.traffic.budget.limits import Kind, Limit, Scope
from fleet.traffic.budget.terms import TermsHistory
from fleet.traffic.policy import DollarTerms
from fleet.vocabulary.money import pico, shown

FOLD = "fold"


class Word(StrEnum):
    """Let in; sent to the route that this one folds to; told no."""

    ADMIT = "admit"
    FOLD = "fold"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class DollarRules:
    """What the track asks for, ready to decide by. `ticket_pico` is this front's part; None = no such cap."""

    history: TermsHistory
    is_ticket: Callable[[str], bool]
    pattern: str
    ticket_pico: int | None
    without_ticket: str
    over_budget: str

    @classmethod
    def of(
        cls, dollar: DollarTerms, history: TermsHistory, is_ticket: Callable[[str], bool], *, budget_share: str
    ) -> DollarRules:
        """From the configuration. Raises NotExact, NotMoney."""
        share = exact(budget_share, most=1)
        ticket = None if dollar.ticket_usd is None else pico(dollar.ticket_usd) * share.numerator // share.denominator
        return cls(history, is_ticket, dollar.ticket_pattern, ticket, dollar.without_ticket, dollar.over_budget)


@dataclass(frozen=True, slots=True)
class DollarAsk:
    """What a request brings. `pico` is what it may cost at most, `may_incident` whether its key has that scope.

    `folds`: its route has another to fold to; without one what would fold is refused.
    """

    ticket: str
    incident: str
    pico: int
    may_incident: bool = False
    folds: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of it. `why` is the value of `x-fleet-downgraded` when it folds (`ticket`, `budget`).

    `status`, `code` and `message` are what a client is told that is refused; `reset` (milliseconds of UTC) is when the
    same request could be let in. `limits` and `incident` are what it is reserved under.
    """

    word: Word
    why: str = ""
    status: int = 200
    code: str = ""
    message: str = ""
    reset: int | None = None
    limits: tuple[Limit, ...] = ()
    incident: str = ""


def decide(ask: DollarAsk, rules: DollarRules, book: Book, open_incidents: Collection[str], at: int) -> Decision:
    """What becomes of `ask` at `at` (milliseconds of UTC; the book's own time)."""
    if not rules.is_ticket(ask.ticket):
        said = f'"{ask.ticket[:64]}" is no ticket' if ask.ticket else "no ticket was named"
        message = (
            f"{said}: the dollar track wants one that matches {rules.pattern}, in the header x-fleet-ticket or "
            "after @ in the model's name"
        )
        return _no(ask, rules.without_ticket, "ticket", Decision(Word.REFUSE, "", 403, "ticket_required", message))
    if ask.incident:
        return _in_incident(ask, rules, book, open_incidents, at)
    terms = rules.history.at(at)
    limits: tuple[Limit, ...] = (Limit(DOLLAR, terms.cap_pico),)
    if rules.ticket_pico is not None:
        ticket = Limit(Scope(Kind.TICKET, ask.ticket), rules.ticket_pico, forever=True, code="ticket_budget_exhausted")
        limits = (*limits, ticket)
    state = dollar_state(book, rules.history, at)
    refusal = _of_state(state, book, rules, at) or _of_limits(ask, limits, book, at)
    if refusal is not None:
        return _no(ask, rules.over_budget, "budget", refusal)
    return Decision(Word.ADMIT, limits=limits)


def _in_incident(ask: DollarAsk, rules: DollarRules, book: Book, open_incidents: Collection[str], at: int) -> Decision:
    """Neither the state nor the ticket's own cap stops it: only the ceiling does."""
    if not ask.may_incident:
        message = "this key may not spend in an incident: its scopes lack `incident`"
        return Decision(Word.REFUSE, "", 403, "incident_not_allowed", message)
    if ask.incident not in open_incidents:
        message = f'no incident "{ask.incident[:64]}" is open: fleet incident open NAME --until TIME opens one'
        return Decision(Word.REFUSE, "", 403, "incident_not_open", message)
    limits = (Limit(DOLLAR, rules.history.at(at).ceiling_pico, code="incident_ceiling"),)
    refusal = _of_limits(ask, limits, book, at)
    if refusal is not None:
        return _no(ask, rules.over_budget, "budget", refusal)
    return Decision(Word.ADMIT, limits=limits, incident=ask.incident)


def _no(ask: DollarAsk, rule: str, why: str, refusal: Decision) -> Decision:
    """`refusal`, or what the rule makes of it: a fold, where the route has somewhere to fold to."""
    if rule != FOLD or not ask.folds:
        return refusal
    return Decision(Word.FOLD, why, refusal.status, refusal.code, refusal.message, refusal.reset)


def _of_state(state: DollarState, book: Book, rules: DollarRules, at: int) -> Decision | None:
    if state.word is DollarWord.NORMAL or state.until is None:
        return None
    opens = f"it opens again {book.calendar.shown(state.until)}"
    if state.word is DollarWord.CAPPED:
        month = book.calendar.month(at)
        message = (
            f"the dollar track's cap of {shown(rules.history.at(at).cap_pico)} USD for {month} is used up; {opens}"
        )
        return Decision(Word.REFUSE, "", 402, "budget_exhausted", message, state.until)
    overrun = state.overrun
    spent = f"{shown(overrun.spent_pico)} of {shown(overrun.allowed_pico)} USD" if overrun is not None else "too much"
    week = f"the week {overrun.week}" if overrun is not None else "the last week"
    message = f"the dollar track is downgraded until Monday because {week} cost {spent}; {opens}"
    return Decision(Word.REFUSE, "", 402, "budget_downgraded", message, state.until)


def _of_limits(ask: DollarAsk, limits: tuple[Limit, ...], book: Book, at: int) -> Decision | None:
    limit = book.stopped(limits, ask.pico, at)
    return None if limit is None else refusal_of(limit, ask.pico, book, at)


def refusal_of(limit: Limit, more_pico: int, book: Book, at: int) -> Decision:
    """How a client is told of a limit that stops `more_pico`: also what `Book.reserve` answered."""
    month = book.calendar.month(at)
    found, most = book.bounded(limit, month), limit.pico or 0
    when = "" if limit.forever else f" for {month}"
    reset = None if limit.forever else book.calendar.ends(month)
    if found.spent + more_pico <= most:
        reset, opens = None, "it fits as soon as what is reserved turns out to cost less"
    elif reset is None:
        opens = "this does not end with the month"
    else:
        opens = f"it opens again {book.calendar.shown(reset)}"
    if more_pico > most:
        opens += ", for what costs less: a smaller max_tokens does"
    message = (
        f"{limit.scope} may cost {shown(most)} USD{when}; {shown(found.spent)} are spent, "
        f"{shown(found.reserved)} are reserved, and this request may cost {shown(more_pico)}; {opens}"
    )
    return Decision(Word.REFUSE, "", limit.status, limit.code, message, reset)
