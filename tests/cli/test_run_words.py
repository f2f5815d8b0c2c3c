"""What a person reads of a run and of a plan."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from fleet.cli.carryout import _left_alone
from fleet.cli.planview import print_plan
from fleet.cli.runview import JsonView, PlainView
from fleet.control.rollout.plan import Change, NodePlan
from fleet.vocabulary.contracts.events import Outcome, Phase, RunEvent
from fleet.vocabulary.contracts.sync import Step
from fleet.vocabulary.names import NodeName, StateId

OLD, NEW = "a" * 64, "0123456789ab" + "b" * 52


def said(event: RunEvent) -> str:
    """The lines of a plain view."""
    out = io.StringIO()
    PlainView(Console(file=out)).show(event)
    return out.getvalue()


def event(phase: Phase, status: str, **more: object) -> RunEvent:
    """An event of mac-1."""
    return RunEvent(run_id="r1", seq=1, at="", phase=phase, status=status, node="mac-1", **more)  # type: ignore[arg-type]


def printed(plan: NodePlan) -> str:
    """The plan of one node as text."""
    out = io.StringIO()
    print_plan(Console(file=out, width=120), {plan.node: plan}, ())
    return out.getvalue()


def changed(*diff: str, bad: str | None = None) -> NodePlan:
    """A plan that restarts the agent."""
    step = Step(
        key="daemon:org.fleet-macs.agent",
        kind_of="daemon",
        action="restart",
        task="agent",
        reason="/opt/fleet/etc/agent.json changes",
    )
    return NodePlan(
        node=NodeName("mac-1"),
        state_id=StateId("s"),
        changes=(Change(step=step, diff=diff),),
        root="/opt/fleet",
        bad=bad,
    )


def test_a_failure_is_a_headline_then_why_then_advice() -> None:
    text = said(event(Phase.APPLY, "failed", text="the agent has no process", detail="bye", hint="look"))
    assert text == "mac-1: ✗ the agent has no process\nmac-1:   bye\nmac-1:   hint: look\n"


def test_an_end_says_its_outcome_first() -> None:
    text = said(event(Phase.DONE, "failed", outcome=Outcome.REVERTED, text="the node is as it was before"))
    assert text == "mac-1: ↩ reverted: the node is as it was before\n"


def test_a_phase_without_words_leaves_no_blank_at_its_end() -> None:
    assert said(event(Phase.STAGE, "ok")) == "mac-1: ✓ stage\n"


def test_a_diff_skips_the_root_and_most_of_a_digest() -> None:
    text = printed(changed(f'PYTHONPATH: "/opt/fleet/apps/{OLD}" -> "/opt/fleet/apps/{NEW}"'))
    assert 'PYTHONPATH: "apps/aaaaaaaaaaaa…" -> "apps/0123456789ab…"' in text


def test_a_reason_names_paths_below_the_root_by_their_end() -> None:
    assert "~ daemon org.fleet-macs.agent  restart: etc/agent.json changes\n" in printed(changed())


def test_a_state_that_failed_before_is_told_in_one_line() -> None:
    text = printed(changed(bad="the agent has no process\nlast lines of /x:\n  bye"))
    assert "! this very state failed here before: the agent has no process\n" in text
    assert "bye" not in text


def test_nodes_that_change_alike_are_told_together() -> None:
    out = io.StringIO()
    plans = {}
    for name in ("mac-1", "mac-2"):
        one = changed("ProcessType: nothing -> Interactive")
        plans[NodeName(name)] = NodePlan(node=NodeName(name), state_id=one.state_id, changes=one.changes, root=one.root)
    plans[NodeName("mac-3")] = NodePlan(node=NodeName("mac-3"), state_id=StateId("s"))
    print_plan(Console(file=out, width=120), plans, ())
    assert out.getvalue() == (
        "mac-1, mac-2  1 change\n"
        "  ~ daemon org.fleet-macs.agent  restart: etc/agent.json changes\n"
        "        ProcessType: nothing -> Interactive\n"
        "mac-3  nothing to do\n"
        "\n"
        "2 of 3 nodes change · 2 daemons touched\n"
    )


def test_files_that_the_plan_has_told_are_not_told_again_but_services_and_gates_are() -> None:
    assert said(event(Phase.APPLY, "ok", text="file etc/agent.json · create")) == ""
    assert said(event(Phase.APPLY, "ok", text="daemon org.fleet-macs.agent · bootstrap")) == (
        "mac-1: ✓ start org.fleet-macs.agent\n"
    )
    assert said(event(Phase.GATE, "ok", text="http /healthz")) == "mac-1: ✓ gate http /healthz\n"


def test_a_stopped_deploy_says_which_nodes_go_on_alone() -> None:
    last = {
        "mac-1": event(Phase.DONE, "ok", outcome=Outcome.CHANGED),
        "mac-2": event(Phase.APPLY, "start", text="daemon org.fleet-macs.agent · restart"),
        "mac-3": event(Phase.SEND, "progress", bytes_done=1, bytes_total=2),
    }
    assert _left_alone(last) == (
        "stopped; mac-2 finishes by itself. fleet deploy --resume last goes on, fleet plan shows what is left"
    )
    assert _left_alone({}) == "stopped"


def test_progress_is_a_line_every_ten_seconds_and_none_for_what_is_quick() -> None:
    out, seconds = io.StringIO(), [0.0]
    view = PlainView(Console(file=out, width=200), now=lambda: seconds[0])
    for second in range(26):
        seconds[0] = float(second)
        view.show(event(Phase.SEND, "progress", bytes_done=second * 2**20, bytes_total=50 * 2**20))
    assert out.getvalue() == ("mac-1: send 10.0 of 50.0 MiB, 40.0 s left\nmac-1: send 20.0 of 50.0 MiB, 30.0 s left\n")


def test_json_has_every_event_and_a_second_s_progress_in_one(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    seconds = [0.0]
    view = JsonView(now=lambda: seconds[0])
    view.show(event(Phase.SEND, "start"))
    for tenth in range(31):
        seconds[0] = tenth / 10
        view.show(event(Phase.SEND, "progress", bytes_done=tenth, bytes_total=31))
    view.show(event(Phase.SEND, "ok"))
    lines = [msgspec.json.decode(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line.get("bytes_done", 0) for line in lines] == [0, 10, 20, 30, 0]


def test_a_drain_is_told_by_the_service_and_what_still_runs() -> None:
    text = said(event(Phase.DRAIN, "note", text="daemon org.fleet-macs.sidecar.chat · 2 requests still run"))
    assert text == "mac-1: drain org.fleet-macs.sidecar.chat: 2 requests still run\n"
