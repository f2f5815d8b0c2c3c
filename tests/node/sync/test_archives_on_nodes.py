"""An archive on a node: complete or not there, kept while a release stands on it, back after a rollback."""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from pathlib import Path

import pytest
from sync_kit import Node, Release, a_tar

from fleet.node.sync.problem import Problem
from fleet.node.sync.prune import prune
from fleet.node.sync.safety import check_state
from fleet.node.sync.stage import Stage
from fleet.vocabulary.contracts.desired import Keep, Tree
from fleet.vocabulary.layout import FOLDERS


def a_release(node: Node, version: str, *, program: str = "/bin/sh") -> Release:
    """A tool, and a daemon that runs out of it."""
    raw = a_tar({"bin/tool": version.encode(), "lib/deep/x": b"x"})
    path = node.layout.archive(hashlib.sha256(raw).hexdigest())
    release = node.release()
    release.add(Tree(task="t", role="archive", name="tool", path=path, archive=release.blob(raw)))
    return release.daemon("tool", f"{path}/bin/tool", program=program)


def path_of(release: Release) -> Path:
    (tree,) = [item for item in release.items if isinstance(item, Tree)]
    return Path(tree.path)


def test_it_is_unpacked_once_and_then_nothing_is_left_to_do(tmp_path: Path) -> None:
    node = Node(tmp_path)
    release = a_release(node, "1")
    assert node.deploy(release) == "committed"
    assert (path_of(release) / "bin/tool").read_bytes() == b"1"
    assert node.plan(release) == ()
    check_state(node.machine, release.state)


def test_the_one_before_stays_comes_back_and_goes_when_no_release_needs_it(tmp_path: Path) -> None:
    node = Node(tmp_path)
    first, second, third = (a_release(node, version) for version in "123")
    for release in (first, second):
        assert node.deploy(release) == "committed"
        node.clock.advance(60)
    assert {step.key for step in node.plan(first)} == {"daemon:" + node.layout.label("tool")}
    assert node.deploy(first) == "committed"
    node.clock.advance(60)
    assert node.deploy(third) == "committed"
    prune(node.machine, Keep(releases=2))
    left = {path.name for path in Path(node.layout.root, "archives").iterdir()}
    assert path_of(third).name in left
    assert len(left) == 2


def test_a_daemon_that_does_not_come_up_goes_back_to_the_archive_before(tmp_path: Path) -> None:
    node = Node(tmp_path)
    good = a_release(node, "1")
    assert node.deploy(good) == "committed"
    assert node.deploy(a_release(node, "2", program="/nowhere")) == "reverted"
    assert node.plan(good) == ()


def test_a_crash_while_it_is_unpacked_leaves_no_half_of_it(tmp_path: Path) -> None:
    node = Node(tmp_path)
    release = a_release(node, "1")
    asked: list[int] = []

    def crash() -> None:
        asked.append(1)
        if len(asked) == 3:  # the plist, the tree's begin, the tree's rename
            raise Problem("cut", code="cut")

    for digest, content in release.contents.items():
        Path(node.layout.blob(digest.split(":")[1])).write_bytes(content)
    with pytest.raises(Problem, match="cut"):
        Stage(machine=node.machine, state=release.state, proceed=crash).run()
    assert not path_of(release).exists()
    assert path_of(release).with_name(f"{path_of(release).name}.new").exists()
    assert node.deploy(release) == "committed"
    assert (path_of(release) / "lib/deep/x").read_bytes() == b"x"


def test_its_folder_is_fleets_own_from_adopt_to_uninstall(tmp_path: Path) -> None:
    node = Node(tmp_path)
    assert node.layout.reserves(node.layout.archive("0" * 64) + "/bin/tool")
    adopt = resources.files("fleet.control.actions").joinpath("adopt.sh").read_text()
    (known,) = re.findall(r"grep -Evx '([^']*)'", adopt)
    assert set(FOLDERS) <= set(known.split("|"))
    assert f"/{Path(node.layout.archive('0')).parent.name} " in adopt


def test_it_may_lie_nowhere_else(tmp_path: Path) -> None:
    node = Node(tmp_path)
    release = a_release(node, "1")
    (tree, daemon) = release.items
    assert isinstance(tree, Tree)
    release.items = [Tree(**{**vars(tree), "path": node.layout.env(tree.path.rpartition("/")[2])}), daemon]
    with pytest.raises(Problem, match="is not a place for the archive"):
        check_state(node.machine, release.state)
