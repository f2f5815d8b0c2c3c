"""Theorems 1 to 3 of the gray pool (SPEC section 5.1), after every step of two processes that serve, fail, crash, read
their configuration anew and pass midnight in any order.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from fleet.traffic.budget.calendar import DAY_MILLISECONDS, week_of
from fleet.traffic.gray.pool import Mark, Pool, Turn
from fleet.traffic.gray.share import Share
from fleet.traffic.policy import GrayTerms
from tests.traffic.soak import soak

START = 20_000 * DAY_MILLISECONDS
ROUTES = ("agents", "ide")
WHOLE = "the process"
TERMS = [
    GrayTerms(share=share, burst=burst, token_share=tokens)
    for share, burst, tokens in (
        ("0.5", 1, None),
        ("0.34", 3, "0.25"),
        ("0.9", 1, "0.5"),
        ("0.10", 1, None),
        ("1", 1, "0.5"),
        ("0.9", 3, None),
        ("0", 1, None),
    )
]


@dataclass
class Process:
    """A gateway with its pool: which life of it, under which terms, and what it committed, in order."""

    number: int
    terms: GrayTerms
    pool: Pool
    life: int = 0
    generation: int = 0
    token_generation: int = 0
    order: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))


@dataclass
class Count:
    """Requests, or tokens, of one span: a life, one generation of terms, a UTC day, of a route or of a process."""

    share: Fraction
    gray: int = 0
    all: int = 0


@dataclass(eq=False)
class InFlight:
    process: Process
    life: int
    turn: Turn
    most_tokens: int
    held_in: list[tuple[object, ...]] = field(default_factory=list)
    gray_answers: bool = False
    proven_answers: bool = False


class GrayMachine(RuleBasedStateMachine):
    """The machine. What it counts, it counts by itself, as somebody at the upstream would."""

    flights = Bundle("flights")

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.spans: dict[tuple[object, ...], Count] = {}
        self.token_spans: dict[tuple[object, ...], Count] = {}
        self.processes: list[Process] = []

    @initialize(first=st.sampled_from(TERMS), second=st.sampled_from(TERMS))
    def two_processes_start(self, first: GrayTerms, second: GrayTerms) -> None:
        self.processes = [Process(number, terms, Pool(terms)) for number, terms in enumerate((first, second))]

    # --- requests -----------------------------------------------------------------------------------------------------

    @rule(
        target=flights,
        which=st.integers(0, 1),
        route=st.sampled_from(ROUTES),
        eligible=st.booleans(),
        most=st.integers(1, 40),
    )
    def a_request_comes(self, which: int, route: str, eligible: bool, most: int) -> InFlight:
        process = self.processes[which]
        flight = InFlight(process, process.life, process.pool.turn(route), most)
        if eligible:
            self._try_gray(flight)
        return flight

    @rule(
        which=st.integers(0, 1),
        route=st.sampled_from(ROUTES),
        count=st.integers(1, 25),
        eligible=st.booleans(),
        used=st.integers(0, 30),
    )
    def requests_are_served(self, which: int, route: str, count: int, eligible: bool, used: int) -> None:
        """Gray answers those that may go there; a proven upstream the others."""
        for number in range(count):
            flight = self.a_request_comes(which, route, eligible, 1 + (used + number) % 25)
            if flight.turn.mark is Mark.NOTHING:
                self.a_proven_upstream_sends_headers(flight)
            self.it_ends(flight, used, True)

    @rule(flight=flights)
    def gray_fails_before_or_after_headers_and_gray_is_asked_again(self, flight: InFlight) -> None:
        if self._lives(flight) and flight.turn.mark is Mark.GRAY:
            self._try_gray(flight)

    @rule(flight=flights)
    def a_proven_upstream_sends_headers(self, flight: InFlight) -> None:
        """One that fails before them earns nothing: nothing is called."""
        if not self._lives(flight):
            return
        before = flight.turn.mark
        flight.turn.proven(self.now)
        flight.proven_answers, flight.gray_answers = True, False
        if before is Mark.NOTHING:
            self._commit(flight, gray=False)

    @rule(flight=flights)
    def a_proven_one_that_failed_later_never_becomes_gray(self, flight: InFlight) -> None:
        if self._lives(flight) and flight.turn.mark is Mark.PROVEN:
            assert flight.turn.take(flight.most_tokens, self.now) is not None

    @rule(flight=consumes(flights), used=st.integers(0, 60), told=st.booleans())
    def it_ends(self, flight: InFlight, used: int, told: bool) -> None:
        if not self._lives(flight):
            return
        gray_tokens = used if told and flight.gray_answers else None
        proven_tokens = used if told and flight.proven_answers else None
        flight.turn.ended(self.now, gray_tokens=gray_tokens, proven_tokens=proven_tokens)
        flight.turn.ended(self.now, gray_tokens=gray_tokens, proven_tokens=proven_tokens)
        for name in (flight.turn.route, WHOLE):
            key, span = self._tokens(flight.process, name)
            span.all += proven_tokens or 0
            if gray_tokens is not None and key in flight.held_in:
                unused = max(flight.most_tokens - gray_tokens, 0)
                span.gray -= unused
                span.all -= unused

    # --- processes and time -------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 1))
    def a_process_crashes_or_restarts(self, which: int) -> None:
        process = self.processes[which]
        process.pool, process.life = Pool(process.terms), process.life + 1
        for order in process.order.values():
            order.clear()

    @rule(which=st.integers(0, 1), terms=st.sampled_from(TERMS))
    def sighup_with_other_terms(self, which: int, terms: GrayTerms) -> None:
        process = self.processes[which]
        process.pool.under(terms)
        if (terms.share, terms.burst) != (process.terms.share, process.terms.burst):
            process.generation += 1
            for order in process.order.values():
                order.clear()
        process.token_generation += terms.token_share != process.terms.token_share
        process.terms = terms

    @rule(which=st.integers(0, 1))
    def sighup_with_the_same_terms_keeps_the_credit(self, which: int) -> None:
        process = self.processes[which]
        before = [process.pool.purse(name) for name in (None, *ROUTES)]
        process.pool.under(process.terms)
        assert [process.pool.purse(name) for name in (None, *ROUTES)] == before

    @rule(hours=st.sampled_from([24, 1, 24 * 7]))
    def time_passes(self, hours: int) -> None:
        self.now += hours * 3_600_000

    @rule(hours=st.sampled_from([30, 1]))
    def the_clock_is_set_back(self, hours: int) -> None:
        self.now -= hours * 3_600_000

    # --- the theorems -------------------------------------------------------------------------------------------------

    @invariant()
    def theorem_1_gray_is_at_most_the_share_at_every_instant_of_every_span(self) -> None:
        for span in self.spans.values():
            assert span.gray <= span.share * span.all

    @invariant()
    def theorem_2_sums_of_processes_restarts_days_and_weeks_keep_the_share(self) -> None:
        for part in (0, 4, 5):  # the route (or the process), the day, the week
            groups: dict[object, list[Count]] = defaultdict(list)
            for unit, counted in enumerate((self.spans, self.token_spans)):
                for key, span in counted.items():
                    groups[unit, key[0] == WHOLE, key[part]].append(span)
            for spans in groups.values():
                assert sum(span.gray for span in spans) <= sum(span.share * span.all for span in spans)

    @invariant()
    def theorem_3_any_requests_in_a_row_hold_no_more_than_share_and_burst(self) -> None:
        for process in self.processes:
            share = Share.parse(process.terms.share)
            for order in process.order.values():
                gray = 0
                for count, was_gray in enumerate(reversed(order), start=1):
                    gray += was_gray
                    allowed = Fraction(share.part * count + process.terms.burst * share.rest, share.whole)
                    assert gray <= allowed.numerator // allowed.denominator

    @invariant()
    def the_tokens_that_gray_requests_hold_keep_their_share_too(self) -> None:
        for span in self.token_spans.values():
            assert span.gray <= span.share * span.all

    # --- counting -----------------------------------------------------------------------------------------------------

    def _lives(self, flight: InFlight) -> bool:
        return flight.process.life == flight.life

    def _try_gray(self, flight: InFlight) -> None:
        before, pool, route = flight.turn.mark, flight.process.pool, flight.turn.route
        lacking = flight.turn.lacks(flight.most_tokens, self.now)
        assert flight.turn.take(flight.most_tokens, self.now) == lacking
        if lacking is not None:
            return
        assert not pool.purse().tokens.in_debt
        assert not pool.purse(route).tokens.in_debt
        flight.gray_answers, flight.proven_answers = True, False
        if before is Mark.NOTHING:
            self._commit(flight, gray=True)
        flight.held_in = []
        for name in (route, WHOLE):
            key, span = self._tokens(flight.process, name)
            span.gray += flight.most_tokens
            span.all += flight.most_tokens
            flight.held_in.append(key)

    def _commit(self, flight: InFlight, *, gray: bool) -> None:
        process = flight.process
        for name in (flight.turn.route, WHOLE):
            key = self._key(process, name, process.generation)
            span = self.spans.setdefault(key, Count(fraction(process.terms.share)))
            span.all += 1
            span.gray += gray
            process.order[name].append(gray)

    def _tokens(self, process: Process, name: str) -> tuple[tuple[object, ...], Count]:
        key = self._key(process, name, process.token_generation)
        return key, self.token_spans.setdefault(key, Count(fraction(process.terms.token_share or "1")))

    def _key(self, process: Process, name: str, generation: int) -> tuple[object, ...]:
        day = self.now // DAY_MILLISECONDS
        return (name, process.number, process.life, generation, day, week_of(self.now))


def fraction(share: str) -> Fraction:
    parsed = Share.parse(share)
    return Fraction(parsed.part, parsed.whole)


GrayMachine.TestCase.settings = soak(steps=40)


class TestTheoremsOfTheGrayPool(GrayMachine.TestCase):
    """Run by pytest."""
