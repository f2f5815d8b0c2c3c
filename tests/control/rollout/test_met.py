"""A run goes on with the conversation in which a node said who it is; one that went away costs nothing but time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest
from test_run import LAYOUT, NODES, SYNC, Node, job_of

from fleet.control.link.frames import encode_frame
from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.batches import batches
from fleet.control.rollout.conversation import Conversation, helper_argv
from fleet.control.rollout.journal import Journal
from fleet.control.rollout.met import Met
from fleet.control.rollout.run import Run
from fleet.control.rollout.terms import Terms
from fleet.testing.clock import FakeClock
from fleet.testing.link import FakeLink, FakeSession
from fleet.vocabulary.contracts import sync
from fleet.vocabulary.contracts.events import Outcome
from fleet.vocabulary.names import RunId


def one_word(_command: str, _stdin: BinaryIO, stdout: BinaryIO) -> int:
    """A node that says Hello and is never heard again."""
    stdout.write(sync.MAGIC + encode_frame(sync.Hello(facts=sync.Facts(chip="M4"))))
    return 0


@pytest.mark.parametrize(("asked_as", "cut", "by_node"), [("r1", False, 1), ("r1", True, 1), ("another", False, 2)])
def test_a_node_is_asked_again_only_when_the_conversation_is_gone_or_another_runs(
    tmp_path: Path, asked_as: str, cut: bool, by_node: int
) -> None:
    name, node = NODES[0], Node()
    session = FakeSession(one_word if cut else node, node=name)
    talk = Conversation(session, node=name, helper=helper_argv(LAYOUT, sudo=True), sync=SYNC)
    hello = talk.open(state_id="-", run_id=RunId(asked_as))
    met = Met(session=session, talk=talk, hello=hello, run_id=RunId(asked_as))
    clock = FakeClock(datetime(2026, 11, 22, tzinfo=UTC))
    with Run(
        [replace(job_of(name), met=met)],
        link=FakeLink({name: FakeSession(node, node=name)}),
        sync=SYNC,
        journal=Journal(RunId("r1"), clock=clock, show=lambda _: None, path=tmp_path / "r1.jsonl"),
        facts_seen=lambda node, facts: None,
        terms=Terms(operator="me@here"),
        clock=clock,
    ) as run:
        run.check()
        run.apply(run.walk(batches([("all", Pace(), [name])], {name: True})))
    assert run.results[name].outcome is Outcome.CHANGED
    assert len(node.commands) == by_node
    assert len(node.received) == 1
