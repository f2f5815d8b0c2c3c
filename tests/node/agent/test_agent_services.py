"""Services: launchd's words become readings, and nothing is forked while all is well."""

import os
import selectors
import sys
import time

import psutil
import pytest

from fleet.node.agent.commands import Commands, Output
from fleet.node.agent.parts import NEVER
from fleet.node.agent.processes import Processes
from fleet.node.agent.services import Services, reading_of
from fleet.testing.clock import FakeClock
from fleet.testing.mac import FakeMac
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.agent import AgentService
from fleet.vocabulary.units import MIB

AGENT = AgentService(name="agent", label="org.fleet-macs.agent")
RUNNING = "system/org.fleet-macs.agent = {\n\tstate = running\n\truns = 1\n\tpid = 4242\n}\n"
NOBODY = 2**22 + 1
"""A pid above the largest of both systems."""
SCHEDULED = "system/x = {\n\tstate = spawn scheduled\n\truns = 7\n\tlast exit code = 78: EX_CONFIG\n}\n"


class FakeCommands:
    """Answers every command with `text`, at once or when told."""

    def __init__(self, text: str = RUNNING) -> None:
        self.text, self.exit_code = text, 0
        self.ran: list[str] = []

    def run(self, argv, then) -> None:
        self.ran.append(argv.text)
        then(Output(exit_code=self.exit_code, text=self.text))


def a_watch(commands: FakeCommands, gone=lambda pid: False, mac=None, clock=None, processes=None) -> Services:
    return Services(
        commands,
        mac or FakeMac(),
        clock or FakeClock(),
        [AGENT],
        launchctl="/bin/launchctl",
        domain="system",
        changed=lambda: None,
        gone=gone,
        processes=processes,
    )


def test_a_running_job_is_up():
    reading = reading_of(AGENT, Output(exit_code=0, text=RUNNING))
    assert (reading.up, reading.pid, reading.runs) == (True, 4242, 1)


def test_a_job_in_its_throttle_window_is_down_with_its_reason():
    reading = reading_of(AGENT, Output(exit_code=0, text=SCHEDULED))
    assert (reading.up, reading.runs, reading.last_exit) == (False, 7, "78: EX_CONFIG")


def test_a_job_that_is_not_loaded_is_down():
    assert reading_of(AGENT, Output(exit_code=113, text="")).up is False


@pytest.mark.parametrize(
    "output", [Output(exit_code=0, text="?"), Output(exit_code=None, text=""), Output(exit_code=112, text="")]
)
def test_what_cannot_be_read_is_unknown_and_not_down(output):
    assert reading_of(AGENT, output).up is None


def test_the_fast_tier_asks_launchd_nothing_while_the_process_lives():
    commands = FakeCommands()
    services = a_watch(commands)
    services.slow()
    for _ in range(5):
        services.fast()
    assert commands.ran == ["/bin/launchctl print system/org.fleet-macs.agent"]


def test_a_process_that_is_gone_is_asked_about_as_soon_as_the_fast_tick_is_over():
    commands, clock = FakeCommands(), FakeClock()
    gone = set()
    services = a_watch(commands, gone=gone.__contains__, clock=clock)
    services.slow()
    gone.add(4242)
    commands.text = SCHEDULED
    services.fast()
    assert len(commands.ran) == 1, "nothing forks within the fast tick"
    assert services.next_at() <= clock.monotonic()
    services.wake(clock.monotonic())
    assert services.readings[0].up is False
    assert len(commands.ran) > 1


def test_a_job_that_stays_down_is_not_asked_about_for_ever():
    commands, clock = FakeCommands(SCHEDULED), FakeClock()
    services = a_watch(commands, clock=clock)
    while services.next_at() < NEVER:
        clock.advance(services.next_at() - clock.monotonic())
        services.wake(clock.monotonic())
    assert len(commands.ran) == 60
    services.fast()
    assert len(commands.ran) == 60


def test_a_job_that_is_bootstrapped_after_the_agent_looked_shows_a_second_later():
    commands, clock = FakeCommands(""), FakeClock()
    commands.exit_code = 113
    services = a_watch(commands, clock=clock)
    services.slow()
    services.wake(clock.monotonic())
    assert services.readings[0].up is False
    commands.text, commands.exit_code = RUNNING, 0
    assert services.next_at() - clock.monotonic() == 1.0
    clock.advance(1.0)
    services.wake(clock.monotonic())
    assert services.readings[0].up is True
    assert services.next_at() == NEVER


def own(pid: int) -> str:
    return RUNNING.replace("4242", str(pid))


@pytest.mark.parametrize("processes", [None, Processes()], ids=["by this system", "by psutil"])
def test_a_service_is_measured_and_its_footprint_by_the_reader(processes):
    pid = os.getpid()
    services = a_watch(FakeCommands(own(pid)), mac=FakeMac(footprints={pid: 900}), processes=processes)
    services.slow()
    reading = services.readings[0]
    assert reading.started_at_seconds == psutil.Process().create_time()
    assert reading.resident_bytes > MIB
    assert reading.footprint_bytes == 900


def test_a_job_that_came_back_keeps_nothing_of_its_former_process():
    commands = FakeCommands(own(os.getpid()))
    services = a_watch(commands)
    services.slow()
    commands.text = own(NOBODY)
    services.slow()
    reading = services.readings[0]
    assert (reading.pid, reading.started_at_seconds, reading.resident_bytes) == (NOBODY, None, None)


def test_a_footprint_that_cannot_be_read_fails_alone():
    services = a_watch(FakeCommands(own(os.getpid())), mac=FakeMac(broken={"footprint": "no"}))
    services.slow()
    assert services.readings[0].resident_bytes
    assert services.readings[0].footprint_bytes is None
    assert {item.name: item.problem for item in services.collectors if item.tier == "fast"} == {
        "processes": None,
        "footprint": "no",
    }


def test_a_launchctl_that_fails_is_a_collector_that_fails_and_no_service_that_is_down():
    commands = FakeCommands("")
    commands.exit_code = 125
    services = a_watch(commands)
    services.slow()
    assert services.readings[0].up is None
    launchd = next(item for item in services.collectors if item.name == "launchd")
    assert (launchd.ok, launchd.tier, launchd.problem) == (False, "slow", "launchctl ended with 125")
    commands.exit_code = 113
    services.slow()
    assert next(item for item in services.collectors if item.name == "launchd").ok


def test_without_psutil_the_footprint_is_still_known(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    pid = os.getpid()
    services = a_watch(FakeCommands(own(pid)), mac=FakeMac(footprints={pid: 900}), processes=Processes())
    services.slow()
    reading = services.readings[0]
    assert (reading.up, reading.resident_bytes, reading.footprint_bytes) == (True, None, 900)
    assert [item.name for item in services.collectors if not item.ok] == ["processes"]


def run_until(commands: Commands, selector, done) -> None:
    """As the agent's loop: nothing is woken before it asked for it."""
    deadline = time.monotonic() + 10
    while not done() and time.monotonic() < deadline:
        for key, events in selector.select(max(0.0, min(commands.next_at() - time.monotonic(), 1.0))):
            key.data(events)
        if commands.next_at() <= (now := time.monotonic()):
            commands.wake(now)


def test_commands_run_one_after_the_other_and_are_reaped():
    selector, outputs = selectors.DefaultSelector(), []
    commands = Commands(selector, SystemClock())
    commands.run(Argv.of(sys.executable, "-c", "print('one')"), outputs.append)
    commands.run(Argv.of("/nonexistent/launchctl"), outputs.append)
    commands.run(Argv.of(sys.executable, "-c", "raise SystemExit(3)"), outputs.append)
    run_until(commands, selector, lambda: len(outputs) == 3)
    assert [(output.exit_code, output.text) for output in outputs] == [(0, "one\n"), (None, ""), (3, "")]


def test_a_command_that_hangs_is_killed_at_its_deadline():
    selector, outputs = selectors.DefaultSelector(), []
    commands = Commands(selector, SystemClock(), deadline_seconds=0.1)
    commands.run(Argv.of(sys.executable, "-c", "import time; time.sleep(60)"), outputs.append)
    run_until(commands, selector, lambda: bool(outputs))
    assert outputs[0].exit_code is None
    assert outputs[0].problem == "no end within 0.1 s"


def test_a_command_that_closes_its_output_before_it_ends_is_reaped_when_it_ends():
    selector, outputs = selectors.DefaultSelector(), []
    commands = Commands(selector, SystemClock(), deadline_seconds=60.0)
    commands.run(Argv.of("/bin/sh", "-c", "echo one; exec >&-; sleep 0.2; exit 3"), outputs.append)
    run_until(commands, selector, lambda: bool(outputs))
    assert [(output.exit_code, output.text) for output in outputs] == [(3, "one\n")]


def test_a_clock_that_nobody_winds_starts_nothing():
    assert Commands(selectors.DefaultSelector(), FakeClock()).next_at() == float("inf")


def test_one_whose_process_is_gone_is_due_in_the_round_that_found_it_and_only_there():
    commands, clock = FakeCommands(), SystemClock()
    services = a_watch(commands, gone=lambda pid: True, clock=clock)
    services.slow()
    begun = clock.monotonic()
    services.fast()
    assert services.next_at() <= begun
    asked = len(commands.ran)
    services.wake(begun)
    assert len(commands.ran) == asked + 1
