"""`fleet audit`: nodes' lines and the laptop's in one order, each thing once, and a broken chain is told."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from fleet.cli import audit as verb
from fleet.cli.main import main
from fleet.control.actions.asking import Asking
from fleet.control.actions.audit import LAPTOP, Entry, Trail, merged, node_trails, pages
from fleet.control.link.frames import encode_frame
from fleet.control.rollout import audit as auditfile
from fleet.control.rollout.audit import AuditFile
from fleet.control.rollout.conversation import SyncPart
from fleet.errors import NotAdopted, Unreachable
from fleet.testing.clock import FakeClock
from fleet.testing.inventories import inventory_of
from fleet.testing.link import FakeLink, FakeSession
from fleet.vocabulary.contracts.audit import AuditLine
from fleet.vocabulary.contracts.questions import AuditLines
from fleet.vocabulary.contracts.sync import MAGIC, Hello
from fleet.vocabulary.names import NodeName

INVENTORY = inventory_of("all: {hosts: {mini-1: {host_key: ssh-ed25519 AAAA, edge_key: x}, mini-2: {}}}")


def a_line(at: float, run: str | None = None, **fields: object) -> AuditLine:
    line = AuditLine(seq=0, at_seconds=at, action="deploy", outcome="committed", run_id=run, operator="ann@desk")
    return replace(line, **fields)  # type: ignore[arg-type]


def test_every_node_is_asked_at_once_and_who_cannot_be_is_told(tmp_path: Path) -> None:
    heard: list[bytes] = []

    def serve(command: str, stdin: BinaryIO, stdout: BinaryIO) -> int:
        assert " sync 1 - " in command, "facts only: no state is announced"
        stdout.write(MAGIC + encode_frame(Hello()))
        stdout.flush()
        heard.append(stdin.read(int(stdin.readline())))
        stdout.write(encode_frame(AuditLines(lines=(a_line(1, "r1"),), broken="line 1 is not it")))
        stdout.flush()
        return 0

    link = FakeLink({"mini-1": FakeSession(serve, node="mini-1")})
    sync = SyncPart(digest="0" * 64, content=b"")
    nodes = [INVENTORY.node("mini-1"), INVENTORY.node("mini-2")]
    asking = Asking(link=link, base=tmp_path, sync=sync, clock=FakeClock())
    trails = {one.place: one for one in node_trails(nodes, asking)}
    assert (trails["mini-1"].broken, len(trails["mini-1"].lines)) == ("line 1 is not it", 1)
    assert isinstance(trails["mini-2"].error, NotAdopted)
    assert [json.loads(said) for said in heard] == [{"after": 0, "kind": "read_audit", "limit": 2000}]


def test_an_audit_that_is_longer_than_one_answer_is_read_to_its_end() -> None:
    lines = [replace(a_line(at), seq=at) for at in range(1, 8)]
    asked: list[int] = []

    def ask(after: int) -> AuditLines:
        asked.append(after)
        behind = [line for line in lines if line.seq > after]
        return AuditLines(lines=tuple(behind[:3]), more=len(behind) > 3, broken="line 2 is not it")

    found = pages(ask(0), ask)
    assert list(found.lines) == lines
    assert (found.more, found.broken) == (False, "line 2 is not it")
    assert asked == [0, 3, 6]
    assert pages(AuditLines(more=True), ask).lines == (), "a node that gives nothing is not asked for ever"


def test_what_node_and_laptop_both_wrote_is_one_entry_and_the_nodes_word_counts() -> None:
    node = Trail(place="mini-1", lines=(a_line(5, "r1", outcome="reverted"), a_line(9, "r3")))
    laptop = Trail(
        place=LAPTOP,
        lines=(
            a_line(6, "r1", node="mini-1", outcome="unreachable"),
            a_line(7, "r2", node="mini-1", outcome="unreachable"),
            a_line(8, node="mini-1", action="drain"),
            a_line(8, "r2", node="mini-7"),
        ),
    )
    entries = merged([laptop, node], nodes=[NodeName("mini-1")])
    assert [(one.line.run_id, one.line.action, one.line.outcome, one.places) for one in entries] == [
        ("r1", "deploy", "reverted", ("mini-1", LAPTOP)),
        ("r2", "deploy", "unreachable", (LAPTOP,)),
        (None, "drain", "committed", (LAPTOP,)),
        ("r3", "deploy", "committed", ("mini-1",)),
    ]
    assert len(merged([laptop, node], nodes=[NodeName("mini-1")], since_seconds=8)) == 2


def test_a_row_says_who_what_when_and_steers_no_terminal() -> None:
    line = a_line(0, "r1", before="a" * 64, after="b" * 64, git_commit="c0ffee", git_dirty=True, text="\x1b[2J")
    row = verb.harmless(verb._row(Entry(node="mini-1", line=line, places=("mini-1",))))
    assert row == (
        "1970-01-01 00:00:00  mini-1  deploy  committed  ann@desk  aaaaaaaaaaaa -> bbbbbbbbbbbb  commit c0ffee+  ?[2J"
    )


def test_exit_codes_tell_whole_from_broken_and_unasked() -> None:
    whole, broken = Trail(place="a"), Trail(place="b", broken="behind 1 comes 3")
    gone = Trail(place="c", error=Unreachable("cannot reach it", node="c"))
    codes = [verb._exit_code(some, asked=2) for some in ((whole,), (whole, broken), (whole, gone), (gone, gone))]
    assert codes == [0, 1, 3, 4]


def test_many_commands_write_one_whole_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditfile, "_FILE_BYTES", 2000)
    path = tmp_path / ".fleet" / "audit.jsonl"
    commands = [AuditFile(path) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda one=one: [one.add(a_line(n, f"r{n}")) for n in range(10)]) for one in commands
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines, broken = AuditFile(path).read()
    assert broken is None
    assert [line.seq for line in lines] == list(range(1, 41))
    assert len(list(path.parent.glob("audit-*.jsonl"))) > 1
    assert path.stat().st_mode & 0o077 == 0
    with path.open("ab") as file:
        file.write(b'{"torn')
    AuditFile(path).add(a_line(99))
    assert AuditFile(path).read()[1] is None


def test_the_verb_reads_this_laptops_lines_without_asking_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text("all: {hosts: {mini-1: {}}}\n")
    AuditFile(tmp_path / ".fleet" / "audit.jsonl").add(a_line(0, "r1", node="mini-1"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["audit", "--offline", "--json"])
    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert [(one["node"], one["run_id"], one["places"]) for one in said["entries"]] == [("mini-1", "r1", ["laptop"])]
    path = tmp_path / ".fleet" / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b"ann@desk", b"bob@desk"))
    with pytest.raises(SystemExit) as ended:
        main(["audit", "--offline"])
    assert ended.value.code == 1
    assert "the audit of this laptop is not whole: line 1 is not the one that was written" in capsys.readouterr().err
