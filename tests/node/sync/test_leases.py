"""A node is one run's at a time; it can be taken over; and who lost it touches nothing more."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from sync_kit import USER, Node, Release, adopted
from test_session import a_release, frame, frames, of, parts, talk

from fleet.node.sync import frames as frames_module
from fleet.node.sync import releases
from fleet.node.sync.apply import apply
from fleet.node.sync.frames import Pipe, Wire
from fleet.node.sync.holding import Holding
from fleet.node.sync.leases import Leases, Stolen
from fleet.node.sync.machine import Ran
from fleet.node.sync.pending import hand_over, lock, read_request
from fleet.node.sync.problem import Problem
from fleet.node.sync.session import Session
from fleet.vocabulary.contracts.audit import AuditLine
from fleet.vocabulary.contracts.desired import Command
from fleet.vocabulary.contracts.frames import FromNode
from fleet.vocabulary.contracts.questions import AuditLines, ReadAudit
from fleet.vocabulary.contracts.sync import Bye, Commit, Desired, Done, Failed, Held, Hello, Hold, Observed

ANN = Hold(holder="ann@desk", key_fingerprint="SHA256:ann")
BOB = Hold(holder="bob@home")


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return adopted(tmp_path)


def leases(node: Node) -> Leases:
    return Leases(machine=node.machine)


def test_a_lease_is_busy_to_others_and_comes_back_to_its_own_run(node: Node) -> None:
    first, stolen = leases(node).take("r1", ANN)
    assert stolen is None
    held = leases(node).held()
    assert held is not None
    assert (held.run_id, held.holder, held.expires_in_seconds, held.fence) == ("r1", "ann@desk", 120, first)
    with pytest.raises(Problem) as busy:
        leases(node).take("r2", BOB)
    assert busy.value.code == "busy"
    assert "run r1 of ann@desk has the node since 2026-11-22" in busy.value.detail
    assert "SHA256:ann" in busy.value.detail
    assert "free in 120 s" in busy.value.detail
    assert "--steal" in busy.value.hint
    again, _ = leases(node).take("r1", ANN)
    assert again > first


def test_a_lease_of_a_silent_laptop_runs_out_and_one_that_is_heard_does_not(node: Node) -> None:
    fence, _ = leases(node).take("r1", ANN)
    node.clock.advance(100)
    leases(node).renew(fence)
    node.clock.advance(100)
    assert leases(node).held() is not None
    node.clock.advance(21)
    assert leases(node).held() is None
    later, stolen = leases(node).take("r2", BOB)
    assert (later, stolen) == (fence + 1, None)
    with pytest.raises(Stolen) as lost:
        leases(node).require(fence)
    assert lost.value.title == "bob@home took the node over"
    with pytest.raises(Stolen):
        leases(node).renew(fence)
    leases(node).end(fence)
    assert leases(node).held() is not None


def test_a_restart_makes_a_lease_void_even_when_the_boot_cannot_be_told(node: Node) -> None:
    leases(node).take("r1", ANN)
    node.mac.sysctl["kern.bootsessionuuid"] += "+"
    assert leases(node).held() is None
    leases(node).take("r2", BOB)
    node.clock.elapsed = 3.0
    assert leases(node).held() is None


@pytest.mark.parametrize(("asked", "given"), [(0.0, 5), (-1.0, 5), (1e9, 3600), (60.0, 60)])
def test_no_laptop_may_hold_a_node_for_ever_or_for_no_time(node: Node, asked: float, given: float) -> None:
    leases(node).take("r1", replace(ANN, seconds=asked))
    held = leases(node).held()
    assert held is not None
    assert held.expires_in_seconds == given


def test_the_fence_rises_over_ends_thefts_restarts_and_a_spoilt_record(node: Node) -> None:
    seen = [leases(node).take("r1", ANN)[0]]
    leases(node).end(seen[-1])
    seen.append(leases(node).take("r2", BOB)[0])
    seen.append(leases(node).take("r3", replace(ANN, steal=True))[0])
    node.mac.sysctl["kern.bootsessionuuid"] += "+"
    seen.append(leases(node).take("r4", ANN)[0])
    Path(node.layout.state("lease.json")).write_text("{")
    assert leases(node).held() is None
    seen.append(leases(node).take("r5", ANN)[0])
    assert seen == sorted(set(seen))


def test_a_plan_a_no_op_and_a_hello_take_no_lease(node: Node) -> None:
    release = a_release(node)
    deploy_of(node, release)
    path = Path(node.layout.state("lease.json"))
    before = path.read_bytes()
    talk(node, frame(Desired(state=release.state)) + frame(Bye()))
    said = talk(node, frame(Desired(state=release.state)) + frame(Commit(run_id="r1")))
    assert of(Done, said).outcome == "unchanged"
    assert path.read_bytes() == before


def deploy_of(node: Node, release: Release, run_id: str = "r1", **fields: object) -> list[FromNode]:
    planned = talk(node, frame(Desired(state=release.state)) + frame(Bye()))
    wanted = {missing.digest for missing in of(Observed, planned).missing}
    said = frame(Desired(state=release.state)) + frame(ANN) + parts(release, wanted=wanted)
    return talk(node, said + frame(Commit(run_id=run_id, **fields)), run_id=run_id)  # type: ignore[arg-type]


def test_a_deploy_holds_the_node_and_gives_it_back(node: Node) -> None:
    said = deploy_of(node, a_release(node), operator="ann@desk", git_commit="c0ffee", fleet_version="0.9")
    assert of(Held, said).fence > 0
    assert of(Done, said).outcome == "committed"
    assert leases(node).held() is None
    (hello,) = talk(node, b"")
    assert isinstance(hello, Hello)
    assert (hello.lease, hello.git_commit, hello.live_fleet_version) == (None, "c0ffee", "0.9")


def test_what_a_deploy_expected_to_be_live_must_be(node: Node) -> None:
    said = deploy_of(node, a_release(node), expect_current="f" * 64)
    assert of(Failed, said).code == "moved"
    assert of(Done, deploy_of(node, a_release(node), expect_current="-")).outcome == "committed"
    live = releases.current_id(node.machine)
    assert of(Done, deploy_of(node, a_release(node, "two"), "r2", expect_current=live)).outcome == "committed"


def test_a_session_that_is_left_gives_the_node_back_and_a_killed_one_in_its_time(node: Node) -> None:
    talk(node, frame(Desired(state=a_release(node).state)) + frame(ANN))
    assert leases(node).held() is None
    leases(node).take("r7", ANN)  # whose session was killed
    said = talk(node, frame(Desired(state=a_release(node).state)) + frame(BOB), run_id="r8")
    assert of(Failed, said).code == "busy"
    (hello,) = [each for each in said if isinstance(each, Hello)]
    assert hello.lease is not None
    assert hello.lease.holder == "ann@desk"
    stolen = talk(node, frame(replace(BOB, steal=True)) + frame(Desired(state=a_release(node).state)), run_id="r8")
    assert of(Held, stolen).stolen_from.holder == "ann@desk"
    assert of(Observed, stolen)
    (line,) = audit(node)
    assert (line.action, line.operator) == ("steal", "bob@home")
    assert "run r7 of ann@desk" in line.text


def audit(node: Node) -> tuple[AuditLine, ...]:
    answer = of(AuditLines, talk(node, frame(ReadAudit())))
    assert answer.broken is None
    return tuple(answer.lines)


def handed_over(node: Node, release: Release) -> int:
    """A run that launchd has not begun yet; its fence."""
    fence, _ = leases(node).take("run-1", ANN)
    node.watch(release)
    node.stage(release)
    assert node.request(release) == "run-1"
    request = read_request(node.machine, "run-1")
    assert request is not None
    hand_over(node.machine, replace(request, fence=fence, operator="ann@desk"))
    leases(node).hand_over(fence)
    return fence


def test_a_run_that_was_handed_over_has_the_node_for_as_long_as_it_takes(node: Node) -> None:
    handed_over(node, a_release(node))
    node.clock.advance(100_000)
    with pytest.raises(Problem) as busy:
        leases(node).take("r2", BOB)
    assert "run run-1 of ann@desk" in busy.value.detail
    assert "it ends by itself" in busy.value.detail
    assert apply(node.machine) == "committed"
    assert leases(node).held() is None
    leases(node).take("r2", BOB)


def test_a_run_that_lost_the_node_before_it_began_touches_nothing(node: Node) -> None:
    handed_over(node, a_release(node))
    leases(node).take("thief", replace(BOB, steal=True))
    before = sorted(Path(node.layout.daemons_dir).iterdir())
    assert apply(node.machine) == "reverted"
    assert sorted(Path(node.layout.daemons_dir).iterdir()) == before
    assert releases.current_id(node.machine) is None
    (line,) = audit(node)
    assert (line.outcome, line.operator, line.text) == ("reverted", "ann@desk", "bob@home took the node over")
    held = leases(node).held()
    assert held is not None
    assert held.run_id == "thief"


def test_a_run_that_loses_the_node_in_its_middle_goes_back_and_is_not_blamed(node: Node) -> None:
    old = a_release(node)
    assert node.deploy(old) == "committed"
    node.forget_runs()
    new = a_release(node, "two").add(Command(task="t", name="steal", argv=("/bin/steal",), user=USER))

    def steal(_: tuple[str, ...]) -> Ran:
        leases(node).take("thief", replace(BOB, steal=True))
        return Ran(code=0)

    node.mac.programs["/bin/steal"] = steal
    handed_over(node, new)
    assert apply(node.machine) == "reverted"
    assert node.plan(old) == ()
    assert "bob@home took the node over" in node.end().text
    assert releases.why_bad(node.machine, new.state.state_id) is None
    node.mac.programs.clear()
    assert audit(node)[-1].outcome == "reverted"


def test_a_restart_between_hand_over_and_begin_takes_nothing_from_the_run(node: Node) -> None:
    handed_over(node, a_release(node))
    node.mac.errands.clear()
    node.mac.reboot(node.layout.daemons_dir)
    with pytest.raises(Problem, match="busy"):
        leases(node).take("r2", BOB)
    assert apply(node.machine) == "committed"


def test_a_laptop_that_is_silent_is_told_when_the_node_is_taken(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_module, "_LOOK_SECONDS", 0.01)
    reading, writing = os.pipe()
    os.write(writing, frame(Desired(state=a_release(node).state)) + frame(ANN))
    pipe, out = Pipe(reading), io.BytesIO()
    look = Holding.look

    def look_after_a_theft(holding: Holding) -> None:
        if not taken:
            taken.append(leases(node).take("thief", replace(BOB, steal=True)))
            node.clock.advance(1.0)
        look(holding)

    taken: list[object] = []
    monkeypatch.setattr(Holding, "look", look_after_a_theft)
    wire = Wire(io.BufferedReader(pipe), out, pipe=pipe)
    try:
        assert Session(machine=node.machine, wire=wire, state_id="-", run_id="r1").run() == 1
    finally:
        os.close(reading)
        os.close(writing)
    failed = of(Failed, frames(out.getvalue()))
    assert (failed.code, failed.title) == ("stolen", "bob@home took the node over")
    with lock(node.machine, "thief", wait=False):
        pass
