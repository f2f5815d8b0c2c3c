"""Care for a sidecar, decided: what is ill is restarted, never too often, never against an operator."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fleet.node.agent.care import decide
from fleet.node.agent.caresigns import Action, Do, Signs
from fleet.node.agent.carestate import CareState, Phase, reading_of
from fleet.node.gateway.intent import apply, report
from fleet.vocabulary.contracts.agent import Care
from fleet.vocabulary.contracts.gateway_admin import IntentRequest
from fleet.vocabulary.names import Intent
from fleet.vocabulary.units import GIB

NOON = 1_795_348_800.0
BOOT = NOON - 86_400.0
LOOK = 5.0
LIMIT = 20 * GIB


class World:
    """A node with one sidecar, its gateway and its launchd, and an agent that cares."""

    def __init__(self, **rules: Any) -> None:
        self.rules = Care(**{"refresh_seconds": 6 * 3600.0, **rules})
        self.state = CareState()
        self.now, self.boot = NOON, BOOT
        self.pid, self.started = 100, NOON - 3600.0
        self.running, self.well, self.deaf, self.loads_seconds = True, True, False, 20.0
        self.size, self.in_flight = 5 * GIB, 0
        self.wishes: Any = {}
        self.gateway_answers = True
        self.panic_at: float | None = None
        self.acts: list[tuple[float, Action, str]] = []
        self.drain_was_whose = ""

    @property
    def shown(self) -> str:
        return reading_of(self.state).state

    @property
    def ended(self) -> list[int]:
        return list(dict.fromkeys(act.process[0] for _, act, _ in self.acts if act.process))

    def signs(self) -> Signs:
        loaded = self.now - self.started >= self.loads_seconds
        ready = (self.well and loaded) if self.running else False
        held = report(self.wishes, {"chat": self.in_flight}, now=self.now)[0]
        known = self.gateway_answers
        return Signs(
            pid=self.pid if self.running else None,
            started_at_seconds=self.started if self.running else None,
            live=self.running,
            ready=ready,
            ready_at_seconds=self.now,
            problem="" if ready else "no answer within 60 s",
            footprint_bytes=self.size if loaded else int(self.size * (self.now - self.started) / self.loads_seconds),
            in_flight=self.in_flight if known else None,
            gateway=True,
            intent=held.intent if known else None,
            by=held.by if known else "",
            boot_seconds=self.boot,
            panic_at_seconds=self.panic_at,
        )

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += LOOK
            self.state, act = decide(self.state, self.signs(), self.rules, now=self.now, limit_bytes=LIMIT)
            self.state = msgspec.json.decode(msgspec.json.encode(self.state), type=CareState)
            if act is not None:
                self.acts.append((self.now, act, self.wishes["chat"].by if "chat" in self.wishes else ""))
                self.do(act)

    def do(self, act: Action) -> None:
        if act.do in (Do.END, Do.KILL):
            assert act.process is not None
            if self.running and act.process[0] == self.pid and (act.do is Do.KILL or not self.deaf):
                self.starts_again()
        elif self.gateway_answers:
            wanted = Intent.SERVING if act.do is Do.FREE else Intent.DRAINING
            self.ask(wanted, act.by or "agent: free")

    def ask(self, intent: Intent, by: str) -> None:
        request = IntentRequest(intent=intent, sidecar="chat", by=by)
        self.wishes = apply(self.wishes, request, sidecars=["chat"], now=self.now)
        if intent is not Intent.SERVING and self.well:
            self.in_flight = 0

    def starts_again(self) -> None:
        self.pid, self.started, self.deaf = self.pid + 1, self.now, False
        self.well, self.size, self.in_flight, self.running = True, 5 * GIB, 0, True

    def reboots(self, *, panic: bool) -> None:
        self.now += 120
        self.boot = self.now
        self.starts_again()
        self.panic_at = self.now + 30 if panic else self.panic_at


def test_one_that_generates_nothing_is_drained_ended_and_serves_again_when_it_is_ready():
    world = World()
    world.look(10)
    assert (world.shown, world.acts) == ("watching", [])
    world.well = False
    world.look(int(120 / LOOK))
    assert world.shown == "draining"
    assert "generated nothing for 2m" in world.state.reason
    assert "agent: it generated nothing" in world.wishes["chat"].by
    world.look(1)
    assert (world.shown, world.pid) == ("restarting", 101)
    world.look(2)
    assert "chat" in world.wishes, "it is not ready yet"
    world.look(5)
    assert (world.shown, dict(world.wishes)) == ("watching", {})
    read = reading_of(world.state)
    assert (read.restarts_total, read.reason) == (1, "")
    assert "generated nothing" in read.restarted_for


def test_running_requests_have_the_time_to_end_before_it_is_ended():
    world = World(drain_seconds=100.0)
    world.look(5)
    world.size = 30 * GIB
    world.in_flight, world.ask = 2, lambda intent, by: World.ask(world, intent, by) or setattr(world, "in_flight", 2)
    world.look(13)
    assert world.shown == "draining"
    assert "30.0 GiB" in world.state.reason
    world.look(18)
    assert world.pid == 100
    world.look(3)
    assert world.pid == 101


def test_one_that_answers_again_while_it_is_drained_is_freed_unharmed():
    world = World()
    world.look(5)
    world.well, world.in_flight = False, 1
    world.look(int(600 / LOOK) + 1)
    assert world.shown == "draining"
    world.well = True
    world.look(2)
    assert (world.shown, dict(world.wishes), world.ended) == ("watching", {}, [])


def test_a_long_prompt_keeps_the_probe_waiting_and_is_no_reason():
    world = World()
    world.look(5)
    world.well, world.in_flight = False, 1
    world.look(int(500 / LOOK))
    assert world.acts == []


def test_a_model_that_loads_has_its_time_as_long_as_it_grows():
    world = World()
    world.loads_seconds = 3000.0
    world.starts_again()
    world.look(int(2900 / LOOK))
    assert world.acts == []


def test_a_first_start_that_stands_still_is_restarted_after_a_quarter_of_an_hour():
    world = World()
    world.loads_seconds, world.size = 1e9, 0
    world.starts_again()
    world.size = 0
    world.look(int(850 / LOOK))
    assert world.acts == []
    world.look(int(100 / LOOK))
    assert world.ended == [101]


def test_one_that_does_not_hear_is_killed():
    world = World()
    world.look(5)
    world.well, world.deaf = False, True
    world.look(40)
    assert [act.do for _, act, _ in world.acts if act.process][-1] is Do.KILL
    assert world.pid == 101


def test_after_three_restarts_within_an_hour_it_is_left_alone_and_that_is_said():
    world = World()
    world.look(5)
    for _ in range(4):
        world.well = False
        world.look(45)
    assert len(world.ended) == 3
    assert world.shown == "watching"
    assert "restarted 3 times within the hour" in world.state.reason
    assert dict(world.wishes) == {}
    said = world.state.since_seconds
    world.look(20)
    assert world.state.since_seconds == said, "the same words are no news"
    world.look(int(3600 / LOOK))
    assert len(world.ended) == 4


def test_an_operators_drain_is_never_touched():
    world = World()
    world.ask(Intent.DRAINING, "ann")
    world.look(5)
    world.well = False
    world.look(200)
    assert (world.acts, world.wishes["chat"].by) == ([], "ann")


def test_an_operator_who_drains_meanwhile_keeps_it_drained():
    world = World()
    world.look(5)
    world.well = False
    world.look(27)
    world.ask(Intent.DRAINING, "ann")
    world.look(50)
    assert (world.shown, world.wishes["chat"].by) == ("watching", "ann")


def test_a_drain_of_ours_that_we_forgot_is_finished():
    world = World()
    world.look(5)
    world.well = False
    world.look(27)
    world.state = CareState()
    assert "chat" in world.wishes
    world.look(500)
    assert (world.shown, dict(world.wishes)) == ("watching", {})


def test_a_planned_refresh_waits_until_nothing_runs():
    world = World(refresh_seconds=3600.0)
    world.in_flight = 1
    world.look(20)
    assert world.acts == []
    world.in_flight = 0
    world.look(1)
    assert world.shown == "refreshing"
    world.look(10)
    assert (world.shown, world.pid, dict(world.wishes)) == ("watching", 101, {})


def test_each_node_refreshes_at_a_time_of_its_own():
    rules = Care(refresh_seconds=3600.0)
    world = World()
    world.look(1)
    for jitter, due in ((0.0, True), (1.0, False)):
        signs = msgspec_free(world.signs(), started_at_seconds=world.now - 3700, jitter_ratio=jitter)
        state, _ = decide(world.state, signs, rules, now=world.now)
        assert (reading_of(state).state == "refreshing") is due


def msgspec_free(signs: Signs, **changes: Any) -> Signs:
    return Signs(**{**{name: getattr(signs, name) for name in signs.__dataclass_fields__}, **changes})


def test_a_panic_while_it_ran_is_forgiven_once_and_the_second_within_a_week_ends_its_service():
    world = World()
    world.look(20)
    world.reboots(panic=True)
    world.look(20)
    assert world.shown == "watching"
    assert "tried once more" in world.state.reason
    world.now += 86400
    world.look(5)
    world.reboots(panic=True)
    world.look(20)
    assert world.shown == "quarantined"
    assert "panicked 2 times within 7 days" in world.state.reason
    assert world.wishes["chat"].by.startswith("agent: quarantined")
    world.look(3000)
    assert world.shown == "quarantined"
    world.ask(Intent.SERVING, "ann")
    world.look(2)
    assert (world.shown, dict(world.wishes), world.state.strikes) == ("watching", {}, ())


def test_a_quarantine_outlives_the_loss_of_our_memory():
    world = World()
    world.ask(Intent.DRAINING, "agent: quarantined: the kernel panicked 2 times within 7 days while it ran")
    world.look(50)
    assert world.shown == "quarantined"


def test_a_reboot_without_a_panic_and_a_panic_while_it_did_not_run_cost_nothing():
    world = World()
    world.look(20)
    world.reboots(panic=False)
    world.look(20)
    world.running = False
    world.now += 3600
    world.look(1)
    world.reboots(panic=True)
    world.look(20)
    assert (world.shown, world.state.strikes) == ("watching", ())


def test_a_clock_that_is_set_moves_the_boot_along_and_is_no_reboot():
    world = World()
    world.look(20)
    world.now, world.boot, world.panic_at = world.now + 3600, world.boot + 3600, world.boot + 3600
    world.look(20)
    assert world.state.strikes == ()


def test_two_panics_more_than_a_week_apart_are_each_the_first():
    world = World()
    world.look(20)
    world.reboots(panic=True)
    world.look(20)
    world.now += 8 * 86400
    world.look(20)
    world.reboots(panic=True)
    world.look(20)
    assert world.shown == "watching"


def test_without_a_gateway_nobody_has_to_be_drained():
    rules, world = Care(), World()
    state = decide(CareState(), msgspec_free(world.signs(), gateway=False, intent=None), rules, now=world.now)[0]
    world.well = False
    act = None
    for _ in range(60):
        world.now += LOOK
        state, act = decide(state, msgspec_free(world.signs(), gateway=False, intent=None), rules, now=world.now)
        if act:
            break
    assert act
    assert act.do is Do.END


def test_a_step_of_the_clock_makes_nothing_ripe():
    world = World()
    world.look(5)
    world.well = False
    world.look(3)
    world.now += 100_000
    world.look(3)
    assert world.acts == []


class CareMachine(RuleBasedStateMachine):
    """Anything may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(times=st.integers(1, 60))
    def time_passes(self, times: int) -> None:
        self.world.look(times)

    @rule(well=st.booleans(), deaf=st.booleans())
    def it_falls_ill_or_gets_well(self, well: bool, deaf: bool) -> None:
        self.world.well, self.world.deaf = well, deaf

    @rule(size=st.sampled_from([5 * GIB, 30 * GIB]), in_flight=st.integers(0, 2))
    def it_grows_and_works(self, size: int, in_flight: int) -> None:
        self.world.size, self.world.in_flight = size, in_flight

    @rule(running=st.booleans())
    def it_stops_or_comes_back(self, running: bool) -> None:
        if running and not self.world.running:
            self.world.starts_again()
        self.world.running = running

    @rule(intent=st.sampled_from([Intent.SERVING, Intent.DRAINING]))
    def an_operator_wants(self, intent: Intent) -> None:
        self.world.ask(intent, "ann")

    @rule(answers=st.booleans())
    def the_gateway_comes_and_goes(self, answers: bool) -> None:
        self.world.gateway_answers = answers

    @rule(panic=st.booleans())
    def it_reboots(self, panic: bool) -> None:
        self.world.reboots(panic=panic)

    @rule(seconds=st.sampled_from([-7200.0, 60.0, 3600.0, 86400.0]))
    def the_clock_steps_or_it_sleeps(self, seconds: float) -> None:
        self.world.now += seconds

    @rule()
    @precondition(lambda self: self.world.now > NOON)
    def the_agent_forgets(self) -> None:
        self.world.state = msgspec.structs.replace(CareState(), restarts=self.world.state.restarts)

    @invariant()
    def an_operators_drain_is_never_ended(self) -> None:
        for _, act, whose in self.world.acts:
            assert act.do is not Do.FREE or whose == "" or whose.startswith("agent:")

    @invariant()
    def at_most_three_restarts_within_an_hour(self) -> None:
        assert len(self.world.state.restarts) <= self.world.rules.most_restarts

    def teardown(self) -> None:
        """In a world that behaves, care comes to rest, and leaves no drain of its own but a quarantine's."""
        world = self.world
        world.gateway_answers, world.deaf, world.in_flight, world.size = True, False, 0, 5 * GIB
        world.rules = msgspec.structs.replace(world.rules, refresh_seconds=None)
        world.starts_again()
        world.look(1600)
        assert world.shown in ("watching", "quarantined")
        by = world.wishes["chat"].by if "chat" in world.wishes else ""
        assert not by.startswith("agent:") or world.state.phase is Phase.QUARANTINED


CareMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestCareMachine = CareMachine.TestCase
