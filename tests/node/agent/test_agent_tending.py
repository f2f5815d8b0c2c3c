"""The agent and its own gateway: pace, probes that live traffic spares, golden answers, quarantine, cures."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from fleet.node.agent.baseline import Key, Usual
from fleet.node.agent.baselinefile import BaselineFile
from fleet.node.agent.carefile import CareFile
from fleet.node.agent.carer import Carer
from fleet.node.agent.carestate import CareState, Phase
from fleet.node.agent.goldens import text_of
from fleet.node.agent.history import History
from fleet.node.agent.processes import ProcessReading
from fleet.node.agent.workingset import SCRIPT, size_of
from fleet.testing.admindoor import admin_door
from fleet.testing.clock import FakeClock
from fleet.testing.mac import FakeMac
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.agent import AgentService, AgentSidecar, Care, Golden
from fleet.vocabulary.contracts.gateway_admin import PaceRow
from fleet.vocabulary.contracts.snapshot import Memory, ServiceReading, SidecarReading, Snapshot
from fleet.vocabulary.names import Intent
from fleet.vocabulary.units import GIB

GOLDEN = Golden(prompt="a long prompt", answer="forty-two", every_seconds=0.1)


class Model(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        self.answer(b"{}")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        said = self.server.says if asked["max_tokens"] > 1 else "x"
        self.answer(json.dumps({"choices": [{"message": {"content": said}}]}).encode())

    def answer(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def model():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    server.daemon_threads = True
    server.asked, server.says = [], "forty-two\n"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def door():
    with admin_door("a-token") as door:
        yield door


def a_sidecar(port: int, **changes) -> AgentSidecar:
    return AgentSidecar(**{"name": "sidecar.chat", "model": "smollm2", "serves": "smollm2", "port": port, **changes})


def car_of(agent, done):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        reading = agent.snapshot()["sidecars"][0]
        if done(reading):
            return reading
        time.sleep(0.02)
    raise AssertionError(f"never: {reading}")


def rows(speed: float) -> tuple[PaceRow, ...]:
    return (PaceRow(at_once=1, answers=3, tokens=1000, seconds=1000 / speed, first_token_seconds=0.4),)


def learn(folder: Path, speed: float) -> None:
    """Let the agent that starts in this folder know what is usual."""
    history = History(folder / "history.sqlite3", SystemClock(), node="mini-1", pace_seconds=5)
    usual = Usual(tokens_per_second=speed, first_token_seconds=0.3, best=speed)
    key = Key(model="smollm2", os="26.5.1", engine="mlx_lm", at_once=1)
    assert BaselineFile(history).save({key: usual})
    history.close()


def test_the_pace_of_live_answers_is_compared_with_what_is_usual(start, model, door, tmp_path):
    learn(tmp_path, 40.0)
    door.pace("chat", model.server_port, rows=rows(10.0), in_flight=2, answered_seconds_ago=1.0)
    agent = start(sidecars=(a_sidecar(model.server_port),), gateway_admin_port=door.port)
    reading = car_of(agent, lambda reading: reading["pace_ratio"])
    assert reading["pace_ratio"] == pytest.approx(0.25)
    assert reading["decode_tokens_per_second"] == pytest.approx(10.0)
    assert reading["baseline_tokens_per_second"] == pytest.approx(40.0)
    assert reading["first_token_seconds"] == pytest.approx(0.4)
    assert reading["baseline_first_token_seconds"] == pytest.approx(0.3)
    assert reading["in_flight"] == 2
    assert abs(reading["served_at_seconds"] - (time.time() - 1)) < 60


def test_what_is_usual_is_learned_from_each_window_once_and_kept_when_the_agent_ends(start, model, door, tmp_path):
    door.window_seconds = 0.01
    door.pace("chat", model.server_port, rows=rows(50.0))
    agent = start(sidecars=(a_sidecar(model.server_port),), gateway_admin_port=door.port)
    assert car_of(agent, lambda reading: reading["pace_ratio"])["pace_ratio"] == pytest.approx(1.0)
    agent.agent.stop()
    history = History(tmp_path / "history.sqlite3", FakeClock(), node="mini-1", pace_seconds=5)
    deadline = time.monotonic() + 10
    while not (found := BaselineFile(history).load()) and time.monotonic() < deadline:
        time.sleep(0.05)
    history.close()
    assert [round(usual.tokens_per_second) for usual in found.values()] == [50]


def test_a_node_under_pressure_teaches_nothing(start, model, door):
    door.window_seconds = 0.01
    door.pace("chat", model.server_port, rows=rows(50.0))
    mac = FakeMac(memory_reading=Memory(total_bytes=16 * GIB, pressure_level=4))
    agent = start(mac, sidecars=(a_sidecar(model.server_port),), gateway_admin_port=door.port)
    ticks = iter(range(12))
    reading = car_of(agent, lambda reading: reading["decode_tokens_per_second"] and next(ticks) > 10)
    assert reading["pace_ratio"] is None


def test_live_traffic_spares_the_probe(start, model, door):
    door.pace("chat", model.server_port, answered_seconds_ago=0.01)
    agent = start(
        sidecars=(a_sidecar(model.server_port),), gateway_admin_port=door.port, fast_seconds=0.05, slow_seconds=0.06
    )
    car_of(agent, lambda reading: reading["ready"] and reading["served_at_seconds"])
    model.asked.clear()
    looks = iter(range(20))
    car_of(agent, lambda reading: next(looks) > 15)
    assert model.asked == []
    door.pace("chat", model.server_port, answered_seconds_ago=100.0)
    deadline = time.monotonic() + 10
    while not model.asked and time.monotonic() < deadline:
        time.sleep(0.02)
    assert model.asked


def test_a_gateway_that_refuses_our_key_is_told_and_one_that_is_gone_is_not(start, model, door):
    door.refuses = 403
    agent = start(sidecars=(a_sidecar(model.server_port),), gateway_admin_port=door.port)

    def problem():
        return next((one["problem"] for one in agent.snapshot()["collectors"] if one["name"] == "gateway"), None)

    deadline = time.monotonic() + 10
    while not problem() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "refuses the agent's key (403)" in problem()
    door.refuses = 404
    while problem() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert problem() is None
    door.refuses, door.garbage = None, True
    while not problem() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "cannot be read" in problem()


def test_the_golden_answer_is_compared_and_a_wrong_one_is_seen(start, model):
    agent = start(sidecars=(a_sidecar(model.server_port, golden=GOLDEN),))
    reading = car_of(agent, lambda reading: reading["golden_ok"] is not None)
    assert reading["golden_ok"] is True
    assert reading["golden_seconds"] >= 0
    model.says = "wrong"
    car_of(agent, lambda reading: reading["golden_ok"] is False)
    asked = next(one for one in model.asked if one["max_tokens"] == 32)
    assert (asked["temperature"], asked["stream"], asked["messages"][0]["content"]) == (0.0, False, "a long prompt")
    assert "stream_options" not in asked


def test_no_golden_prompt_is_asked_while_something_runs(start, model, door):
    door.pace("chat", model.server_port, in_flight=1)
    agent = start(sidecars=(a_sidecar(model.server_port, golden=GOLDEN),), gateway_admin_port=door.port)
    looks = iter(range(30))
    car_of(agent, lambda reading: reading["ready"] and reading["in_flight"] == 1 and next(looks) > 15)
    assert [one for one in model.asked if one["max_tokens"] > 1] == []
    door.pace("chat", model.server_port, in_flight=0)
    car_of(agent, lambda reading: reading["golden_ok"])


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": 1}}]}'])
def test_what_is_no_completion_is_no_answer(body):
    assert text_of(body) is None


def test_a_quarantined_model_is_drained_again_and_not_even_probed(start, model, door, tmp_path):
    state = CareState(phase=Phase.QUARANTINED, reason="quarantined: the kernel panicked 2 times", since_seconds=1.0)
    CareFile(tmp_path / "care.json").save({"sidecar.chat": state})
    door.pace("chat", model.server_port)
    agent = start(sidecars=(a_sidecar(model.server_port),), gateway_admin_port=door.port)
    reading = car_of(agent, lambda reading: door.wishes and reading["live"])
    assert reading["care"]["state"] == "quarantined"
    assert door.wishes["chat"].by.startswith("agent: quarantined")
    assert model.asked == []
    ticks = iter(range(10))
    car_of(agent, lambda _: next(ticks) > 5)
    door.want(Intent.SERVING, by="ann")
    car_of(agent, lambda reading: reading["care"]["state"] == "watching" and reading["ready"])
    assert door.wishes == {}


# --- the doing, on a fake clock ---------------------------------------------------------------------------------------


class Table:
    """Processes by pid."""

    def __init__(self, **starts: float) -> None:
        self.starts = {int(pid.removeprefix("p")): at for pid, at in starts.items()}

    def read(self, pid):
        at = self.starts.get(pid)
        return None if at is None else ProcessReading(started_at_seconds=at)

    def keep(self, pids):
        pass


class NoDoor:
    """A node without a gateway."""

    there = False

    def pace(self, port):
        return None


def a_carer(folder: Path, clock: FakeClock, table: Table, killed: list, **care) -> Carer:
    return Carer(
        clock,
        (AgentSidecar(name="sidecar.chat", model="m", port=1, care=Care(**care)),),
        node="mini-1",
        door=NoDoor(),
        file=CareFile(folder / "care.json"),
        processes=table,
        doubt=lambda name: None,
        log=lambda text: None,
        kill=lambda pid, number: killed.append((pid, number)),
    )


def seen(clock: FakeClock, *, ready: bool, started: float) -> Snapshot:
    at = clock.now().timestamp()
    return Snapshot(
        node="mini-1",
        at_seconds=at,
        agent_version="1",
        readings="macos",
        services=(
            ServiceReading(
                name="sidecar.chat",
                label="l",
                up=True,
                pid=71,
                started_at_seconds=started,
            ),
        ),
        sidecars=(
            SidecarReading(name="sidecar.chat", model="m", port=1, live=True, ready=ready, probed_at_seconds=at),
        ),
    )


def looked(carer: Carer, clock: FakeClock, times: int, *, started: float) -> None:
    for index in range(times):
        clock.advance(5)
        carer.look(seen(clock, ready=index == 0, started=started))


def test_only_the_process_that_was_seen_is_ended(tmp_path):
    clock, killed = FakeClock(), []
    started = clock.now().timestamp() - 1000
    looked(a_carer(tmp_path, clock, Table(p71=started), killed), clock, 30, started=started)
    assert killed[0][0] == 71
    killed.clear()
    clock, other = FakeClock(), tmp_path / "other"
    other.mkdir()
    looked(a_carer(other, clock, Table(p71=started + 500), killed), clock, 30, started=started)
    assert killed == []


def test_what_is_decided_is_on_disk_before_it_is_done(tmp_path):
    clock, table, killed = FakeClock(), Table(), []
    started = clock.now().timestamp() - 1000
    table.starts[71] = started
    found: list = []
    carer = a_carer(tmp_path, clock, table, killed)
    carer._kill = lambda pid, number: found.append(CareFile(tmp_path / "care.json").load()["sidecar.chat"])
    looked(carer, clock, 27, started=started)
    assert found
    assert found[0].phase is Phase.RESTARTING
    again = a_carer(tmp_path, clock, table, killed)
    looked(again, clock, 2, started=started)
    assert killed, "an agent that came back goes on"


def test_a_process_that_may_not_be_ended_and_a_disk_that_is_full_are_told(tmp_path):
    clock = FakeClock()
    started = clock.now().timestamp() - 1000
    carer = a_carer(tmp_path / "missing", clock, Table(p71=started), [])
    looked(carer, clock, 27, started=started)
    assert "cannot be written" in carer.problem

    def refuse(pid, number):
        raise PermissionError(1, "Operation not permitted")

    carer = a_carer(tmp_path, clock, Table(p71=started), [])
    carer._kill = refuse
    looked(carer, clock, 30, started=started)
    assert "process 71 cannot be ended: Operation not permitted" in carer.problem


@pytest.mark.parametrize("content", [b"", b"{", b"[[[", b'{"schema": 9}', b'{"sidecars": {"a": 1}}', b"\xff"])
def test_a_damaged_memory_is_no_memory(tmp_path, content):
    (tmp_path / "care.json").write_bytes(content)
    assert CareFile(tmp_path / "care.json").load() == {}


# --- cures and Metal --------------------------------------------------------------------------------------------------


def tool(folder: Path, name: str, body: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("fleet.node.agent.cures.PENDED_SECONDS", 0.1)
    monkeypatch.setattr("fleet.node.agent.cures.LOST_SECONDS", 0.1)


def test_a_start_that_launchd_puts_off_is_asked_for_by_the_helper_and_read_back(start, tmp_path, impatient):
    state = tmp_path / "state"
    label = "org.fleet-macs.sidecar.chat"
    state.write_text(f"system/{label} = {{\n\tstate = not running\n\tpended nondemand spawn = inefficient\n}}\n")
    helper = tool(tmp_path, "helper", f'echo "$*" >>{tmp_path}/asked; sed -i s/pended.*/pid\\ =\\ 1/ {state}; '
                  f'sed -i "s/not running/running/" {state}')  # fmt: skip
    agent = start(
        services=(AgentService(name="sidecar.chat", label=label),),
        launchctl=tool(tmp_path, "launchctl", f"cat {state}"),
        helper=(helper, "start"),
    )
    deadline = time.monotonic() + 10
    while not agent.snapshot()["services"][0]["up"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert agent.snapshot()["services"][0]["up"] is True
    assert (tmp_path / "asked").read_text() == f"start {label}\n"


def test_a_lost_wired_limit_is_put_back_by_the_job_that_sets_it_and_a_helper_that_fails_is_told(
    start, tmp_path, impatient
):
    mac = FakeMac(memory_reading=Memory(total_bytes=16 * GIB))
    helper = tool(tmp_path, "helper", f'echo "$*" >>{tmp_path}/asked; exit 64')
    agent = start(mac, wired_limit_bytes=12 * GIB, wired_limit_job="org.fleet-macs.sysctl", helper=(helper, "start"))

    def cures():
        return next((one for one in agent.snapshot()["collectors"] if one["name"] == "cures"), {"problem": None})

    deadline = time.monotonic() + 10
    while not cures()["problem"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "fleet adopt renews the helper" in cures()["problem"]
    assert (tmp_path / "asked").read_text() == "start org.fleet-macs.sysctl\n", "once a minute, not more"
    assert agent.snapshot()["memory"]["wired_limit_expected_bytes"] == 12 * GIB
    mac.memory_reading = msgspec.structs.replace(mac.memory_reading, wired_limit_bytes=12 * GIB)
    while cures()["problem"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert cures()["problem"] is None


def test_a_recorded_machine_says_what_metal_recommends_and_headroom_follows(start, tmp_path):
    (tmp_path / "metal.txt").write_text("11453251584\n")
    agent = start(FakeMac(), readings=f"file:{tmp_path}")
    deadline = time.monotonic() + 10
    while not agent.snapshot()["memory"]["recommended_working_set_bytes"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert agent.snapshot()["memory"]["recommended_working_set_bytes"] == 11453251584


@pytest.mark.parametrize("text", ["", "nil", "-5", "0", "99999999999999999999", "1.5"])
def test_what_is_no_size_is_unknown(text):
    assert size_of(text) is None


def test_the_script_for_metal_is_python_and_does_nothing_where_there_is_no_metal():
    compile(SCRIPT, "metal", "exec")
