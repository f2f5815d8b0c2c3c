"""The step: what lasts shows, what stays away goes, and nothing flaps."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.vocabulary.contracts.snapshot import (
    CollectorReading,
    Memory,
    ServiceReading,
    SidecarReading,
    Snapshot,
    Swap,
    Thermal,
)
from fleet.vocabulary.health.check import Band, Check, worst
from fleet.vocabulary.health.sample import Sample, Silence
from fleet.vocabulary.health.state import NodeState, Transition
from fleet.vocabulary.health.step import PAUSE_SECONDS, faults, step, woke
from fleet.vocabulary.health.table import CHECKS
from fleet.vocabulary.names import Health
from fleet.vocabulary.units import GIB, MIB

START = 1_795_348_800.0
UP = ServiceReading(name="agent", label="org.fleet-macs.agent", up=True, state="running", pid=7, runs=1)


def a_sample(at: float, *, clock: float | None = None, **changes: object) -> Sample:
    """A healthy node at `at`, but for the changes."""
    settings: dict[str, object] = {
        "node": "mini-1",
        "at_seconds": at if clock is None else clock,
        "agent_version": "0.1.0",
        "readings": "macos",
        "boot_time_seconds": START - 86400,
        "memory": Memory(pressure_level=1, wired_headroom_bytes=8 * GIB),
        "swap": Swap(swapout_bytes_per_second=0.0),
        "thermal": Thermal(pressure_level=0),
        "services": (UP,),
    }
    return Sample(at_seconds=at, snapshot=Snapshot(**{**settings, **changes}))  # type: ignore[arg-type]


def swapping(at: float, mib: float | None) -> Sample:
    return a_sample(at, swap=Swap(swapout_bytes_per_second=None if mib is None else mib * MIB))


def run(
    looks: Iterable[tuple[float, Sample | Silence]], state: NodeState | None = None
) -> tuple[NodeState, list[Transition]]:
    state, told = state or NodeState(node="mini-1"), []
    for now, seen in looks:
        state, changes = step(state, seen, now)
        told += changes
    return state, told


def shown(state: NodeState) -> dict[str, Health]:
    return {fault.check: fault.health for fault in faults(state)}


def test_a_band_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="flap"):
        Band(enter=1, leave=1)


def test_unknown_outranks_ok_and_ranks_below_warn() -> None:
    assert worst([Health.OK, Health.UNKNOWN]) is Health.UNKNOWN
    assert worst([Health.UNKNOWN, Health.WARN]) is Health.WARN
    assert worst([]) is Health.OK


def test_a_first_look_is_taken_as_it_is() -> None:
    state, told = run([(START, swapping(START, 310))])
    assert shown(state) == {"swapping": Health.WARN}
    assert [(change.check, change.before, change.after) for change in told] == [("swapping", Health.OK, Health.WARN)]
    (fault,) = faults(state)
    assert (fault.text, fault.since_seconds) == ("swapping out 310 MiB/s", START)
    assert fault.do == ("fleet drain mini-1; then give its model less context, or move one away")


def reading_swap(at: float, *, ok: bool) -> Sample:
    return a_sample(
        at, collectors=(CollectorReading(name="swap", ok=ok, seconds=0.1, problem=None if ok else "EPERM"),)
    )


def test_a_collector_that_works_is_not_booked_and_one_that_fails_shows_in_its_time() -> None:
    check = CHECKS["collector"]
    fails, works = START + 5, START + 5 + check.visible_after_seconds + 5
    ends = works + check.hold_down_seconds
    state, _ = run([(START, reading_swap(START, ok=True))])
    assert "collector" not in {track.check for track in state.tracks}
    state, _ = run([(at, reading_swap(at, ok=False)) for at in (fails, fails + check.visible_after_seconds - 1)], state)
    assert shown(state) == {}
    state, told = run([(works - 5, reading_swap(works - 5, ok=False))], state)
    assert [(one.check, one.subject, one.since_seconds) for one in told] == [("collector", "swap", fails)]
    state, told = run([(at, reading_swap(at, ok=True)) for at in (works, ends)], state)
    assert (shown(state), [one.after for one in told]) == ({}, [Health.OK])
    state, _ = run([(at, reading_swap(at, ok=True)) for at in (ends + 2000, ends + 2005)], state)
    assert "collector" not in {track.check for track in state.tracks}


def test_a_fault_shows_when_it_lasted_and_says_when_it_began() -> None:
    visible = CHECKS["swapping"].visible_after_seconds
    looks = [(START, swapping(START, 0))]
    looks += [(START + at, swapping(START + at, 200)) for at in (5.0, 20.0, 4.9 + visible)]
    state, told = run(looks)
    assert (shown(state), told) == ({}, [])
    state, told = run([(START + 5 + visible, swapping(START + 5 + visible, 200))], state)
    assert [(change.began_seconds, change.at_seconds) for change in told] == [(START + 5, START + 5 + visible)]


def test_a_fault_goes_when_it_stayed_away_and_says_so_before() -> None:
    hold = CHECKS["swapping"].hold_down_seconds
    state, _ = run([(START, swapping(START, 200))])
    state, told = run([(START + 5 + at, swapping(START + 5 + at, 0)) for at in (0.0, 30.0, hold - 1)], state)
    assert told == []
    (fault,) = faults(state)
    assert (fault.clear_since_seconds, fault.text) == (START + 5, "swapping out 200 MiB/s")
    state, told = run([(START + 5 + hold, swapping(START + 5 + hold, 0))], state)
    assert [(change.after, change.began_seconds, change.since_seconds) for change in told] == [
        (Health.OK, START, START + 5)
    ]
    assert faults(state) == ()


def test_a_blip_while_it_is_watched_is_never_told() -> None:
    looks = [(START + at, swapping(START + at, 300 if at % 20 == 0 and at else 0)) for at in range(0, 300, 5)]
    assert run(looks)[1] == []


def test_loading_a_model_never_looks_like_a_swap_storm() -> None:
    """Pageins and swap-ins of any size, and swap in use, are not what the check reads."""
    loading = Swap(used_bytes=9 * GIB, swapin_bytes_per_second=4.0 * GIB, swapout_bytes_per_second=0.0)
    looks = [(START + at, a_sample(START + at, swap=loading)) for at in range(0, 120, 5)]
    assert run(looks)[1] == []


inside = st.floats(min_value=10.001, max_value=49.999)


@given(st.booleans(), st.lists(inside, max_size=40))
def test_inside_the_band_nothing_changes(bad_before: bool, values: list[float]) -> None:
    state, _ = run([(START, swapping(START, 90 if bad_before else 0))])
    before = shown(state)
    looks = [(START + 5 * i, swapping(START + 5 * i, value)) for i, value in enumerate(values, start=1)]
    state, told = run(looks, state)
    assert (shown(state), told) == (before, [])


gaps = st.floats(min_value=0.1, max_value=PAUSE_SECONDS - 1)
rates = st.one_of(st.none(), st.floats(min_value=0, max_value=200))


@given(st.lists(st.tuples(gaps, rates), max_size=60))
def test_what_is_told_lasted_and_what_ended_stayed_away(steps: list[tuple[float, float | None]]) -> None:
    """Against the readings themselves: never visible too early, never gone too early, `since` never steps back."""
    check = CHECKS["swapping"]
    assert check.warn is not None
    now, state, since = START, run([(START, swapping(START, 0))])[0], 0.0
    bad_from: float | None = None
    good_from: float | None = START
    bad = False
    for gap, rate in steps:
        now += gap
        long_unknown = state.tracks and any(
            track.check == "swapping" and now - (track.known_at_seconds or now) > PAUSE_SECONDS
            for track in state.tracks
        )
        state, told = step(state, swapping(now, rate), now)
        if rate is not None:
            was, bad = bad, check.warn.is_bad(rate * MIB, before=bad)
            if bad and not was:
                bad_from, good_from = now, None
            if was and not bad:
                bad_from, good_from = None, now
        for change in (change for change in told if change.check == "swapping"):
            assert change.began_seconds <= change.since_seconds <= change.at_seconds == now
            if long_unknown or Health.UNKNOWN in (change.before, change.after):
                continue
            if change.after is Health.WARN:
                assert bad_from is not None
                assert now - bad_from >= check.visible_after_seconds
            else:
                assert good_from is not None
                assert now - good_from >= check.hold_down_seconds
        found = [fault.since_seconds for fault in faults(state) if fault.health is Health.WARN]
        if found and since:
            assert found[0] >= since
        since = found[0] if found else 0.0


looks_of = st.lists(
    st.tuples(
        st.floats(min_value=-3, max_value=200),
        st.one_of(
            st.builds(lambda agent_only: Silence(agent_only=agent_only, problem="no"), st.booleans()),
            st.builds(
                lambda level, thermal, up, live, ready, runs: {
                    "memory": Memory(pressure_level=level),
                    "thermal": Thermal(pressure_level=thermal),
                    "services": (ServiceReading(name="sidecar.chat", label="l", up=up, runs=runs, last_exit="1"),),
                    "sidecars": (SidecarReading(name="chat", model="m", port=1, live=live, ready=ready),),
                },
                st.sampled_from([None, 1, 2, 4]),
                st.sampled_from([None, 0, 1, 2, 3, 4]),
                st.sampled_from([None, True, False]),
                st.sampled_from([None, True, False]),
                st.sampled_from([None, True, False]),
                st.integers(min_value=0, max_value=9),
            ),
        ),
    ),
    max_size=30,
)


@given(looks_of)
def test_the_same_looks_give_the_same_transitions_also_from_disk(
    steps: list[tuple[float, Silence | dict[str, object]]],
) -> None:
    """Replayed, with the state written and read between any two looks; the transitions of one fault form a chain."""
    now, one, other, levels = START, NodeState(node="mini-1"), NodeState(node="mini-1"), {}
    for gap, what in steps:
        now += gap
        seen = what if isinstance(what, Silence) else a_sample(now, **what)
        one, told = step(one, seen, now)
        other, again = step(msgspec.json.decode(msgspec.json.encode(other), type=NodeState), seen, now)
        assert (one, told) == (other, again)
        for change in told:
            key = change.check, change.subject
            assert change.before is levels.get(key, Health.OK)
            assert change.before is not change.after
            assert change.began_seconds <= change.since_seconds <= change.at_seconds
            levels[key] = change.after
        for fault in faults(one):
            assert levels[fault.check, fault.subject] is fault.health
            assert fault.since_seconds <= one.at_seconds


def test_what_cannot_be_read_changes_nothing_and_is_unknown_after_a_while() -> None:
    for first, level in ((0.0, None), (200.0, Health.WARN)):
        state, _ = run([(START, swapping(START, first))])
        state, told = run([(START + 5 + at, swapping(START + 5 + at, None)) for at in (0.0, 30.0, 59.0)], state)
        assert (shown(state).get("swapping"), told) == (level, [])
        state, told = run([(START + 65, swapping(START + 65, None))], state)
        assert shown(state) == {"swapping": Health.UNKNOWN}
        assert faults(state)[0].text == "the swap-out rate could not be read"
        state, told = run([(START + 70, swapping(START + 70, 0))], state)
        assert [change.after for change in told] == [Health.OK]


def test_what_was_never_known_is_no_fault() -> None:
    nothing = {"memory": Memory(), "swap": Swap(), "thermal": Thermal()}
    state, told = run([(START + at, a_sample(START + at, **nothing)) for at in range(0, 600, 30)])
    assert (faults(state), told) == ((), [])


def test_a_service_that_was_never_read_is_unknown_at_once() -> None:
    state, _ = run([(START, a_sample(START, services=(ServiceReading(name="x", label="l"),)))])
    assert [(fault.code, fault.health) for fault in faults(state)] == [("service_unknown", Health.UNKNOWN)]


def test_the_systems_own_wired_limit_is_unknown_and_never_no_room() -> None:
    own = Memory(pressure_level=1, wired_bytes=10 * GIB, wired_limit_bytes=None)
    assert faults(run([(START, a_sample(START, memory=own))])[0]) == ()
    known = msgspec.structs.replace(own, recommended_working_set_bytes=10 * GIB + 512 * MIB)
    state, _ = run([(START, a_sample(START, memory=known))])
    assert faults(state)[0].text == "only 512 MiB left under the GPU wired limit"
    state, told = run([(START + at, a_sample(START + at, memory=own)) for at in (5.0, 30.0, 66.0)], state)
    assert (faults(state), [change.after for change in told]) == ((), [Health.OK])


DOWN = ServiceReading(name="sidecar.chat", label="l", up=False, state="not running", runs=2)
DEAD = SidecarReading(name="chat", model="m", port=1, live=False, ready=False, problem="Connection refused")


def test_what_hangs_on_another_fault_is_hidden_and_comes_back() -> None:
    state, told = run([(START, a_sample(START, services=(DOWN,), sidecars=(DEAD,)))])
    assert shown(state) == {"service_down": Health.CRITICAL}
    assert [change.check for change in told] == ["service_down"]
    up = msgspec.structs.replace(DOWN, up=True, state="running")
    state, told = run([(START + 5, a_sample(START + 5, services=(up,), sidecars=(DEAD,)))], state)
    assert [(change.check, change.after) for change in told] == [
        ("service_down", Health.OK),
        ("sidecar_dead", Health.CRITICAL),
    ]


def test_a_node_that_is_down_hides_everything_and_everything_comes_back() -> None:
    hot = Thermal(pressure_level=3)
    state, _ = run([(START, a_sample(START, thermal=hot))])
    state, told = run([(START + at, Silence(problem="no route")) for at in (5.0, 30.0, 61.0)], state)
    assert [(change.check, change.began_seconds) for change in told] == [("node_unreachable", START)]
    assert shown(state) == {"node_unreachable": Health.CRITICAL}
    state, told = run([(START + 90, a_sample(START + 90, thermal=hot))], state)
    assert [(change.check, change.after) for change in told] == [("node_unreachable", Health.OK)]
    (fault,) = faults(state)
    assert (fault.check, fault.since_seconds) == ("thermal", START)


def test_the_silence_of_the_time_when_we_slept_is_not_the_nodes() -> None:
    state, _ = run([(START, a_sample(START))])
    later = START + 8 * 3600
    state, told = run([(later, Silence()), (later + 30, Silence())], woke(state, later))
    assert told == []
    state, told = run([(later + 61, Silence())], state)
    assert [change.check for change in told] == ["node_unreachable"]


def test_a_node_that_was_never_reached_counts_from_the_first_try() -> None:
    _, told = run([(START, Silence()), (START + 59, Silence()), (START + 61, Silence())])
    assert [(change.check, change.at_seconds) for change in told] == [("node_unreachable", START + 61)]


def crashing(at: float, runs: object, **changes: object) -> Sample:
    settings = {"name": "sidecar.chat", "label": "l", "up": True, "runs": runs, "last_exit": "Killed: 9"}
    return a_sample(at, services=(ServiceReading(**{**settings, **changes}),))  # type: ignore[arg-type]


def test_three_starts_that_nobody_asked_for_are_a_crash_loop_for_ten_minutes() -> None:
    looks = [(START + 20 * i, crashing(START + 20 * i, runs)) for i, runs in enumerate((1, 2, 3, 4))]
    state, told = run(looks)
    assert [(change.check, change.text) for change in told] == [
        ("crash_loop", "sidecar.chat crashes again and again: 3 times in 10 minutes, last exit Killed: 9")
    ]
    state, told = run([(START + 60 + at, crashing(START + 60 + at, 4)) for at in range(20, 601, 20)], state)
    assert [(change.check, change.after) for change in told] == [("crash_loop", Health.OK)]


@pytest.mark.parametrize("change", [{"last_exit": "Terminated: 15"}, {"runs": 1}, {"last_exit": "78: EX_CONFIG"}])
def test_restarts_in_good_order_a_new_registration_and_what_cannot_start_are_no_crash_loop(
    change: dict[str, object],
) -> None:
    looks = [(START + 5 * i, crashing(START + 5 * i, **{"runs": i, **change})) for i in range(10)]
    assert run(looks)[1] == []


def test_a_reboot_is_told_for_ten_minutes_and_a_corrected_clock_is_none() -> None:
    state, _ = run([(START, a_sample(START))])
    _, told = run([(START + 5, a_sample(START + 5, boot_time_seconds=START - 86400 + 50))], state)
    assert told == []
    boot = START + 100
    looks = [(boot + at, a_sample(boot + at, boot_time_seconds=boot)) for at in (30.0, 60.0, 120.0, 629.0)]
    state, told = run(looks, state)
    assert [change.check for change in told] == ["rebooted"]
    assert told[0].text.startswith("it restarted at 2026-")
    _, told = run([(boot + 640, a_sample(boot + 640, boot_time_seconds=boot))], state)
    assert [change.after for change in told] == [Health.OK]


@pytest.mark.parametrize(("clock", "text"), [(40.0, "40.0 s ahead of"), (-3700.0, "1h 01m behind")])
def test_a_clock_that_is_off_says_by_how_much(clock: float, text: str) -> None:
    state, _ = run([(START, a_sample(START, clock=START + clock))])
    (fault,) = faults(state)
    assert (fault.check, text in fault.text) == ("clock_skew", True)


def test_a_model_that_loads_is_warming_up_and_no_zombie() -> None:
    car = SidecarReading(name="chat", model="m", port=1, live=True, ready=False, problem="no answer within 60 s")
    young = ServiceReading(name="sidecar.chat", label="l", up=True, runs=1, started_at_seconds=START - 60)
    state, _ = run([(START, a_sample(START, services=(young,), sidecars=(car,)))])
    assert [(fault.code, fault.health) for fault in faults(state)] == [("sidecar_warming_up", Health.UNKNOWN)]
    at = START + 121
    state, _ = run([(START + 50, a_sample(START + 50, services=(young,), sidecars=(car,)))], state)
    state, _ = run([(at, a_sample(at, services=(young,), sidecars=(car,)))], state)
    assert shown(state) == {"sidecar_not_ready": Health.CRITICAL}


def test_a_sidecar_slower_than_its_own_baseline_is_told_and_an_idle_one_is_not() -> None:
    def paced(at: float, pace: float | None) -> tuple[float, Sample]:
        car = SidecarReading(name="chat", model="m", port=1, live=True, ready=True)
        car = msgspec.structs.replace(car, decode_tokens_per_second=pace, baseline_tokens_per_second=66.0)
        return at, a_sample(at, sidecars=(car,))

    state, _ = run([paced(START, 20.0)])
    assert faults(state)[0].text == "m gives 20.0 tokens/s, on this node usually 66.0"
    state, told = run([paced(START + at, None) for at in range(5, 120, 5)], state)
    assert [change.after for change in told] == [Health.OK]


def test_a_service_that_was_taken_off_the_node_ends_its_fault() -> None:
    state, _ = run([(START, a_sample(START, services=(UP, DOWN)))])
    state, told = run([(START + 5, a_sample(START + 5))], state)
    assert [(change.check, change.subject, change.after) for change in told] == [
        ("service_down", "sidecar.chat", Health.OK)
    ]


def test_a_state_of_a_later_release_is_read_without_what_is_new() -> None:
    state = msgspec.json.decode(b'{"node":"n","tracks":[["later","/"]],"new":1}', type=NodeState)
    assert faults(state) == ()
    assert step(state, a_sample(START), START)[1] == ()


# ---------------------------------------------------------------- flaps, and what nobody saw

BASE = CHECKS["swapping"].hold_down_seconds


def flapping(rounds: int, *, bad_seconds: int = 40, step_seconds: int = 10) -> tuple[list[float], NodeState]:
    """Comes back as soon as its end was told, again and again: how long each end took."""
    now, state, holds = START, NodeState(node="mini-1"), []
    state, _ = step(state, swapping(now, 0), now)
    for _ in range(rounds):
        for _ in range(0, bad_seconds, step_seconds):
            now += step_seconds
            state, _ = step(state, swapping(now, 200), now)
        assert shown(state) == {"swapping": Health.WARN}
        now += step_seconds
        clear = now
        state, told = step(state, swapping(now, 0), now)
        while not told:
            now += step_seconds
            state, told = step(state, swapping(now, 0), now)
        holds.append(now - clear)
    return holds, state


def test_what_flaps_must_stay_away_twice_as_long_each_time_up_to_a_quarter_of_an_hour() -> None:
    assert flapping(7)[0] == [60, 120, 240, 480, 900, 900, 900]


def test_after_a_long_quiet_a_fault_is_new() -> None:
    _, state = flapping(3)
    now = state.at_seconds
    for _ in range(300):
        now += 5
        state, _ = step(state, swapping(now, 0), now)
    assert all(track.warn.flaps == 0 and not track.warn.raw_since_seconds for track in state.tracks)
    state, _ = run([(now + at, swapping(now + at, 200)) for at in range(5, 60, 5)], state)
    (track,) = (track for track in state.tracks if track.check == "swapping")
    assert (track.level, track.warn.flaps) == (Health.WARN, 0)


@given(st.lists(st.tuples(st.integers(1, 59), st.booleans()), max_size=80))
def test_an_end_is_told_after_the_wait_that_its_flaps_make_and_no_flap_is_made_up(
    steps: list[tuple[int, bool]],
) -> None:
    check = CHECKS["swapping"]
    now, state, ends, flaps = START, run([(START, swapping(START, 0))])[0], 0, 0
    for gap, is_bad in steps:
        now += gap
        state, told = step(state, swapping(now, 200 if is_bad else 0), now)
        latch = next(track.warn for track in state.tracks if track.check == "swapping")
        for change in (change for change in told if change.check == "swapping"):
            if change.after is Health.OK:
                ends += 1
                assert now - change.since_seconds >= check.holds_for(latch.flaps)
            else:
                assert latch.flaps in {0, flaps + 1}
        assert latch.flaps <= ends
        flaps = latch.flaps


@given(st.integers(0, 10_000), st.sampled_from([*CHECKS.values()]))
def test_a_wait_never_shrinks_and_is_never_longer_than_a_quarter_of_an_hour(flaps: int, check: Check) -> None:
    assert check.hold_down_seconds <= check.holds_for(flaps) <= check.holds_for(flaps + 1)
    assert check.holds_for(flaps) <= max(900.0, check.hold_down_seconds)


def a_car(runs: int, *, started: float, last_exit: str = "1") -> ServiceReading:
    return ServiceReading(
        name="sidecar.chat", label="l", up=True, pid=9, runs=runs, last_exit=last_exit, started_at_seconds=started
    )


def test_a_restart_while_nobody_looked_is_told_with_its_time_for_ten_minutes() -> None:
    night = 8 * 3600.0
    before = a_sample(START, services=(a_car(1, started=START - 60),))
    state, _ = run([(START, before)])
    back = START + night / 2
    morning = [(START + night + at, a_sample(START + night + at, services=(a_car(3, started=back),))) for at in (0, 30)]
    state, told = run(morning, state)
    assert [(one.check, one.after, one.began_seconds) for one in told] == [("service_restarted", Health.WARN, back)]
    assert told[0].text == "sidecar.chat ended while nobody looked and was started again, 2 times: last exit 1"
    later = START + night + 700
    looks = [(START + night + at, a_sample(START + night + at, services=(a_car(3, started=back),))) for at in (60, 700)]
    state, told = run(looks, state)
    assert ([one.after for one in told], state.at_seconds) == ([Health.OK], later)


@pytest.mark.parametrize("last_exit", ["Terminated: 15", "0", "78: EX_CONFIG"][::2])
def test_a_restart_that_somebody_asked_for_or_that_could_not_start_is_not_told_after_a_gap(last_exit: str) -> None:
    state, _ = run([(START, a_sample(START, services=(a_car(1, started=START - 60),)))])
    late = START + 9000
    car = a_car(2, started=late - 5000, last_exit=last_exit)
    assert run([(late, a_sample(late, services=(car,)))], state)[1] == []


def test_a_reboot_in_the_gap_is_a_reboot_and_no_restart_of_services() -> None:
    state, _ = run([(START, a_sample(START, services=(a_car(1, started=START - 60),)))])
    late = START + 9000
    sample = a_sample(late, boot_time_seconds=late - 4000, services=(a_car(2, started=late - 3900),))
    assert [one.check for one in run([(late, sample)], state)[1]] == ["rebooted"]


def test_a_node_that_was_silent_before_the_observer_was_away_is_not_called_back_by_that() -> None:
    state, told = run([(START + second, Silence()) for second in range(0, 95, 5)])
    assert [(one.check, one.after) for one in told] == [("node_unreachable", Health.CRITICAL)]
    later = START + 8 * 3600
    state, told = run([(later, Silence()), (later + 30, Silence())], woke(state, later))
    assert told == []
    _, told = run([(later + 60, a_sample(later + 60))], state)
    assert [(one.check, one.after) for one in told] == [("node_unreachable", Health.OK)]
