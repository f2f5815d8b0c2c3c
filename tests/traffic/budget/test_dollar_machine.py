"""The dollar track (SPEC section 5.5) as two fronts with half of every cap each, through any order of requests, bills,
corrections, incidents, crashes, restarts, changes of terms and jumps of the clock. After every step: no request without
an incident took more than the cap, none at all more than the ceiling, and no state of the past has moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fleet.traffic.budget.admission import Decision, DollarAsk, DollarRules, Word, decide
from fleet.traffic.budget.book import Book
from fleet.traffic.budget.calendar import BudgetCalendar
from fleet.traffic.budget.dollar import DOLLAR, DollarState, DollarWord, dollar_state
from fleet.traffic.budget.incidents import CLOSED, OPENED, open_incidents
from fleet.traffic.budget.limits import Kind, Scope
from fleet.traffic.budget.terms import Terms, TermsHistory, terms_of
from fleet.traffic.policy import DollarTerms
from fleet.vocabulary.contracts.ledger import CostSource, Note, Reservation, Row
from tests.traffic.budget.money_rows import DAY, HOUR, USD, adjustment, at, filled, reservation, settlement, sql_sum
from tests.traffic.soak import soak

CALENDAR = BudgetCalendar.of("Europe/Berlin")
START = at("2026-12-20 00:00")
CAPS = ["100", "60", "200"]
TICKETS = [f"OPS-{number}" for number in range(9)]
HALF = "0.5"


def is_ticket(text: str) -> bool:
    return text.startswith("OPS-")


@dataclass
class Front:
    """A front: its ledger (what survives a crash), and its book and terms (what does not)."""

    terms: DollarTerms
    wall: int
    ledger: list[Row] = field(default_factory=list)
    book: Book = field(default_factory=lambda: Book(CALENDAR))
    rules: DollarRules | None = None
    states: list[tuple[int, DollarState]] = field(default_factory=list)

    def read_terms(self, terms: DollarTerms) -> DollarRules:
        self.terms = terms
        history = TermsHistory.of(self.notes, Terms.of(terms, budget_share=HALF, since=self.now))
        if history.newest.note() not in self.ledger:
            self.write(history.newest.note())
        self.rules = DollarRules.of(terms, history, is_ticket, budget_share=HALF)
        return self.rules

    @property
    def notes(self) -> list[Note]:
        return [row for row in self.ledger if isinstance(row, Note)]

    @property
    def now(self) -> int:
        return self.book.now(self.wall)

    def write(self, row: Row) -> None:
        self.ledger.append(row)
        self.book.add(row)


class DollarMachine(RuleBasedStateMachine):
    """The machine. Each front is judged by the rows of its ledger alone, as SQL would add them."""

    def __init__(self) -> None:
        super().__init__()
        self.fronts: list[Front] = []
        self.numbers = 0

    @initialize(cap=st.sampled_from(CAPS))
    def two_fronts_start(self, cap: str) -> None:
        for _ in range(2):
            front = Front(DollarTerms(monthly_usd=cap, ticket_usd="150", over_budget="refuse"), START)
            front.read_terms(front.terms)
            self.fronts.append(front)
        self.an_incident_is_opened_or_closed(0, True, None)

    # --- requests and bills -------------------------------------------------------------------------------------------

    @rule(
        which=st.integers(0, 1),
        dollars=st.integers(0, 30),
        ticket=st.sampled_from([*TICKETS, ""]),
        incident=st.sampled_from(["", "", "", "INC-7"]),
        committed=st.sampled_from([True, True, True, False]),
    )
    def a_request_comes(self, which: int, dollars: int, ticket: str, incident: str, committed: bool) -> None:
        front = self.fronts[which]
        rules, now = front.rules, front.now
        assert rules is not None
        ask = DollarAsk(ticket, incident, dollars * USD, may_incident=True, folds=False)
        decision = decide(ask, rules, front.book, open_incidents(front.notes, now), now)
        if decision.word is not Word.ADMIT:
            assert decision.status in (402, 403)
            assert decision.message
            return
        self.numbers += 1
        row = reservation(f"r{self.numbers}/1", ask.pico, now, ticket=ticket, incident=decision.incident)
        assert front.book.reserve(row, decision.limits) is None
        if not committed:
            front.book.take_back(row.id)  # the ledger's disk is full: nothing goes out
            return
        front.ledger.append(row)
        self._judge(front, row, decision)

    @rule(
        which=st.integers(0, 1),
        index=st.integers(0, 99),
        percent=st.integers(0, 100),
        source=st.sampled_from(CostSource),
    )
    def a_cost_becomes_known(self, which: int, index: int, percent: int, source: CostSource) -> None:
        front = self.fronts[which]
        waiting = front.book.unsettled()
        if waiting:
            row = waiting[index % len(waiting)]
            cost = row.pico if source is CostSource.UNRESOLVED else row.pico * percent // 100
            front.write(settlement(row.id, cost, front.now, source))

    @rule(
        which=st.integers(0, 1),
        count=st.integers(2, 6),
        dollars=st.integers(2, 12),
        incident=st.sampled_from(["", "INC-7"]),
    )
    def requests_are_served_and_billed(self, which: int, count: int, dollars: int, incident: str) -> None:
        for number in range(count):
            self.a_request_comes(which, dollars, TICKETS[number], incident, True)
            self.a_cost_becomes_known(which, 0, 90, CostSource.PROVIDER)

    @rule(which=st.integers(0, 1), dollars=st.integers(-20, 40), of_an_attempt=st.booleans())
    def the_provider_corrects_a_bill(self, which: int, dollars: int, of_an_attempt: bool) -> None:
        front = self.fronts[which]
        known = [row for row in front.ledger if isinstance(row, Reservation)]
        self.numbers += 1
        of = known[self.numbers % len(known)] if known and of_an_attempt else None
        row = adjustment(f"adjust/{self.numbers}", dollars * USD, front.now, of="" if of is None else of.id)
        front.ledger.append(row)
        front.book.add(row, of)

    @rule(which=st.integers(0, 1), index=st.integers(0, 99))
    def a_row_is_told_twice(self, which: int, index: int) -> None:
        front = self.fronts[which]
        if front.ledger:
            assert front.book.add(front.ledger[index % len(front.ledger)]) is False

    @rule(which=st.integers(0, 1), opened=st.booleans(), hours=st.sampled_from([None, 100]))
    def an_incident_is_opened_or_closed(self, which: int, opened: bool, hours: int | None) -> None:
        front, self.numbers = self.fronts[which], self.numbers + 1
        until = None if hours is None else front.now + hours * HOUR
        kind = OPENED if opened else CLOSED
        front.write(
            Note(id=f"i{self.numbers}", kind=kind, subject="INC-7", at_milliseconds=front.now, until_milliseconds=until)
        )

    # --- processes and time -------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 1), turned=st.booleans())
    def a_front_is_killed_and_starts_again(self, which: int, turned: bool) -> None:
        """What no row says was never: an instant that only the clock had told, before it was set back, comes again."""
        front = self.fronts[which]
        month = CALENDAR.month(front.now)
        before = {scope: front.book.sum(scope, month) for scope in SCOPES}
        front.book = filled(reversed(front.ledger) if turned else front.ledger, CALENDAR)
        assert {scope: front.book.sum(scope, month) for scope in SCOPES} == before
        front.states = [(instant, state) for instant, state in front.states if instant < front.now]
        front.read_terms(front.terms)

    @rule(which=st.integers(0, 1), cap=st.sampled_from(CAPS))
    def sighup_with_another_cap(self, which: int, cap: str) -> None:
        front = self.fronts[which]
        self._remember(front)
        front.wall = front.book.latest + 1
        front.read_terms(DollarTerms(monthly_usd=cap, ticket_usd="150", over_budget="refuse"))

    @rule(which=st.integers(0, 1))
    def what_is_old_is_folded(self, which: int) -> None:
        front = self.fronts[which]
        front.book.fold(front.now - 3 * DAY)

    @rule(which=st.integers(0, 1), step=st.sampled_from([7 * DAY, DAY, 3 * DAY, HOUR, -2 * HOUR, -4 * DAY]))
    def the_clock_goes_on_or_is_set_back(self, which: int, step: int) -> None:
        front = self.fronts[which]
        if step > 0:
            self._remember(front)
            front.wall = max(front.wall + step, front.book.latest + 1)
        else:
            front.wall += step

    # --- what holds ---------------------------------------------------------------------------------------------------

    @invariant()
    def a_state_of_the_past_has_not_moved(self) -> None:
        for front in self.fronts:
            for instant, state in front.states[-1:]:
                assert _state_by_rows(front, instant) == state

    @invariant()
    def the_book_is_the_sum_of_its_ledger(self) -> None:
        for front in self.fronts:
            month = CALENDAR.month(front.now)
            assert front.book.sum(DOLLAR, month) == sql_sum(front.ledger, DOLLAR, month, CALENDAR)

    def teardown(self) -> None:
        for front in self.fronts:
            for instant, state in front.states:
                assert _state_by_rows(front, instant) == state

    # --- counting -----------------------------------------------------------------------------------------------------

    def _judge(self, front: Front, row: Reservation, decision: Decision) -> None:
        """By the ledger alone: neither this front passed its part, nor both of them together the whole."""
        rules, month = front.rules, CALENDAR.month(row.at_milliseconds)
        assert rules is not None
        terms = rules.history.at(row.at_milliseconds)
        found = sql_sum(front.ledger, DOLLAR, month, CALENDAR)
        if row.pico:
            assert found.committed <= (terms.ceiling_pico if decision.incident else terms.cap_pico)
        if not decision.incident:
            assert _state_by_rows(front, row.at_milliseconds, without=row).word is DollarWord.NORMAL
            assert row.ticket

    def _remember(self, front: Front) -> None:
        rules = front.rules
        assert rules is not None
        front.states.append((front.now, dollar_state(front.book, rules.history, front.now)))


SCOPES = [DOLLAR, Scope(Kind.KEY, "ci"), Scope(Kind.INCIDENT, "INC-7"), *(Scope(Kind.TICKET, name) for name in TICKETS)]


def _state_by_rows(front: Front, instant: int, without: Row | None = None) -> DollarState:
    """The state at an instant, from nothing but the rows until then."""
    rows = [row for row in front.ledger if row.at_milliseconds <= instant and row is not without]
    history = TermsHistory(terms_of(row for row in rows if isinstance(row, Note)))
    return dollar_state(filled(rows, CALENDAR), history, instant)


DollarMachine.TestCase.settings = soak(steps=30)


class TestTheDollarTrack(DollarMachine.TestCase):
    """Run by pytest."""
