"""What a terminal shows while a run goes on."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fleet.cli.hang import hang
from fleet.cli.liveview import LiveView
from fleet.cli.runpicture import Marks
from fleet.cli.runpicture import picture as draw
from fleet.cli.runwords import event_lines
from fleet.control.watch.flow import Flow
from fleet.control.watch.runboard import Board, board_of
from fleet.control.watch.runwords import step_words
from fleet.vocabulary.contracts.events import Outcome, Phase, RunEvent

GOLDENS = Path(__file__).parent / "goldens"


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
    assert "256 of 512 MiB" in row
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


def test_more_nodes_than_lines_are_counted_and_only_what_works_or_failed_is_shown() -> None:
    names = [f"mini-{number}" for number in range(1, 41)]
    events = [event(name, Phase.DONE, "ok", outcome=Outcome.CHANGED) for name in names[:30]]
    events.append(event("mini-31", Phase.STAGE, "start"))
    events.append(event("mini-40", Phase.DONE, "failed", outcome=Outcome.REVERTED, text="the node is as it was before"))
    lines = shown(events, nodes=names, height=13)
    assert [line.split()[0] for line in lines] == ["mini-40", "mini-31", "1"]
    assert lines[-1] == "1 failed · 1 at work · 8 waiting · 30 done · 32 s"


def picture(board: Board, now: float, *, width: int, height: int) -> str:
    """A frame as plain text."""
    out = io.StringIO()
    console = Console(file=out, width=width, height=height)
    console.print(draw(board, now, width=width, height=height, marks=Marks()))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def a_run(nodes: int) -> tuple[Board, float]:
    """A run in its middle: some are done, one sends, one stages, one drains, one goes back."""
    names = [f"mini-{number:02}" for number in range(1, nodes + 1)]
    board, now = board_of(names), 0.0
    board = board.after(event("", Phase.APPLY, "note", text=f"batch 2 of 11 (models): {', '.join(names[3:8])}"), now)
    for name in names[: nodes // 2]:
        board = board.after(event(name, Phase.CONNECT, "start"), now)
        board = board.after(event(name, Phase.DONE, "ok", outcome=Outcome.CHANGED), now + 12)
    busy = names[nodes // 2 :]
    mib = 2**20
    for second in range(9):
        now = 12.0 + second
        sent = event(busy[0], Phase.SEND, "progress", bytes_done=second * 30 * mib, bytes_total=512 * mib)
        board = board.after(sent, now)
        if nodes > 3:
            unpacked = event(
                busy[1],
                Phase.STAGE,
                "progress",
                text="unpack env mlx",
                bytes_done=second * 9 * mib,
                bytes_total=2048 * mib,
            )
            board = board.after(unpacked, now)
    drains = event(busy[-1], Phase.DRAIN, "note", text="daemon org.fleet-macs.sidecar.chat · 3 requests still run")
    board = board.after(drains, now)
    if nodes > 3:
        gate = event(busy[2], Phase.GATE, "failed", text="org.fleet-macs.gateway was started again 3 times")
        back = event(
            busy[2], Phase.REVERT, "start", text="daemon org.fleet-macs.gateway · rebootstrap · its plist changes"
        )
        board = board.after(gate, now).after(back, now)
    return board, now


@pytest.mark.parametrize(("nodes", "width", "height"), [(3, 80, 24), (3, 140, 45), (50, 80, 24), (50, 140, 45)])
def test_a_frame_is_the_golden_one(nodes: int, width: int, height: int, request: pytest.FixtureRequest) -> None:
    board, now = a_run(nodes)
    text = picture(board, now, width=width, height=height)
    assert len(text.splitlines()) <= height - 1
    assert max(len(line) for line in text.splitlines()) <= width
    path = GOLDENS / f"run-{nodes}-nodes-{width}x{height}.txt"
    if request.config.getoption("--update-goldens"):
        path.write_text(text)
    assert text == path.read_text()


@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(Phase),
                       st.sampled_from(["start", "ok", "failed", "progress"]),
                       st.sampled_from([None, None, *Outcome]), st.integers(0, 2**40), st.integers(0, 2**40))),
    st.integers(20, 200),
    st.integers(6, 60),
)  # fmt: skip
def test_no_events_however_odd_need_more_room_than_there_is(
    happened: list[tuple[int, Phase, str, Outcome | None, int, int]], width: int, height: int
) -> None:
    board, now = board_of(f"n{number}" for number in range(40)), 0.0
    for number, phase, status, outcome, done, total in happened:
        now += 0.7
        node = "" if number == 60 else f"n{number}"
        more = {"outcome": outcome, "bytes_done": done, "bytes_total": total, "text": f"{phase} " * 30}
        board = board.after(event(node, phase, status, **more), now)
    lines = picture(board, now, width=width, height=height).splitlines()
    assert len(lines) < height
    assert all(len(line) <= width for line in lines)


@given(st.lists(st.tuples(st.floats(0.01, 3), st.integers(0, 10**8)), min_size=1, max_size=50))
def test_a_rate_is_never_outside_of_what_was_seen(pieces: list[tuple[float, int]]) -> None:
    flow, now, done = Flow().after(0, 10**12, 0.0), 0.0, 0
    fastest = 0.0
    for seconds, size in pieces:
        now, done = now + seconds, done + size
        fastest = max(fastest, size / seconds)
        flow = flow.after(done, 10**12, now)
    assert flow.rate is None or 0 <= flow.rate <= fastest * 1.000001
    left = flow.left_seconds(now)
    assert left is None or left >= 0


def test_a_steady_flow_says_how_long_it_takes_and_one_slow_second_hardly_shows() -> None:
    flow = Flow().after(0, 1000, 0.0)
    for second in range(1, 6):
        flow = flow.after(second * 100, 1000, float(second))
    assert flow.left_seconds(5.0) == pytest.approx(5.0, abs=0.1)
    slow = flow.after(510, 1000, 6.0)
    assert slow.left_seconds(6.0) == pytest.approx(5.7, abs=0.6)


def test_what_stands_still_is_said_to_and_promises_no_end() -> None:
    flow = Flow().after(0, 1000, 0.0).after(100, 1000, 1.0)
    assert flow.left_seconds(2.0) is not None
    assert flow.stalled(11.5)
    assert flow.left_seconds(11.5) is None


def test_a_failure_shows_its_last_twenty_lines_and_the_advice() -> None:
    detail = "\n".join(f"line {number}" for number in range(1, 31))
    failed = event("mac-1", Phase.GATE, "failed", text="no answer", detail=detail, hint="fleet logs mac-1")
    lines = [line.plain for line in event_lines(failed)]
    assert lines[:3] == ["✗ gate no answer", "  (10 lines before these)", "  line 11"]
    assert lines[-2:] == ["  line 30", "  hint: fleet logs mac-1"]


def test_what_came_from_other_nodes_is_said_when_all_is_there() -> None:
    done = event("mac-2", Phase.SEND, "ok", text="2.0 GiB from mac-1", bytes_done=2**31, bytes_total=2**31)
    assert [line.plain for line in event_lines(done)] == ["2.0 GiB from mac-1"]
    assert event_lines(event("mac-1", Phase.SEND, "ok", bytes_done=2**31, bytes_total=2**31)) == []


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
