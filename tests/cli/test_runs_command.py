"""`fleet runs` and `fleet attach`: what was deployed from here, for people and for scripts."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from fleet.cli.asking import AskingView
from fleet.cli.main import main
from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.batches import batches
from fleet.control.rollout.journal import Journal
from fleet.control.rollout.runrecord import RunRecord, RunStore
from fleet.control.rollout.walk import Walk
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.events import Outcome, Phase, RunEvent
from fleet.vocabulary.names import NodeName, RunId

NODES = [NodeName("mini-1"), NodeName("mini-2"), NodeName("mini-3")]
ORDER = batches([("all", Pace(max_unavailable=1), NODES)], dict.fromkeys(NODES, True))
OVER = "20260101T000000Z-aaaaaaaa"
LEFT = "20260102T000000Z-bbbbbbbb"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    """A run that ended badly on one node, and a later one that was left in its middle."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text("all:\n  hosts:\n    mini-[1:3]: {}\n")
    monkeypatch.chdir(tmp_path)
    store = RunStore(tmp_path / ".fleet" / "runs")
    over = {NODES[0]: Outcome.CHANGED, NODES[1]: Outcome.REVERTED, NODES[2]: Outcome.SKIPPED}
    store.save(record(OVER, Walk(batches=ORDER, ended=over), over, ended_at="2026-01-01T00:05:00+00:00"))
    walk = Walk(batches=ORDER, ended={NODES[0]: Outcome.CHANGED}, out=frozenset(NODES[1:2]), at=1, entered=True)
    store.save(record(LEFT, walk, {NODES[0]: Outcome.CHANGED}))
    journal = Journal(RunId(LEFT), clock=FakeClock(), show=lambda _: None, path=store.journal(RunId(LEFT)))
    journal.say(Phase.DONE, "ok", node=NODES[0], outcome=Outcome.CHANGED)
    journal.close()
    return store


def record(run_id: str, walk: Walk, outcomes: dict[NodeName, Outcome], *, ended_at: str | None = None) -> RunRecord:
    return RunRecord(
        run_id=RunId(run_id),
        began_at="2026-01-01T00:00:00+00:00",
        operator="me@here",
        playbook="site.yml",
        fleet_version="1.2.3",
        walk=walk,
        states=dict.fromkeys(NODES, "a" * 64),
        before=dict.fromkeys(NODES, "b" * 64),
        outcomes=outcomes,
        why={NODES[1]: "the gate did not pass"} if NODES[1] in outcomes else {},
        ended_at=ended_at,
    )


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    return int(stop.value.code or 0)


def test_runs_are_listed_the_last_one_first(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("runs") == 0
    left, over = capsys.readouterr().out.splitlines()
    assert left.split()[:5] == [LEFT, "left", "site.yml", "1", "changed"]
    assert over.split()[:4] == [OVER, "not", "well", "site.yml"]
    assert "1 changed, 1 reverted, 1 skipped" in over


def test_a_run_is_shown_node_by_node_and_what_goes_on_with_it(
    store: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("runs", "show", OVER[:8]) == 0
    assert "mini-2  reverted: the gate did not pass" in capsys.readouterr().out
    assert run("runs", "show") == 0
    shown = capsys.readouterr()
    assert "mini-2  under way" in shown.out
    assert "mini-3  not started" in shown.out
    assert f"fleet deploy --resume {LEFT}" in shown.err


def test_a_script_reads_what_is_to_retry_and_what_is_to_come(
    store: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("runs", "--json") == 0
    left, over = json.loads(capsys.readouterr().out)["runs"]
    assert (left["state"], over["state"]) == ("left", "not_well")
    assert over["to_retry"] == ["mini-2", "mini-3"]
    assert left["to_come"] == ["mini-3"]
    assert over["nodes"]["mini-2"] == {
        "outcome": "reverted",
        "state_id": "a" * 64,
        "before": "b" * 64,
        "why": "the gate did not pass",
    }


def test_attach_tells_a_run_that_nobody_drives_and_what_becomes_of_its_nodes(
    store: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("attach", "--json") == 0
    shown = capsys.readouterr()
    assert [json.loads(line)["outcome"] for line in shown.out.splitlines()] == ["changed"]
    assert "mini-2 finish by themselves" in shown.err


def test_attach_follows_a_run_to_its_end_and_has_its_exit_code(
    store: RunStore, capsys: pytest.CaptureFixture[str]
) -> None:
    name = RunId(LEFT)
    journal = Journal(name, clock=FakeClock(), show=lambda _: None, path=store.journal(name))

    def drive() -> None:
        journal.say(Phase.DONE, "failed", "gone", node=NODES[1], outcome=Outcome.UNREACHABLE)
        ended = {NODES[0]: Outcome.CHANGED, NODES[1]: Outcome.UNREACHABLE}
        store.save(record(LEFT, Walk(batches=ORDER, ended=ended), ended, ended_at="2026-01-02T00:09:00+00:00"))
        journal.close()

    driving = threading.Timer(0.3, drive)
    driving.start()
    try:
        assert run("attach", "--json") == 3
    finally:
        driving.join()
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["seq"] for event in events] == [1, 2]
    assert events[-1]["outcome"] == "unreachable"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("deploy", "--resume", OVER), "is over: nothing is left to resume"),
        (("deploy", "--resume", "2030"), "no run '2030' is recorded here"),
        (("deploy", "--resume", "last", "--on", "mini-1"), "--resume has its playbook and its nodes"),
        (("deploy", "--failed", "--resume", "last"), "two different deploys"),
        (("deploy", "site.yml", "--failed"), "--failed has its playbook and its nodes"),
        (("attach", "2026"), "may be"),
        (("attach", "2030"), "one of another laptop is followed and resumed there"),
        (("rollback", "--resume", LEFT), "is a deploy"),
        (("rollback", "--resume", LEFT), f"fleet deploy --resume {LEFT} goes on with it"),
        (("rollback", "--resume", "last", "--on", "mini-1"), "--resume has its nodes and their releases"),
        (("rollback", "--resume", OVER), "is over: nothing is left to resume"),
    ],
)
def test_what_cannot_be_is_refused_with_exit_code_2(
    store: RunStore, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert run(*words) == 2
    assert said in capsys.readouterr().err


def test_a_run_that_is_live_is_not_resumed(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    name = RunId(LEFT)
    journal = Journal(name, clock=FakeClock(), show=lambda _: None, path=store.journal(name))
    assert run("deploy", "--resume", "last") == 2
    assert "fleet attach" in capsys.readouterr().err
    journal.close()


def test_the_guide_names_every_word_of_an_event() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "runs.md").read_text()
    fields = {*RunEvent.__struct_fields__} - {"schema"}
    assert [word for word in (*fields, *Phase, *Outcome) if f"`{word}`" not in page] == []


class Shown:
    """A view that notes what becomes of it."""

    def __init__(self, nodes: Sequence[str], said: list[str]) -> None:
        self.nodes, self.said = ",".join(nodes), said

    def show(self, event: RunEvent) -> None:
        self.said.append(f"{event.node} in {self.nodes}")

    def __enter__(self) -> Shown:
        self.said.append(f"+{self.nodes}")
        return self

    def __exit__(self, *exc: object) -> None:
        self.said.append(f"-{self.nodes}")


def test_a_question_takes_the_place_of_the_view_and_another_comes_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda text, err: said.append(text) or True)
    event = RunEvent(run_id="r1", seq=1, at="x", phase=Phase.APPLY, status="note", node="mini-2")
    with AskingView(lambda nodes: Shown(nodes, said), ORDER) as view:
        assert view.ask(2) is True
        view.show(event)
    assert said == [
        "+mini-1,mini-2,mini-3",
        "-mini-1,mini-2,mini-3",
        "Go on with batch 2 of 3 (mini-2)?",
        "+mini-2,mini-3",
        "mini-2 in mini-2,mini-3",
        "-mini-2,mini-3",
    ]
    assert view.last == {"mini-2": event}


def test_nobody_is_asked_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert AskingView(lambda nodes: Shown(nodes, []), ORDER).ask(2) is None


def test_a_project_without_runs_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text("all:\n  hosts:\n    mini-1: {}\n")
    monkeypatch.chdir(tmp_path)
    assert run("runs") == 0
    assert "no run is recorded here" in capsys.readouterr().err
    assert run("deploy", "--failed") == 2
