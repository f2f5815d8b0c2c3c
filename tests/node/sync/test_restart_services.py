"""Restarting services because somebody asked: emptied, another pid, proved, and nothing stays drained by it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from fakedoor import FakeDoor
from sync_kit import Node, Release, adopted

from fleet.node.sync import releases
from fleet.node.sync.apply import apply
from fleet.node.sync.audit import made_live, read_audit
from fleet.node.sync.frames import Wire
from fleet.node.sync.launchd import Launchd
from fleet.node.sync.pending import hand_over, pending_run
from fleet.node.sync.problem import Problem
from fleet.node.sync.restart import chosen
from fleet.node.sync.session import Session
from fleet.testing.launchd import Crash, FaultyDisk, Fuse
from fleet.vocabulary.contracts.codec import canonical
from fleet.vocabulary.contracts.desired import Drain, PortGate
from fleet.vocabulary.contracts.questions import ReadAudit, Restart
from fleet.vocabulary.contracts.sync import RunRequest

CHAT, BIG, GATEWAY, AGENT = ("sidecar.chat", "sidecar.big", "gateway", "agent")
OPERATORS = {BIG: "ann@laptop"}


def release_of(node: Node) -> Release:
    token = node.layout.etc("agent.token")
    release = node.release().directory(f"{node.layout.root}/etc").file(token, "the token\n", mode=0o600)
    for service in (CHAT, BIG, GATEWAY):
        sidecar = None if service == GATEWAY else service
        release.daemon(service, drain=Drain(admin_port=1, key_file=token, sidecar=sidecar, seconds=60))
    return release.daemon(AGENT).daemon("weekly", on_demand=True)


class Room:
    """A deployed node with requests on one sidecar, the other one drained by an operator."""

    def __init__(self, place: Path, node: Node | None = None) -> None:
        self.node = node or Node(place)
        self.door = FakeDoor(now=self.node.clock.monotonic, runs={CHAT: [], BIG: [], "": []})
        self.release = release_of(self.node)
        assert self.node.deploy(self.release) == "committed"
        self.door.ask(1, "k", "/admin/intent", {"intent": "draining", "sidecar": BIG, "by": OPERATORS[BIG]})
        self.door.runs[CHAT] = [self.node.clock.monotonic() + 30]
        self.door.asked.clear()

    def pids(self) -> dict[str, int | None]:
        launchd = Launchd(machine=self.node.machine)
        found = {name: launchd.print(self.node.layout.label(name)) for name in (CHAT, BIG, GATEWAY, AGENT)}
        return {name: None if printed is None else printed.pid for name, printed in found.items()}

    def ask(self, *services: str, **fields: object) -> None:
        state_id = self.release.state.state_id
        self.node._runs += 1
        request = RunRequest(
            run_id=f"run-{self.node._runs}", state_id=state_id, previous=state_id, boot_id="b", action="restart",
            requested_at_seconds=self.node.clock.now().timestamp(), operator="bob",
            restart=tuple(self.node.layout.label(name) for name in services),
        )  # fmt: skip
        hand_over(self.node.machine, replace(request, **fields))  # type: ignore[arg-type]

    def restart(self, *services: str, **fields: object) -> str | None:
        self.ask(*services, **fields)
        return apply(self.node.machine, door=self.door)

    def changed(self, before: dict[str, int | None]) -> set[str]:
        return {name for name, pid in self.pids().items() if pid != before[name]}


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


@pytest.mark.parametrize(
    ("words", "found"),
    [((), [CHAT, BIG]), ((AGENT,), [AGENT]), (("chat",), [CHAT]), ((GATEWAY, "sidecar.big"), [BIG, GATEWAY])],
)
def test_words_mean_services_and_no_word_every_sidecar(room: Room, words: tuple[str, ...], found: list[str]) -> None:
    assert [daemon.service for daemon in chosen(room.release.state, words)] == found


@pytest.mark.parametrize("word", ["nobody", "weekly", "", "sidecar."])
def test_a_word_for_nothing_that_runs_is_refused_with_those_that_there_are(room: Room, word: str) -> None:
    with pytest.raises(Problem, match="there is no service") as refused:
        chosen(room.release.state, (word,))
    assert refused.value.hint == "services of this node: sidecar.chat, sidecar.big, gateway, agent"


def test_without_a_sidecar_nothing_is_meant_by_no_word(room: Room) -> None:
    with pytest.raises(Problem, match="no sidecar runs here"):
        chosen(room.node.release().daemon(AGENT).state, ())


def test_it_is_emptied_gets_another_pid_and_work_again_and_nothing_else_is_touched(room: Room) -> None:
    before, began = room.pids(), room.node.clock.monotonic()
    assert room.restart(CHAT) == "committed"
    assert room.changed(before) == {CHAT}
    assert room.node.clock.monotonic() - began >= 30
    events = [(event.phase, event.status) for event in room.node.events()]
    order = [events.index(one) for one in (("drain", "ok"), ("step", "start"), ("step", "ok"), ("gate", "ok"))]
    assert order == sorted(order)
    assert events[-2:] == [("resume", "ok"), ("end", "ok")]
    told = next(event.text for event in room.node.events() if (event.phase, event.status) == ("step", "ok"))
    assert told == f"restart · pid {room.pids()[CHAT]}, it was {before[CHAT]}"
    assert room.door.drained() == OPERATORS


def test_what_an_operator_drained_is_restarted_and_stays_drained(room: Room) -> None:
    before = room.pids()
    assert room.restart(CHAT, BIG) == "committed"
    assert room.changed(before) == {CHAT, BIG}
    assert room.door.drained() == OPERATORS


def test_an_agent_is_restarted_without_a_word_to_the_gateway(room: Room) -> None:
    before = room.pids()
    assert room.restart(AGENT) == "committed"
    assert room.changed(before) == {AGENT}
    assert not room.door.asked


def test_a_gateway_closes_its_door_before_and_opens_it_after(room: Room) -> None:
    before = room.pids()
    assert room.restart(GATEWAY) == "committed"
    assert room.changed(before) == {GATEWAY}
    assert room.door.asked[0] == ("door", "draining")
    assert not room.door.closed


def test_what_still_runs_after_its_time_is_not_cut_unless_that_was_asked_for(room: Room) -> None:
    before = room.pids()
    room.door.runs[CHAT] = [room.node.clock.monotonic() + 1e6]
    assert room.restart(CHAT, drain_seconds=5.0) == "failed"
    assert room.changed(before) == set()
    assert room.node.end().text == "1 request still runs: nothing was stopped"
    assert room.door.drained() == OPERATORS
    assert room.restart(CHAT, drain_seconds=5.0, force=True) == "committed"
    assert room.changed(before) == {CHAT}


def test_a_gateway_that_does_not_answer_is_no_reason_not_to_restart(room: Room) -> None:
    before = room.pids()
    room.door.silent = True
    assert room.restart(GATEWAY) == "committed"
    assert room.changed(before) == {GATEWAY}


def test_a_gate_that_fails_is_told_and_the_sidecar_is_not_left_drained(room: Room) -> None:
    label = room.node.layout.label("sidecar.more")
    room.release.daemon("sidecar.more", ports=(8800,))
    room.release.gates.append(PortGate(label=label, port=8800, within_seconds=3.0))
    assert room.node.deploy(room.release) == "committed"
    live = releases.current_id(room.node.machine)
    room.node.mac.ports[label] = []
    assert room.restart(CHAT, "sidecar.more") == "failed"
    assert room.node.end().text.startswith("nothing listens on port 8800; org.fleet-macs.sidecar.more: ")
    assert room.door.drained() == OPERATORS
    assert releases.why_bad(room.node.machine, live or "") is None, "the release is not to blame"
    assert releases.current_id(room.node.machine) == live
    assert room.restart(BIG) == "committed", "gates of others are not asked"


def test_a_job_that_launchd_does_not_know_is_left_to_a_deploy(room: Room) -> None:
    del room.node.mac.jobs[room.node.layout.label(CHAT)]
    assert room.restart(CHAT) == "failed"
    assert "is not registered" in room.node.end().text
    assert room.door.drained() == OPERATORS


def test_killed_anywhere_and_started_again_all_runs_and_nothing_stays_drained_by_it(tmp_path: Path) -> None:
    whole = False
    for after in range(0, 10_000, 5):
        place = tmp_path / f"{after}"
        place.mkdir()
        room = Room(place)
        room.ask(CHAT, GATEWAY)
        try:
            apply(replace(room.node.machine, disk=FaultyDisk(Fuse(left=after))), door=room.door)
            whole = True
        except Crash:
            pass
        if pending_run(room.node.machine) is not None:
            apply(room.node.machine, door=room.door)
        assert (room.door.drained(), room.door.closed) == (OPERATORS, False), after
        assert None not in room.pids().values(), after
        assert pending_run(room.node.machine) is None
        assert apply(room.node.machine, door=room.door) is None
        if whole:
            break
    assert whole


def test_a_laptop_hears_the_run_and_the_audit_has_it_under_its_own_name(tmp_path: Path) -> None:
    node = adopted(tmp_path)
    room = Room(tmp_path, node)
    before, live = room.pids(), made_live(node.machine)
    said = io.BytesIO()
    text = canonical(Restart(services=(AGENT,), operator="bob@laptop"))
    wire = Wire(io.BytesIO(b"%d\n%b\n" % (len(text), text)), said)
    assert Session(machine=node.machine, wire=wire, state_id="-", run_id="r9").run() == 0
    assert room.changed(before) == {AGENT}
    assert b'"outcome":"committed"' in said.getvalue()
    last = read_audit(node.machine, ReadAudit()).lines[-1]
    assert (last.action, last.outcome, last.operator, last.run_id) == ("restart", "committed", "bob@laptop", "r9")
    assert last.before == last.after == releases.current_id(node.machine)
    assert made_live(node.machine) == live


def test_an_unknown_service_is_refused_and_the_node_is_free_again(tmp_path: Path) -> None:
    node = adopted(tmp_path)
    room = Room(tmp_path, node)
    said = io.BytesIO()
    text = canonical(Restart(services=("nobody",)))
    wire = Wire(io.BytesIO(b"%d\n%b\n" % (len(text), text)), said)
    assert Session(machine=node.machine, wire=wire, state_id="-", run_id="r9").run() == 1
    assert b"there is no service 'nobody' here" in said.getvalue()
    assert pending_run(node.machine) is None
    assert room.restart(CHAT) == "committed"
