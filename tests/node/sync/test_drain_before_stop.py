"""What a run stops is emptied first, and gets new work again when the run has ended; what others drained stays."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakedoor import FakeDoor
from hypothesis import given
from hypothesis import strategies as st
from sync_kit import Node

from fleet.node.sync.drain import Drains, to_empty
from fleet.node.sync.gatewaydoor import LoopbackDoor, said
from fleet.node.sync.journal import Journal
from fleet.node.sync.problem import Problem
from fleet.vocabulary.contracts.desired import DesiredState, Drain
from fleet.vocabulary.contracts.gateway_admin import IntentRequest
from fleet.vocabulary.contracts.sync import Step
from fleet.vocabulary.names import Intent

CHAT, GATEWAY = "daemon:org.fleet-macs.sidecar.chat", "daemon:org.fleet-macs.gateway"


class Room:
    """A node with a sidecar and a gateway that a run is about to restart."""

    def __init__(self, place: Path) -> None:
        self.node = Node(place)
        self.clock = self.node.clock
        self.began = self.clock.monotonic()
        token = Path(self.node.layout.etc("agent.token"))
        token.parent.mkdir(parents=True)
        token.write_text("the token\n")
        self.door = FakeDoor(now=self.clock.monotonic, runs={"sidecar.chat": [], "": []})
        release = self.node.release()
        for service, sidecar in (("sidecar.chat", "sidecar.chat"), ("gateway", None)):
            release.daemon(service, drain=Drain(admin_port=1, key_file=str(token), sidecar=sidecar, seconds=60))
        self.state: DesiredState = release.state
        Path(self.node.layout.run("run-1")).mkdir()

    def drains(self, run_id: str = "run-1") -> Drains:
        """Of this run, in a process that just began."""
        journal = Journal(self.node.machine, "run-1")
        return Drains(machine=self.node.machine, journal=journal, run_id=run_id, mind=lambda: None, door=self.door)

    def empty(self, *keys: str) -> list[str]:
        drains = self.drains()
        drains.empty([step(key) for key in keys], running=self.state, wanted=self.state)
        return [event.text for event in drains.journal.events]

    def runs_for(self, name: str, *seconds: float) -> None:
        self.door.runs[name] = [self.clock.monotonic() + one for one in seconds]

    @property
    def passed(self) -> float:
        return self.clock.monotonic() - self.began


def step(key: str, action: str = "restart") -> Step:
    return Step(key=key, kind_of="daemon", action=action, task="t")


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_restart_waits_until_nothing_runs_on_the_sidecar(room: Room) -> None:
    room.runs_for("sidecar.chat", 5, 12)
    texts = room.empty(CHAT)
    assert 12 <= room.passed < 14
    assert texts[-1] == "nothing runs on it"
    assert room.door.drained() == {"sidecar.chat": "deploy: run-1"}


def test_all_that_a_run_stops_is_emptied_at_the_same_time(room: Room) -> None:
    room.runs_for("sidecar.chat", 20)
    room.runs_for("", 20)
    room.empty(CHAT, GATEWAY)
    assert 20 <= room.passed < 22
    assert room.door.closed


def test_what_runs_longer_than_it_may_is_told_and_the_run_goes_on(room: Room) -> None:
    room.runs_for("sidecar.chat", 1e6, 1e6)
    texts = room.empty(CHAT)
    assert 60 <= room.passed < 62
    assert texts[-1] == "2 requests still run after 60 s: it is stopped all the same, they end with an error"


def test_a_long_wait_is_heard_of_every_ten_seconds(room: Room) -> None:
    room.runs_for("", 35)
    assert room.empty(GATEWAY).count("1 request still runs") == 4


@pytest.mark.parametrize("action", ["bootstrap", "reload", "cure", "update"])
def test_what_stops_nothing_drains_nothing(room: Room, action: str) -> None:
    assert to_empty([step(CHAT, action)], running=room.state, wanted=room.state) == {}


def test_a_sidecar_that_goes_is_emptied_as_it_was_deployed(room: Room) -> None:
    without = room.node.release().state
    assert list(to_empty([step(CHAT, "bootout")], running=room.state, wanted=without)) == [CHAT]


def test_a_gateway_that_does_not_answer_is_no_reason_to_wait(room: Room) -> None:
    room.door.silent = True
    texts = room.empty(CHAT, GATEWAY)
    assert room.passed == 0
    assert texts[1] == "not drained: its gateway does not answer (connection refused)"


def test_an_older_gateway_has_the_time_of_its_own_stop(room: Room) -> None:
    room.door.older = True
    assert "does not know how" in room.empty(GATEWAY)[-1]


def test_without_the_key_nothing_is_asked(room: Room) -> None:
    Path(room.node.layout.etc("agent.token")).unlink()
    assert "there is no" in room.empty(CHAT)[-1]
    assert not room.door.asked


def test_a_run_that_lost_the_node_stops_waiting(room: Room) -> None:
    def stolen() -> None:
        raise Problem("another run took the node")

    room.runs_for("sidecar.chat", 50)
    drains = Drains(
        machine=room.node.machine, journal=Journal(room.node.machine, "run-1"), run_id="run-1", mind=stolen,
        door=room.door,
    )  # fmt: skip
    with pytest.raises(Problem, match="took the node"):
        drains.empty([step(CHAT)], running=room.state, wanted=room.state)


def test_after_the_gates_only_what_the_run_drained_gets_new_work_again(room: Room) -> None:
    room.door.runs["sidecar.big"] = []
    operator = IntentRequest(intent=Intent.DRAINING, sidecar="sidecar.big", by="ann@laptop")
    room.door.ask(1, "k", "/admin/intent", {"intent": "draining", "sidecar": "sidecar.big", "by": operator.by})
    room.empty(CHAT, GATEWAY)
    room.drains().resume(room.state)
    assert room.door.drained() == {"sidecar.big": "ann@laptop"}
    assert not room.door.closed


def test_what_an_operator_drained_already_is_still_drained_after_the_run(room: Room) -> None:
    room.door.ask(1, "k", "/admin/intent", {"intent": "draining", "sidecar": "sidecar.chat", "by": "ann"})
    room.empty(CHAT)
    room.drains().resume(room.state)
    assert room.door.drained() == {"sidecar.chat": "ann"}


def test_a_process_that_died_while_it_waited_leaves_nothing_drained_behind(room: Room) -> None:
    """Whoever finishes or reverts the run reads in its journal that something was drained."""
    room.runs_for("sidecar.chat", 30)
    first = room.drains()
    first.journal.add("drain", "start", key=CHAT)
    first._close(room.state.daemons[0].drain)  # type: ignore[arg-type]
    assert room.door.drained()
    after = room.drains()
    after.resume(None, room.state)
    assert room.door.drained() == {}
    asked = len(room.door.asked)
    room.drains().resume(room.state)
    assert len(room.door.asked) == asked, "what is resumed is not resumed again"


def test_a_run_that_drained_nothing_asks_nobody(room: Room) -> None:
    room.drains().resume(room.state)
    assert not room.door.asked


def test_a_gateway_that_is_still_coming_up_is_asked_again_and_silence_is_told_with_advice(room: Room) -> None:
    room.empty(CHAT)
    room.door.silent = True
    room.drains().resume(room.state)
    assert 20 <= room.passed < 22
    last = Journal(room.node.machine, "run-1").events[-1]
    assert (last.status, last.detail) == ("note", "hint: fleet resume NODE gives it new work")


@given(st.integers(100, 599), st.binary(max_size=60) | st.sampled_from([b"[1]", b'{"error": 3}', b'{"error": {}}']))
def test_no_answer_however_odd_ends_a_run(status: int, body: bytes) -> None:
    heard = said(status, body)
    assert heard.ok == (status == 200)
    assert heard.why or heard.ok


@pytest.fixture
def listener() -> Iterator[tuple[int, list[tuple[str, str, str]]]]:
    heard: list[tuple[str, str, str]] = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            heard.append((self.path, self.headers["Authorization"], self.rfile.read(size).decode()))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"in_flight": 2}')

    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port, heard
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_real_door_is_asked_on_loopback_with_the_nodes_key(listener: tuple[int, list[tuple[str, str, str]]]) -> None:
    port, heard = listener
    answer = LoopbackDoor().ask(port, "k", "/admin/door", {"intent": "draining"})
    assert (answer.ok, answer.data) == (True, {"in_flight": 2})
    assert heard == [("/admin/door", "Bearer k", '{"intent": "draining"}')]


def test_a_port_where_nobody_listens_is_an_answer_too() -> None:
    assert LoopbackDoor().ask(9, "k", "/admin/door").status is None
