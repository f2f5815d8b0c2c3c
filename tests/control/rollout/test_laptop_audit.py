"""What a run did to a node is in the laptop's audit: how it ended, from what to what, by whom; and it stops nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_run import SYNC, Node, job_of

from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.batches import batches
from fleet.control.rollout.journal import Journal
from fleet.control.rollout.run import Run
from fleet.control.rollout.terms import Terms
from fleet.testing.clock import FakeClock
from fleet.testing.link import FakeLink, FakeSession
from fleet.vocabulary.contracts.audit import AuditLine
from fleet.vocabulary.contracts.events import Outcome, RunEvent
from fleet.vocabulary.names import NodeName, RunId

MAC = NodeName("mac-1")


def ran(node: Node, folder: Path, audit: object) -> tuple[Run, list[RunEvent]]:
    clock = FakeClock(datetime(2026, 11, 22, tzinfo=UTC))
    events: list[RunEvent] = []
    session = FakeSession(node, node=MAC, key_fingerprint="SHA256:ann")
    with Run(
        [job_of(MAC)],
        link=FakeLink({MAC: session}),
        sync=SYNC,
        journal=Journal(RunId("r1"), clock=clock, show=events.append, path=folder / "r1.jsonl"),
        facts_seen=lambda node, facts: None,
        terms=Terms(operator="me@here", audit=audit),  # type: ignore[arg-type]
        clock=clock,
    ) as run:
        busy = {name: not plan.idle for name, plan in run.check().items()}
        run.apply(run.walk(batches([("all", Pace(), [MAC])], busy)))
    return run, events


@pytest.mark.parametrize("outcome", ["committed", "reverted", "failed"])
def test_each_end_of_a_run_is_written_down(tmp_path: Path, outcome: str) -> None:
    lines: list[AuditLine] = []
    ran(Node(outcome=outcome), tmp_path, lines.append)
    (line,) = lines
    assert (line.node, line.run_id, line.operator, line.outcome) == (MAC, "r1", "me@here", outcome)
    assert line.key_fingerprint == "SHA256:ann"
    assert (line.after == job_of(MAC).compiled.state.state_id) == (outcome == "committed")
    assert line.plan is not None


def test_a_node_where_nothing_was_to_do_is_not_written_down(tmp_path: Path) -> None:
    lines: list[AuditLine] = []
    ran(Node(idle=True), tmp_path, lines.append)
    assert lines == []


def test_an_audit_that_cannot_be_written_stops_no_run(tmp_path: Path) -> None:
    def full(_: AuditLine) -> None:
        raise OSError(28, "No space left on device")

    run, events = ran(Node(), tmp_path, full)
    assert run.results[MAC].outcome is Outcome.CHANGED
    assert any("the audit of this laptop could not be written" in event.text for event in events)
