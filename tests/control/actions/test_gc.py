"""`fleet gc`: what is asked of a node, what its answer becomes, and which exit code."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

from fleet.cli import gc as verb
from fleet.cli.main import main
from fleet.control.actions.asking import Asking
from fleet.control.actions.gc import Swept, collect
from fleet.control.link.frames import encode_frame
from fleet.control.rollout.conversation import SyncPart
from fleet.errors import NodeError, NotAdopted, Unreachable
from fleet.testing.clock import FakeClock
from fleet.testing.inventories import inventory_of
from fleet.testing.link import FakeLink, FakeSession
from fleet.vocabulary.contracts.frames import FromNode
from fleet.vocabulary.contracts.questions import Collect, Collected, Dropped
from fleet.vocabulary.contracts.sync import MAGIC, Failed, Hello
from fleet.vocabulary.names import NodeName

INVENTORY = inventory_of("all: {hosts: {mini-1: {host_key: ssh-ed25519 AAAA, edge_key: x}, mini-2: {}}}")
ENV = Dropped(path="/opt/fleet/envs/" + "7" * 64, why="no kept release refers to it", size_bytes=5000)


def swept(tmp_path: Path, answer: FromNode, *names: str, dry_run: bool = False) -> tuple[dict[str, Swept], list[str]]:
    """What comes of it by node, and what mini-1 was sent."""
    heard: list[str] = []

    def serve(command: str, stdin: BinaryIO, stdout: BinaryIO) -> int:
        assert " sync 1 - " in command, "facts only: no state is announced"
        stdout.write(b"noise of a login shell\n" + MAGIC + encode_frame(Hello()))
        stdout.flush()
        heard.append(stdin.read(int(stdin.readline())).decode())
        stdout.write(encode_frame(answer))
        stdout.flush()
        return 0

    link = FakeLink({"mini-1": FakeSession(serve, node="mini-1")})
    nodes = [INVENTORY.node(name) for name in names or ("mini-1",)]
    sync = SyncPart(digest="0" * 64, content=b"")
    asking = Asking(link=link, base=tmp_path, sync=sync, clock=FakeClock())
    found = collect(nodes, asking, Collect(dry_run=dry_run))
    return {one.node: one for one in found}, heard


@pytest.mark.parametrize(("dry_run", "said"), [(True, '"dry_run":true'), (False, '"dry_run":false')])
def test_a_node_is_asked_for_housekeeping_alone(tmp_path: Path, dry_run: bool, said: str) -> None:
    found, (heard,) = swept(tmp_path, Collected(dropped=(ENV, ENV)), dry_run=dry_run)
    assert (found["mini-1"].freed_bytes, found["mini-1"].error) == (10_000, None)
    assert said in heard
    assert '"kind":"collect"' in heard


def test_a_refusal_and_a_node_that_was_never_adopted_are_told_and_stop_no_other(tmp_path: Path) -> None:
    busy = Failed(code="busy", title="the node is busy", detail="run r1 is at work", hint="wait until it is done")
    found, _ = swept(tmp_path, busy, "mini-1", "mini-2")
    assert isinstance(found["mini-1"].error, NodeError)
    assert "run r1 is at work" in found["mini-1"].error.text
    assert isinstance(found["mini-2"].error, NotAdopted)


def test_exit_codes_tell_done_from_not_all_and_none() -> None:
    well = Swept(node=NodeName("a"))
    stuck = Swept(node=NodeName("b"), collected=Collected(problems=("/opt/fleet/envs/x: not permitted",)))
    gone = Swept(node=NodeName("c"), error=Unreachable("cannot reach it", node="c"))
    codes = [verb.exit_code(list(some)) for some in ((well,), (well, stuck), (well, gone), (gone,))]
    assert codes == [0, 1, 3, 4]


def test_what_a_node_says_does_not_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = Dropped(path="/opt/fleet/envs/\x1b]0;owned\x07", why="\x1b[2Jgone", size_bytes=1)
    verb.show_swept(
        Swept(node=NodeName("a"), collected=Collected(dropped=(evil,), problems=("\x1b[2J",))), dry_run=False
    )
    said = capsys.readouterr()
    assert "/opt/fleet/envs/?]0;owned?" in said.out
    assert "\x1b]" not in said.out
    assert "\x1b[2J" not in said.out + said.err


@pytest.mark.parametrize("words", [["gc", "mini-9"], ["gc", "mini-1", "--on", "all"], ["gc", "--on", "nobody-*"]])
def test_wrong_words_are_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text("all: {hosts: {mini-1: {}}}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
