"""When an upstream is left alone."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fleet.traffic.breaker import Circuit, Phase
from fleet.traffic.config import Breaker

SETTINGS = Breaker(failures=3, first_seconds=1.0, longest_seconds=8.0)


def an_open_circuit(now: float = 0.0) -> Circuit:
    return Circuit().ejected(now, SETTINGS)


def test_a_few_failures_in_a_row_open_it_and_fewer_do_not() -> None:
    circuit = Circuit().failed(0, SETTINGS).failed(0, SETTINGS)
    assert circuit.phase(0) is Phase.CLOSED
    assert circuit.failed(0, SETTINGS).phase(0) is Phase.OPEN


def test_a_success_between_failures_starts_the_count_again() -> None:
    circuit = Circuit().failed(0, SETTINGS).failed(0, SETTINGS).succeeded().failed(0, SETTINGS)
    assert circuit.phase(0) is Phase.CLOSED


def test_an_ejection_opens_it_at_once() -> None:
    circuit = an_open_circuit(5.0)
    assert circuit.phase(5.5) is Phase.OPEN
    assert circuit.opens_in(5.5) == 0.5


def test_half_open_lets_one_through_and_its_success_closes() -> None:
    circuit = an_open_circuit()
    assert circuit.phase(1.0) is Phase.HALF_OPEN
    tried = circuit.tried(1.0)
    assert not tried.lets_through(1.0)
    assert tried.succeeded().phase(1.0) is Phase.CLOSED


def test_a_trial_that_fails_doubles_the_wait_up_to_the_longest() -> None:
    circuit, now, waits = an_open_circuit(), 0.0, []
    for _ in range(6):
        waits.append(circuit.opens_in(now))
        now += circuit.opens_in(now)
        circuit = circuit.tried(now).failed(now, SETTINGS)
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_failures_of_requests_that_were_sent_before_it_opened_do_not_lengthen_the_wait() -> None:
    circuit = an_open_circuit()
    assert circuit.failed(0.5, SETTINGS) == circuit
    assert circuit.ejected(0.5, SETTINGS) == circuit


def test_a_trial_whose_client_left_makes_way_for_the_next() -> None:
    tried = an_open_circuit().tried(2.0)
    assert tried.lost(tried.trial).lets_through(2.0)


def test_a_trial_of_before_cannot_end_the_one_under_way() -> None:
    first = an_open_circuit().tried(1.0)
    second = first.failed(1.0, SETTINGS).tried(3.0)
    assert second.lost(first.trial) == second


class BreakerMachine(RuleBasedStateMachine):
    """Any order of requests, failures, successes, cancellations and waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.circuit = Circuit()
        self.trials: list[int] = []

    @rule(seconds=st.floats(0.0, 20.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.circuit.lets_through(self.now))
    @rule()
    def a_request_goes(self) -> None:
        was_closed = self.circuit.phase(self.now) is Phase.CLOSED
        self.circuit = self.circuit.tried(self.now)
        assert (self.circuit.trial == 0) == was_closed
        if not was_closed:
            assert self.circuit.trial not in self.trials
            self.trials.append(self.circuit.trial)

    @rule(out=st.booleans())
    def one_fails(self, out: bool) -> None:
        before = self.circuit
        self.circuit = before.ejected(self.now, SETTINGS) if out else before.failed(self.now, SETTINGS)
        if before.phase(self.now) is not Phase.CLOSED:
            assert self.circuit.phase(self.now) is Phase.OPEN

    @rule()
    def one_succeeds(self) -> None:
        self.circuit = self.circuit.succeeded()
        assert self.circuit.phase(self.now) is Phase.CLOSED

    @precondition(lambda self: self.trials)
    @rule(data=st.data())
    def a_client_leaves(self, data: st.DataObject) -> None:
        self.circuit = self.circuit.lost(data.draw(st.sampled_from(self.trials)))

    @invariant()
    def it_is_never_left_alone_for_longer_than_the_longest_wait(self) -> None:
        assert self.circuit.opens_in(self.now) <= SETTINGS.longest_seconds + 1e-6

    @invariant()
    def at_most_one_trial_is_under_way_and_its_end_lets_the_next_go(self) -> None:
        later = self.now + SETTINGS.longest_seconds + 1e-6
        if self.circuit.trial:
            assert not self.circuit.lets_through(later)
        assert self.circuit.lost(self.circuit.trial).lets_through(later)


TestBreakerMachine = BreakerMachine.TestCase
