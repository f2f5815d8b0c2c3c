"""The fast tick: on time whatever the slow tier does, and how late it was is known."""

import selectors
import sys

from hypothesis import given
from hypothesis import strategies as st

from fleet.node.agent.commands import Commands
from fleet.node.agent.pace import Errand, Errands, Ticker
from fleet.testing.clock import FakeClock
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.clock import SystemClock


def a_loop(clock: FakeClock, ticker: Ticker, errands: Errands, *, until: float) -> None:
    """As the agent's: sleep to the next deadline, then wake what is due, the ticker first."""
    while clock.monotonic() < until:
        clock.advance(max(0.0, min(ticker.next_at(), errands.next_at()) - clock.monotonic()))
        now = clock.monotonic()
        for part in (ticker, errands):
            if part.next_at() <= now:
                part.wake(now)


def test_a_ticker_keeps_its_pace_and_does_not_catch_up_after_a_pause():
    ticks = []
    ticker = Ticker(5.0, lambda: ticks.append(1), first_at=100.0)
    ticker.wake(99.9)
    assert ticks == []
    ticker.wake(101.0)
    assert (len(ticks), ticker.next_at()) == (1, 105.0)
    ticker.wake(500.0)
    ticker.wake(500.1)
    assert (len(ticks), ticker.next_at()) == (2, 505.0)


def test_a_ticker_says_how_late_it_was():
    ticker = Ticker(5.0, lambda: None, first_at=100.0)
    assert (ticker.late_seconds, ticker.most_late_seconds) == (None, None)
    ticker.wake(102.0)
    ticker.wake(105.5)
    assert (ticker.late_seconds, ticker.most_late_seconds) == (0.5, 2.0)


def test_errands_run_one_a_round_so_that_the_tick_waits_for_one_at_most():
    clock, ran = FakeClock(), []
    errands = Errands(
        [Errand(name=name, every_seconds=30.0, run=lambda name=name: ran.append(name)) for name in "abc"],
        clock,
        tick_at=lambda: clock.monotonic() + 5.0,
        tick_seconds=5.0,
    )
    for count in (1, 2, 3):
        errands.wake(clock.monotonic())
        assert len(ran) == count
    errands.wake(clock.monotonic())
    assert (ran, errands.next_at() - clock.monotonic()) == (["a", "b", "c"], 30.0)


@given(st.lists(st.floats(0.001, 2.0), min_size=1, max_size=8))
def test_slow_errands_never_delay_the_tick_once_their_length_is_known(lengths):
    clock, ticked = FakeClock(), []
    ticker = Ticker(5.0, lambda: ticked.append(clock.monotonic()), first_at=clock.monotonic() + 5.0)
    counts = [0] * len(lengths)

    def run(index: int) -> None:
        counts[index] += 1
        clock.advance(lengths[index])

    planned = [Errand(name=str(i), every_seconds=30.0, run=lambda i=i: run(i)) for i in range(len(lengths))]
    errands = Errands(planned, clock, tick_at=ticker.next_at, tick_seconds=5.0)
    began = clock.monotonic()
    a_loop(clock, ticker, errands, until=began + 60)
    assert (ticker.most_late_seconds or 0.0) <= max(lengths) + 1e-6
    ticker.most_late_seconds = 0.0
    a_loop(clock, ticker, errands, until=began + 600)
    assert ticker.most_late_seconds <= 1e-6
    assert all(15 <= count <= 21 for count in counts), "and every one keeps its own pace"


def test_an_errand_that_is_longer_than_the_pace_runs_all_the_same():
    clock, ran = FakeClock(), []
    ticker = Ticker(5.0, lambda: None, first_at=clock.monotonic() + 5.0)

    def long() -> None:
        ran.append(1)
        clock.advance(7.0)

    errands = Errands(
        [Errand(name="long", every_seconds=30.0, run=long)], clock, tick_at=ticker.next_at, tick_seconds=5.0
    )
    a_loop(clock, ticker, errands, until=clock.monotonic() + 300)
    assert len(ran) >= 9
    assert ticker.most_late_seconds <= 7.0


def test_a_command_that_hangs_keeps_no_tick_waiting():
    """Real time, a real process: the loop goes on while the command sleeps, up to its deadline."""
    selector, clock, outputs, ticks = selectors.DefaultSelector(), SystemClock(), [], []
    commands = Commands(selector, clock, deadline_seconds=0.3)
    ticker = Ticker(0.02, lambda: ticks.append(1), first_at=clock.monotonic())
    commands.run(Argv.of(sys.executable, "-c", "import time; time.sleep(60)"), outputs.append)
    while not outputs:
        due = min(ticker.next_at(), commands.next_at())
        for key, events in selector.select(max(0.0, due - clock.monotonic())):
            key.data(events)
        now = clock.monotonic()
        for part in (ticker, commands):
            if part.next_at() <= now:
                part.wake(now)
    assert outputs[0].problem == "no end within 0.3 s"
    assert outputs[0].seconds >= 0.3
    assert len(ticks) >= 5
    selector.close()
