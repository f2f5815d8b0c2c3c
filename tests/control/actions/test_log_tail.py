"""Following logs: several nodes in one place, one that is away is a line, and floods are counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from fleet.control.actions.loglines import LogLine
from fleet.control.actions.logs import LogTail, follow_logs
from fleet.control.link.protocol import Session
from fleet.errors import FleetError
from fleet.testing.clock import FakeClock
from fleet.testing.inventories import inventory_of
from fleet.testing.link import FakeLink, FakeSession
from fleet.vocabulary.names import NodeName

INVENTORY = inventory_of(
    "all:\n  hosts:\n    mini-1: {ansible_host: 10.0.0.1, host_key: ssh-ed25519 AAAA}\n"
    "    mini-2: {ansible_host: 10.0.0.2, host_key: ssh-ed25519 AAAA}\n    stranger:\n"
)
NODES = [INVENTORY.node("mini-1"), INVENTORY.node("mini-2")]
HEAD = b"fleet-logs +0000\n==> /opt/fleet/log/agent.log <==\n"
CLOCK = FakeClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


def printing(text: bytes, *, ends: threading.Event | None = None) -> Callable[[str, BinaryIO, BinaryIO], int]:
    """A node whose tail prints this, and goes on until `ends`."""

    def serve(_: str, __: BinaryIO, stdout: BinaryIO) -> int:
        stdout.write(text)
        stdout.flush()
        if ends is not None:
            ends.wait(60)
        return 0

    return serve


def waited(tail: LogTail, wanted: Callable[[list[LogLine], int], bool]) -> tuple[list[LogLine], int]:
    """What came until it is as wanted, a minute at most."""
    found, skipped = list[LogLine](), 0
    until = time.monotonic() + 60
    while not wanted(found, skipped):
        assert time.monotonic() < until, found
        lines, more = tail.take()
        found, skipped = found + lines, skipped + more
        time.sleep(0.01)
    return found, skipped


def test_one_that_breaks_off_is_a_line_and_what_it_said_is_not_said_again(tmp_path: Path) -> None:
    text = HEAD + b"2026-11-22T12:00:01Z a\n"
    link = FakeLink({"mini-1": FakeSession(printing(text), node="mini-1")})
    tail = LogTail([NODES[0], INVENTORY.node("stranger")], link=link, base=tmp_path, clock=CLOCK, retry_seconds=0.01)
    tail.start()
    try:
        found, _ = waited(tail, lambda lines, _: sum("logs again" in line.text for line in lines) >= 2)
    finally:
        tail.stop()
    said = [line.text for line in found if line.node == "mini-1"]
    assert said.count("2026-11-22T12:00:01Z a") == 1
    assert "no logs from here: its logs ended; asked again until it answers" in said
    assert [line.text for line in found if line.node == "stranger"] == ["no logs from here: not adopted yet"]


def test_a_node_that_nobody_reaches_is_one_line_however_often_it_is_asked(tmp_path: Path) -> None:
    ends = threading.Event()
    sessions: dict[str, Session] = {}
    tail = LogTail([NODES[0]], link=FakeLink(sessions), base=tmp_path, clock=CLOCK, retry_seconds=0.001)
    tail.start()
    try:
        found, _ = waited(tail, lambda lines, _: bool(lines))
        assert "cannot reach 10.0.0.1: no answer in time" in found[0].text
        assert found[0].away
        sessions["mini-1"] = FakeSession(printing(HEAD + b"2026-11-22T12:00:01Z a\n", ends=ends), node="mini-1")
        found, _ = waited(tail, lambda lines, _: any(not line.away for line in lines))
    finally:
        ends.set()
        tail.stop()
    assert [line.said for line in found if not line.away] == ["a"]
    assert [line.text for line in found if line.away] == ["logs again"]


def test_a_flood_is_counted_and_memory_is_bounded(tmp_path: Path) -> None:
    ends = threading.Event()
    many = 60_000
    text = HEAD + b"".join(b"2026-11-22T12:00:01Z line %d\n" % number for number in range(many))
    link = FakeLink({"mini-1": FakeSession(printing(text, ends=ends), node="mini-1")})
    tail = LogTail([NODES[0]], link=link, base=tmp_path, clock=CLOCK)
    tail.start()
    try:
        found, skipped = waited(tail, lambda lines, skipped: len(lines) + skipped >= many)
    finally:
        ends.set()
        tail.stop()
    assert len(found) + skipped >= many
    assert skipped


def test_what_the_command_line_gives_is_the_same_lines(tmp_path: Path) -> None:
    texts = {"mini-1": b"2026-11-22T12:00:02Z b\n", "mini-2": b"2026-11-22T12:00:01Z a\n"}
    link = FakeLink({name: FakeSession(printing(HEAD + text), node=name) for name, text in texts.items()})
    found, broken = list[LogLine](), list[tuple[NodeName, FleetError]]()
    follow_logs(
        [*NODES, INVENTORY.node("stranger")], [], link=link, base=tmp_path, lines=5, follow=False, clock=CLOCK,
        emit=found.extend, failed=lambda node, error: broken.append((node, error)),
    )  # fmt: skip
    assert [(line.node, line.said) for line in sorted(found)] == [("mini-2", "a"), ("mini-1", "b")]
    assert [node for node, _ in broken] == ["stranger"]
