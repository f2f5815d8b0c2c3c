"""The node's audit: every run once, whatever dies when; chained through its files; root's alone; no secret in it."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sync_kit import Node
from test_recovery import SECOND, attempt, prepare

from fleet.node.sync import audit
from fleet.node.sync.apply import apply
from fleet.node.sync.audit import read_audit, record
from fleet.node.sync.disk import Disk
from fleet.vocabulary.contracts.audit import AuditLine
from fleet.vocabulary.contracts.questions import ReadAudit


def a_line(number: int) -> AuditLine:
    return AuditLine(seq=0, at_seconds=number, action="deploy", outcome="committed", run_id=f"r{number}")


def all_lines(node: Node) -> tuple[AuditLine, ...]:
    answer = read_audit(node.machine, ReadAudit())
    assert answer.broken is None
    return answer.lines


@settings(max_examples=8, deadline=None)
@given(first=st.integers(0, 220))
def test_a_run_that_dies_anywhere_is_in_the_audit_once(tmp_path_factory: pytest.TempPathFactory, first: int) -> None:
    node, _, _ = prepare(tmp_path_factory.mktemp("node"), SECOND)
    outcome = attempt(node, first) or attempt(node, None)
    lines = all_lines(node)
    assert [line.run_id for line in lines] == ["run-1", "run-2"]
    assert lines[-1].outcome == (outcome or node.end().outcome)


def test_the_chain_goes_on_through_files_and_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_FILE_BYTES", 1000)
    node = Node(tmp_path)
    for number in range(40):
        record(node.machine, a_line(number))
    folder = Path(node.layout.state("audit"))
    assert len(list(folder.iterdir())) == 5
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    lines = all_lines(node)
    assert lines[-1].seq == 40
    assert lines[0].seq > 1
    page = read_audit(node.machine, ReadAudit(after=35, limit=2))
    assert ([line.seq for line in page.lines], page.more) == ([36, 37], True)


def test_a_torn_line_is_cut_off_and_a_changed_one_is_told(tmp_path: Path) -> None:
    node = Node(tmp_path)
    for number in range(3):
        record(node.machine, a_line(number))
    (path,) = Path(node.layout.state("audit")).iterdir()
    with path.open("ab") as file:
        file.write(b'{"seq":4')
    record(node.machine, a_line(3))
    assert [line.seq for line in all_lines(node)] == [1, 2, 3, 4]
    path.write_bytes(path.read_bytes().replace(b'"r1"', b'"rX"'))
    assert read_audit(node.machine, ReadAudit()).broken == "line 2 is not the one that was written"


def test_an_audit_that_cannot_be_written_keeps_no_node_busy(tmp_path: Path) -> None:
    class NoAudit(Disk):
        def append(self, path: str, content: bytes) -> None:
            if "/audit/" in path:
                raise OSError(28, "No space left on device")
            super().append(path, content)

    node, _, _ = prepare(tmp_path, SECOND)
    node.machine = replace(node.machine, disk=NoAudit())
    assert apply(node.machine) == "committed"
    assert any("audit could not be written" in event.text for event in node.events())
