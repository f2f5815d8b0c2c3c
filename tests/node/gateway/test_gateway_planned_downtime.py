"""What a deploy stops and starts is no fault: nobody is woken for it, unless it stays down."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.node.gateway.frontwatch.looks import Look, Memory, turned
from fleet.node.gateway.frontwatch.notices import Open, sift
from fleet.node.gateway.intent import PLANNED_SECONDS, apply, planned
from fleet.node.gateway.nodebook import Heard
from fleet.node.gateway.own_snapshot import with_planned
from fleet.vocabulary.contracts.gateway_admin import IntentRequest
from fleet.vocabulary.contracts.notice import Notice
from fleet.vocabulary.contracts.snapshot import ServiceReading, SidecarReading, Snapshot
from fleet.vocabulary.names import Intent

START = 1_763_800_000.0
CHAT = "sidecar.chat"
SNAPSHOT = Snapshot(node="mini-1", at_seconds=1.0, agent_version="1", readings="macos")


class Front:
    """Looks at mini-1 every five seconds; `notices` is what the webhook gets."""

    def __init__(self) -> None:
        self.now = START
        self.notices: list[Notice] = []
        self._memory = Memory()
        self._open: dict[str, Open] = {}

    def look(self, *, up: bool, by_deploy: bool, times: int) -> None:
        for _ in range(times):
            self.now += 5
            shown = msgspec.structs.replace(
                SNAPSHOT,
                at_seconds=self.now,
                services=(ServiceReading(name=CHAT, label=f"o.{CHAT}", up=up, pid=7 if up else None),),
                sidecars=(SidecarReading(name=CHAT, model="smol", port=8800, live=up, ready=up),),
                planned=(CHAT,) if by_deploy else (),
            )
            heard = Heard(
                node="mini-1", snapshot=shown, heard_at=self.now, new_at=self.now, heard_at_seconds=self.now,
                tried_at_seconds=self.now, reached=True,
            )  # fmt: skip
            look = Look(front="front-1", heard=(heard,), peers={}, doors={}, answering={}, known={"mini-1"})
            self._memory, told = turned(self._memory, look, self.now)
            self._open, notices = sift("front-1", self._open, told)
            self.notices += notices


def test_a_restart_by_a_deploy_that_takes_minutes_sends_no_notice() -> None:
    front = Front()
    front.look(up=True, by_deploy=False, times=6)
    front.look(up=False, by_deploy=True, times=60)
    front.look(up=True, by_deploy=True, times=3)
    front.look(up=True, by_deploy=False, times=60)
    assert front.notices == []


def test_what_stays_down_when_the_deploy_is_over_is_told() -> None:
    front = Front()
    front.look(up=True, by_deploy=False, times=6)
    front.look(up=False, by_deploy=True, times=60)
    assert front.notices == []
    front.look(up=False, by_deploy=False, times=6)
    assert {(one.check, one.subject, one.state) for one in front.notices} >= {("service_down", CHAT, "began")}


def test_the_same_without_a_deploy_is_told() -> None:
    front = Front()
    front.look(up=True, by_deploy=False, times=6)
    front.look(up=False, by_deploy=False, times=6)
    assert [one.state for one in front.notices if one.check == "service_down"] == ["began"]


def test_what_was_told_before_a_deploy_is_over_once_the_deploy_has_mended_it() -> None:
    front = Front()
    front.look(up=True, by_deploy=False, times=6)
    front.look(up=False, by_deploy=False, times=6)
    front.look(up=False, by_deploy=True, times=12)
    assert all(one.state == "began" for one in front.notices)
    front.look(up=True, by_deploy=False, times=24)
    began = {(one.check, one.subject) for one in front.notices if one.state == "began"}
    assert {(one.check, one.subject) for one in front.notices if one.state == "ended"} == began


@given(st.floats(0, 10_000), st.sampled_from(["deploy: r1", "ann@laptop", "agent: it generated nothing", ""]))
def test_only_what_a_deploy_drained_lately_is_planned(after: float, by: str) -> None:
    asked = IntentRequest(intent=Intent.DRAINING, sidecar=CHAT, by=by)
    wishes = apply({}, asked, sidecars=[CHAT, "sidecar.code"], now=START)
    found = planned(wishes, now=START + after)
    assert found == ((CHAT,) if by.startswith("deploy") and after <= PLANNED_SECONDS else ())


@pytest.mark.parametrize("said", [b"", b"[1]", b"{", b'{"node": "mini-1"'])
def test_a_snapshot_that_cannot_be_read_is_passed_on_as_it_is(said: bytes) -> None:
    assert with_planned(said, (CHAT,)) == said


def test_the_edge_adds_what_is_planned_and_changes_nothing_else() -> None:
    said = msgspec.json.encode(SNAPSHOT)
    assert with_planned(said, ()) is said
    told = msgspec.json.decode(with_planned(said, (CHAT,)), type=Snapshot)
    assert told == msgspec.structs.replace(SNAPSHOT, planned=(CHAT,))
