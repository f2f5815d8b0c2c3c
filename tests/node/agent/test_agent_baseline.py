"""What is usual: learned when the node is well, never from a slow state, and steady under noise."""

import sqlite3

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.node.agent.baseline import FIRST_WINDOWS, LEAST_TOKENS, Key, Pace, Usual, compared, is_well, learned
from fleet.node.agent.baselinefile import BaselineFile
from fleet.node.agent.history import History
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.gateway_admin import PaceRow
from fleet.vocabulary.contracts.snapshot import Memory, Snapshot, Swap, Thermal
from fleet.vocabulary.units import GIB, MIB

NOON = 1_795_348_800.0
DAY = 86_400.0
noise = st.floats(0.8, 1.2)


def window(speed: float, *, at_once: int = 1, tokens: int = 1000) -> PaceRow:
    return PaceRow(at_once=at_once, answers=4, tokens=tokens, seconds=tokens / speed, first_token_seconds=0.5)


def after(speeds, *, before: Usual | None = None, every: float = 60.0, start: float = NOON) -> Usual:
    usual = before or Usual()
    for index, speed in enumerate(speeds):
        usual = learned(usual, window(speed), now=start + index * every)
    return usual


def ratio(usual: Usual, speed: float) -> float:
    found = compared([(window(speed), usual)]).ratio
    assert found is not None
    return found


def a_snapshot(**changes) -> Snapshot:
    return Snapshot(node="mini-1", at_seconds=NOON, agent_version="1", readings="macos", **changes)


@given(st.lists(noise, min_size=FIRST_WINDOWS, max_size=200), noise, st.floats(1, 500))
def test_noise_within_a_fifth_never_reads_as_slow(speeds, now, true_speed):
    usual = after([true_speed * each for each in speeds])
    assert ratio(usual, true_speed * now) > 0.6


@given(st.lists(noise, min_size=FIRST_WINDOWS, max_size=100), st.integers(0, 400))
def test_a_sudden_halving_shows_and_never_becomes_usual(speeds, windows_later):
    usual = after([50 * each for each in speeds])
    slow = after([25.0] * windows_later, before=usual, start=NOON + DAY)
    assert ratio(slow, 25.0 / 1.2) < 0.6
    assert ratio(usual, 25.0) < 0.7


@given(st.floats(0.001, 0.2), st.integers(20, 60))
def test_a_drift_over_days_does_not_erase_what_was_usual(loss_a_day, days):
    usual = after([50.0] * FIRST_WINDOWS)
    speed = 50.0
    for day in range(days):
        speed *= 1 - loss_a_day
        usual = after([speed] * 20, before=usual, start=NOON + (day + 1) * DAY)
    assert usual.tokens_per_second >= 40.0 - 1e-6
    assert ratio(usual, 20.0) <= 0.5 + 1e-6


def test_a_day_takes_two_hundredths_at_most():
    usual = after([50.0] * FIRST_WINDOWS)
    assert after([42.0] * 500, before=usual, every=60).tokens_per_second == pytest.approx(49.0)


def test_what_was_learned_while_slow_is_soon_outgrown():
    usual = after([20.0] * FIRST_WINDOWS)
    assert after([60.0] * 120, before=usual).tokens_per_second > 55


def test_it_speaks_after_some_windows_and_tokens_only():
    assert compared([(window(50), after([50.0] * (FIRST_WINDOWS - 1)))]).ratio is None
    few = compared([(window(50, tokens=LEAST_TOKENS - 1), after([50.0] * 9))])
    assert few == Pace()
    assert learned(Usual(), window(50, tokens=LEAST_TOKENS - 1), now=NOON) == Usual()


def test_a_clock_that_is_set_back_gives_no_new_day():
    usual = after([50.0] * FIRST_WINDOWS)
    usual = after([42.0] * 300, before=usual)
    assert after([42.0] * 300, before=usual, start=NOON - 3 * DAY).tokens_per_second == pytest.approx(49.0)


def test_like_is_compared_with_like():
    alone, crowded = after([60.0] * 9), after([15.0] * 9)
    found = compared([(window(60), alone), (window(15, at_once=8), crowded)])
    assert found.ratio == pytest.approx(1.0)
    assert compared([(window(15, at_once=8), alone)]).ratio == pytest.approx(0.25)


def test_rows_that_nothing_is_known_of_stay_out_of_both_numbers():
    found = compared([(window(30), after([60.0] * 9)), (window(5, at_once=16), None)])
    assert found.tokens_per_second == pytest.approx(30)
    assert found.usual_tokens_per_second == pytest.approx(60)
    assert found.ratio == pytest.approx(0.5)
    assert compared([(window(5), None)]) == Pace(tokens_per_second=pytest.approx(5), first_token_seconds=0.5)


rows = st.builds(
    PaceRow,
    at_once=st.sampled_from([1, 2, 4, 8]),
    answers=st.integers(-1, 9),
    tokens=st.integers(-5, 10**9),
    seconds=st.floats(-1, 1e6, allow_nan=False),
    first_token_seconds=st.none() | st.floats(0, 1e3),
)


@given(st.lists(rows, max_size=20), st.lists(rows, max_size=4))
def test_odd_rows_break_nothing(before, now):
    usual = Usual()
    for row in before:
        usual = learned(usual, row, now=NOON)
    found = compared([(row, usual) for row in now])
    assert (found.ratio is None) or found.ratio >= 0
    assert msgspec.json.decode(msgspec.json.encode(usual), type=Usual) == usual


@pytest.mark.parametrize(
    ("snapshot", "well"),
    [
        (a_snapshot(), True),
        (a_snapshot(memory=Memory(pressure_level=2)), False),
        (a_snapshot(memory=Memory(wired_headroom_bytes=GIB)), False),
        (a_snapshot(memory=Memory(wired_headroom_bytes=3 * GIB, pressure_level=1)), True),
        (a_snapshot(thermal=Thermal(pressure_level=1)), False),
        (a_snapshot(swap=Swap(swapout_bytes_per_second=20.0 * MIB)), False),
    ],
)
def test_a_node_with_any_sign_of_trouble_teaches_nothing(snapshot, well):
    assert is_well(snapshot) is well


@pytest.fixture
def history(tmp_path):
    history = History(tmp_path / "history.sqlite3", FakeClock(), node="mini-1", pace_seconds=5)
    yield history
    history.close()


def a_key(at_once: int = 1, **changes) -> Key:
    return Key(**{"model": "smollm2", "os": "26.5.1", "engine": "0.32.2", "at_once": at_once, **changes})


def test_baselines_survive_the_agent(history, tmp_path):
    usuals = {a_key(): after([50.0] * 9), a_key(2): after([30.0] * 3)}
    assert BaselineFile(history).load() == {}
    assert BaselineFile(history).save(usuals)
    history.close()
    again = History(tmp_path / "history.sqlite3", FakeClock(), node="mini-1", pace_seconds=5)
    assert BaselineFile(again).load() == usuals
    again.close()


def test_only_the_newest_are_kept(history):
    usuals = {a_key(at_once): after([50.0] * 9, start=NOON + at_once) for at_once in range(400)}
    assert BaselineFile(history).save(usuals)
    assert min(key.at_once for key in BaselineFile(history).load()) == 400 - 256


def test_a_broken_file_is_begun_anew_and_costs_no_more_than_itself(history, tmp_path):
    file = BaselineFile(history)
    assert file.save({a_key(): after([50.0] * 9)})
    history.close()
    (tmp_path / "history.sqlite3").write_bytes(b"no database " * 500)
    assert file.load() == {}
    assert file.save({a_key(): after([50.0] * 9)})
    assert history.reading.resets_total == 1
    assert history.reading.paused is None


def test_a_table_of_another_shape_is_left_alone_and_the_history_goes_on(history, tmp_path):
    with sqlite3.connect(tmp_path / "history.sqlite3") as db:
        db.execute("CREATE TABLE baselines (something TEXT)")
    db.close()
    assert BaselineFile(history).load() == {}
    assert not BaselineFile(history).save({a_key(): after([50.0] * 9)})
    assert history.reading.paused is None


def test_a_row_that_says_something_odd_is_left_out(history, tmp_path):
    BaselineFile(history).save({a_key(): after([50.0] * 9)})
    with sqlite3.connect(tmp_path / "history.sqlite3") as db:
        db.execute("INSERT INTO baselines VALUES ('a', 'b', 'c', 'many', x'00')")
        db.execute("INSERT INTO baselines VALUES ('a', 'b', 'c', 3, NULL)")
    db.close()
    assert list(BaselineFile(history).load()) == [a_key()]


def test_without_a_disk_nothing_is_kept_and_nothing_breaks(tmp_path):
    history = History(tmp_path / "missing" / "history.sqlite3", FakeClock(), node="mini-1", pace_seconds=5)
    assert not BaselineFile(history).save({a_key(): after([50.0] * 9)})
    assert BaselineFile(history).load() == {}
    assert history.reading.paused
