"""What a terminal shows while a run goes on."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from fleet.cli.hang import hang
from fleet.cli.liveview import LiveView
from fleet.cli.runview import step_words
from fleet.vocabulary.contracts.events import Outcome, Phase, RunEvent


def event(node: str, phase: Phase, status: str, **more: object) -> RunEvent:
    """An event of a node."""
    return RunEvent(run_id="r1", seq=1, at="", phase=phase, status=status, node=node, **more)  # type: ignore[arg-type]


def shown(events: Sequence[RunEvent], *, nodes: Sequence[str], width: int = 80, height: int = 24) -> list[str]:
    """The rows after these events, one second after the other."""
    seconds = iter(range(10_000))
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True)
    view = LiveView(console, nodes, now=lambda: float(next(seconds)))
    for one in events:
        view.show(one)
    plain = Console(file=io.StringIO(), width=width, height=height)
    with plain.capture() as capture:
        plain.print(view.picture())
    return capture.get().splitlines()


def test_every_node_has_one_row_from_the_beginning() -> None:
    assert [line.split() for line in shown([], nodes=["mac-1", "mac-2"])] == [
        ["mac-1", "·", "waits"],
        ["mac-2", "·", "waits"],
    ]


def test_a_row_says_what_how_long_and_how_far() -> None:
    sending = event("mac-1", Phase.SEND, "progress", bytes_done=256 * 2**20, bytes_total=512 * 2**20)
    (row,) = shown([event("mac-1", Phase.SEND, "start"), sending], nodes=["mac-1"])
    assert "━" in row
    assert "256 MiB of 512 MiB" in row
    assert row.split()[3:5] == ["2", "s"]


def test_a_long_text_is_cut_to_the_width_and_never_makes_a_second_line() -> None:
    going = event("mac-1", Phase.APPLY, "start", text="daemon org.fleet-macs.agent · rebootstrap · " + "why " * 40)
    (row,) = shown([going], nodes=["mac-1"])
    assert len(row) <= 80
    assert "restart org.fleet-macs.agent: why" in row
    assert "…" in row


def test_an_end_stays_with_its_time() -> None:
    events = [event("mac-1", Phase.CONNECT, "start"), event("mac-1", Phase.DONE, "ok", outcome=Outcome.CHANGED)]
    (row,) = shown(events, nodes=["mac-1"])
    assert row.split() == ["mac-1", "✓", "changed", "1", "s"]


def test_more_nodes_than_lines_are_counted_and_what_works_is_shown() -> None:
    names = [f"mini-{number}" for number in range(1, 41)]
    events = [event(name, Phase.DONE, "ok", outcome=Outcome.CHANGED) for name in names[:30]]
    events.append(event("mini-31", Phase.STAGE, "start"))
    lines = shown(events, nodes=names, height=13)
    assert len(lines) == 10
    assert any(line.startswith("mini-31") for line in lines)
    assert lines[-1] == "… 31 more: 30 fine, 1 waiting"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("daemon org.example.a · bootstrap · it is not registered", "start org.example.a: it is not registered"),
        ("daemon org.fleet-macs.agent · reload", "reload org.fleet-macs.agent"),
        ("file etc/agent.json · create", "create file etc/agent.json"),
        ("org.fleet-macs.agent has no process", "org.fleet-macs.agent has no process"),
    ],
)
def test_a_step_is_told_in_the_words_of_the_plan(text: str, words: str) -> None:
    assert step_words(text) == words


def test_a_line_is_broken_on_a_terminal_only() -> None:
    from rich.text import Text

    line = Text("  ~ daemon org.fleet-macs.agent  restart: its plist changes")
    for terminal, expected in (
        (False, "  ~ daemon org.fleet-macs.agent  restart: its plist changes\n"),
        (True, "  ~ daemon org.fleet-macs.agent  restart:\n    its plist changes\n"),
    ):
        out = io.StringIO()
        hang(Console(file=out, width=44, force_terminal=terminal, no_color=True), line, indent=4)
        assert out.getvalue() == expected
