"""After an uninstall there is no daemon and no file left, unless data is to be kept."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from sync_kit import Node
from test_session import _Gone, frames

from fleet.node.sync.frames import Wire
from fleet.node.sync.uninstall import Uninstall
from fleet.vocabulary.contracts.sync import Done, Event, Failed


@pytest.fixture
def node(tmp_path: Path) -> Node:
    made = Node(tmp_path)
    release = made.release().file(str(tmp_path / "newsyslog.conf"), "x").directory(made.layout.var("cache"))
    assert made.deploy(release.daemon("agent").daemon("gateway")) == "committed"
    label = made.layout.apply_label
    Path(made.layout.plist(label)).write_bytes(Path(made.layout.plist("org.fleet-macs.agent")).read_bytes().replace(
        b"org.fleet-macs.agent", label.encode()))  # fmt: skip
    made.mac.run(("/bin/launchctl", "bootstrap", "system", made.layout.plist(label)))
    Path(made.layout.daemons_dir, "com.other.plist").write_text("theirs")
    Path(made.layout.daemons_dir, "org.fleet-macs.left-over.plist").write_text("ours")
    Path(made.layout.sudoers_dir, "fleet-mini").write_text(f"me ALL=(root) NOPASSWD: {made.layout.helper}\n")
    Path(made.layout.sudoers_dir, "other").write_text("me ALL=(root) NOPASSWD: /bin/ls\n")
    Path(made.layout.var("ledger.db")).write_text("data")
    return made


def uninstall(node: Node, out: io.BytesIO, *, keep_data: bool = False) -> int:
    return Uninstall(machine=node.machine, wire=Wire(io.BytesIO(), out), keep_data=keep_data).run()


def test_nothing_of_ours_is_left_and_all_of_theirs_is(node: Node, tmp_path: Path) -> None:
    out = io.BytesIO()
    assert uninstall(node, out) == 0
    assert node.mac.pids() == {}
    assert not Path(node.layout.root).exists()
    assert not (tmp_path / "newsyslog.conf").exists()
    assert [path.name for path in Path(node.layout.daemons_dir).iterdir()] == ["com.other.plist"]
    assert [path.name for path in Path(node.layout.sudoers_dir).iterdir()] == ["other"]
    said = frames(out.getvalue())
    assert isinstance(said[-1], Done)
    texts = [each.text for each in said if isinstance(each, Event)]
    assert "org.fleet-macs.apply is booted out" in [text for text in texts if "booted out" in text][-1]
    assert "sudoers.d" in texts[-2]


def test_data_is_kept_when_asked(node: Node) -> None:
    assert uninstall(node, io.BytesIO(), keep_data=True) == 0
    assert [path.name for path in Path(node.layout.root).iterdir()] == ["var"]
    assert Path(node.layout.var("ledger.db")).read_text() == "data"


def test_a_laptop_that_goes_away_does_not_stop_it(node: Node) -> None:
    assert uninstall(node, _Gone(1)) == 0
    assert not Path(node.layout.root).exists()


def test_a_pending_run_is_not_torn_apart(node: Node) -> None:
    Path(node.layout.state("pending")).write_text("r9")
    out = io.BytesIO()
    assert uninstall(node, out) == 1
    failed = frames(out.getvalue())[-1]
    assert isinstance(failed, Failed)
    assert (failed.code, "r9" in failed.detail) == ("busy", True)
    assert Path(node.layout.root).exists()


def test_a_job_that_will_not_die_keeps_the_root(node: Node) -> None:
    node.mac.linger_seconds = 10_000
    assert uninstall(node, io.BytesIO()) == 1
    assert Path(node.layout.root).exists()


def test_files_of_the_release_elsewhere_below_the_root_go_too_with_their_folders(node: Node) -> None:
    root = Path(node.layout.root)
    release = node.release().directory(f"{root}/site").file(f"{root}/site/deep/note.txt", "x")
    assert node.deploy(release.file(f"{root}/loose.txt", "x").file(f"{root}/theirs/ours.txt", "x")) == "committed"
    (root / "theirs" / "own.txt").write_text("theirs")
    assert uninstall(node, io.BytesIO(), keep_data=True) == 0
    assert sorted(path.name for path in root.iterdir()) == ["theirs", "var"]
    assert [path.name for path in (root / "theirs").iterdir()] == ["own.txt"]


def test_what_somebody_else_keeps_below_the_root_stays(node: Node) -> None:
    theirs = Path(node.layout.root, "Documents")
    theirs.mkdir()
    Path(node.layout.root, "envs.removed").mkdir()
    out = io.BytesIO()
    assert uninstall(node, out) == 0
    assert [path.name for path in Path(node.layout.root).iterdir()] == ["Documents"]
    assert any("but for Documents" in each.text for each in frames(out.getvalue()) if isinstance(each, Event))
