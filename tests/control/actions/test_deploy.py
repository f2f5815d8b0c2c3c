"""What deploy makes of nodes that were never seen, and of how a run ended."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fleet.control.actions.deploy import Deployer, verdict
from fleet.control.inventory.project import Project
from fleet.control.link.frames import encode_frame
from fleet.control.rollout.conversation import SyncPart
from fleet.control.rollout.nodejob import NodeResult
from fleet.control.supply.cache import Cache
from fleet.errors import PartialFailure, RunFailed, Unreachable
from fleet.testing.clock import FakeClock
from fleet.testing.inventories import inventory_of
from fleet.testing.link import FakeLink, FakeSession
from fleet.vocabulary.contracts import sync
from fleet.vocabulary.contracts.events import Outcome
from fleet.vocabulary.names import NodeName, RunId

INVENTORY = inventory_of(
    "all:\n  hosts:\n    mini-1: {host_key: ssh-ed25519 A}\n    mini-2: {host_key: ssh-ed25519 B}\n"
)
SYNC = SyncPart(digest="a" * 64, content=b"")


def test_a_node_that_was_never_seen_and_is_down_does_not_keep_the_others(tmp_path: Path) -> None:
    def answers(command: str, stdin: object, stdout: object) -> int:
        stdout.write(sync.MAGIC + encode_frame(sync.Hello(facts=sync.Facts(chip="M4"))))  # type: ignore[attr-defined]
        return 0

    project = Project(tmp_path, tmp_path / "inventory" / "fleet.yml")
    link = FakeLink({"mini-1": FakeSession(answers, node="mini-1")})
    clock = FakeClock(datetime(2026, 11, 22, tzinfo=UTC))
    deployer = Deployer(project, link=link, cache=Cache(tmp_path / "cache"), clock=clock, notify=print)
    run_id = RunId("r1")
    facts, lost, met = deployer._facts_of(tuple(INVENTORY.nodes.values()), INVENTORY, SYNC, run_id, link=link)
    assert facts == {"mini-1": sync.Facts(chip="M4")}
    assert {name: type(error) for name, error in lost.items()} == {"mini-2": Unreachable}
    assert {name: one.run_id for name, one in met.items()} == {"mini-1": run_id}  # who was asked still listens
    again, _, met = deployer._facts_of([INVENTORY.node("mini-1")], INVENTORY, SYNC, run_id, link=link)
    assert (again, met) == (facts, {})  # remembered: nobody was asked


def results(*outcomes: Outcome) -> dict[NodeName, NodeResult]:
    named = [NodeName(f"mini-{i}") for i in range(1, len(outcomes) + 1)]
    return {name: NodeResult(name=name, outcome=outcome) for name, outcome in zip(named, outcomes, strict=True)}


def test_the_verdict_of_a_run_is_its_exit_code() -> None:
    assert verdict(results(Outcome.CHANGED, Outcome.UNCHANGED)) is None
    assert isinstance(verdict(results(Outcome.CHANGED, Outcome.REVERTED)), PartialFailure)
    assert isinstance(verdict(results(Outcome.UNREACHABLE, Outcome.UNREACHABLE)), Unreachable)
    assert isinstance(verdict(results(Outcome.REVERTED, Outcome.SKIPPED)), RunFailed)
