"""A run whose laptop was killed is followed from elsewhere and gone on with, over OpenSSH's own sshd."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.sshd import SlowStep, SshdRoom, needs_sshd, sshd_room, until

pytestmark = [pytest.mark.sshd, needs_sshd, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def macs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdRoom]:
    """Two adopted Macs."""
    with sshd_room(tmp_path_factory.mktemp("sshd")) as room:
        yield room


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[SlowStep]:
    step = SlowStep(tmp_path)
    yield step
    step.let_go()


def plays(room: SshdRoom, text: str, *tasks: Mapping[str, Any], **strategy: object) -> None:
    """A playbook for both nodes, one after the other."""
    note = {"name": "note", "file": {"dest": "site/note.txt", "content": text}}
    play = {"name": "test", "hosts": "all", "strategy": {"max_unavailable": 1, **strategy}, "tasks": [note, *tasks]}
    (room.folder / "playbooks" / "test.yml").write_text(yaml.safe_dump([play], sort_keys=False))


def notes(room: SshdRoom) -> list[str]:
    """What the file says on each node."""
    paths = [room.root(name) / "site" / "note.txt" for name in room.doors]
    return [path.read_text() if path.exists() else "" for path in paths]


def test_a_killed_run_goes_on_where_it_was_and_begins_no_node_twice(macs: SshdRoom, slow: SlowStep) -> None:
    plays(macs, "first\n")
    macs.deploy()
    plays(macs, "second\n", slow.task)
    with macs.deploying() as deploy:
        slow.wait_begun()
        refused = macs.fleet("deploy", "--resume", "last", "--yes", expect=2)
        assert "still going on here" in refused.stderr
        deploy.kill()
        deploy.wait()
    shown = macs.json("runs", "show")
    assert (shown["state"], shown["to_come"]) == ("left", ["mac-2"])
    assert notes(macs) == ["second\n", "first\n"]

    plays(macs, "third\n", slow.task)
    assert "say something else" in macs.fleet("deploy", "--resume", "last", "--yes", expect=2).stderr
    plays(macs, "second\n", slow.task)
    slow.let_go()
    resumed = macs.fleet("deploy", "--resume", "last", "--yes", "--json")
    events = [json.loads(line) for line in resumed.stdout.splitlines()]
    assert {event["node"]: event["outcome"] for event in events if "outcome" in event} == {
        "mac-1": "changed",
        "mac-2": "changed",
    }
    assert notes(macs) == ["second\n", "second\n"]
    runs = macs.json("runs")["runs"]
    assert isinstance(runs, list)
    assert [run["state"] for run in runs] == ["well", "well"]
    assert {run["run"] for run in runs} >= {events[0]["run_id"]}
    for name in macs.doors:  # each had the run once
        assert sum(path.name == events[0]["run_id"] for path in (macs.root(name) / "runs").iterdir()) == 1
    assert "is over" in macs.fleet("deploy", "--resume", "last", "--yes", expect=2).stderr


def test_a_run_is_followed_from_another_terminal_with_its_exit_code(macs: SshdRoom, slow: SlowStep) -> None:
    plays(macs, "watched\n", SlowStep(slow.folder, status=3).task)
    with macs.deploying() as deploy:
        slow.wait_begun()
        slow.let_go()
        answer = macs.fleet("attach", "--json", expect=1)
        deploy.communicate(timeout=60)
    events = [json.loads(line) for line in answer.stdout.splitlines()]
    assert events[0]["seq"] == 1
    assert {event["node"]: event["outcome"] for event in events if "outcome" in event} == {
        "mac-1": "reverted",
        "mac-2": "skipped",
    }
    again = macs.fleet("deploy", "--failed", "--yes", expect=1)
    assert "this very state failed here before" in again.stdout + again.stderr


def test_the_nodes_that_had_changed_go_back_with_the_one_that_failed(macs: SshdRoom, slow: SlowStep) -> None:
    plays(macs, "before\n")
    macs.deploy("--force")
    on_second = {**SlowStep(slow.folder, status=3).task, "when": {"var": "second", "defined": True}}
    macs.set_host("mac-2", second=True)
    plays(macs, "after\n", on_second, on_failure="revert_all")
    slow.let_go()
    failed = macs.deploy(expect=1)
    assert notes(macs) == ["before\n", "before\n"]
    assert "mac-1: ↩ reverted: back to what it was before the run" in failed.stdout
    macs.set_host("mac-2", second=None)
    until(lambda: not any((macs.root(name) / "state" / "pending").exists() for name in macs.doors))
    plays(macs, "before\n")
    assert "nothing to do" in macs.deploy().stderr
