"""Old releases, trees, runs and blobs leave the node; what is needed, foreign or elsewhere stays."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sync_kit import Node, Release
from test_session import frame, node, of, talk

from fleet.node.sync import releases
from fleet.node.sync.disk import Disk
from fleet.node.sync.ownlog import LIMIT_BYTES, bound_own_log
from fleet.node.sync.pending import pending_run
from fleet.node.sync.prune import prune
from fleet.vocabulary.contracts.desired import Keep, Tree
from fleet.vocabulary.contracts.questions import Collect, Collected
from fleet.vocabulary.contracts.sync import BlobPart, Bye, Desired, Failed, Observed

__all__ = ["node"]


def a_release(node: Node, number: int) -> Release:
    """Each with an env of its own, a file that changes, and one that never does."""
    one = node.release().tree("mlx", {"lib.py": f"VERSION = {number}\n".encode() * 100})
    return one.file(node.layout.etc("app.conf"), f"{number}\n").file(node.layout.etc("same.conf"), "same\n")


def deploy(node: Node, *numbers: int) -> None:
    for number in numbers:
        deploy_one(node, a_release(node, number))


def deploy_one(node: Node, release: Release) -> None:
    """Its record is as old as the node's clock says: the disk would give it the time of the machine of the test."""
    assert node.deploy(release) == "committed"
    state_id = releases.current_id(node.machine)
    node.clock.advance(3600)
    at = node.clock.now().timestamp()
    os.utime(node.layout.release(state_id or ""), (at, at))


def children(node: Node, kind: str) -> set[str]:
    return set(node.machine.disk.names(f"{node.layout.root}/{kind}"))


def test_after_fifteen_deploys_three_releases_are_there_and_nothing_that_only_others_had(node: Node) -> None:
    deploy(node, *range(15))
    last = [a_release(node, number).state for number in (12, 13, 14)]
    assert children(node, "releases") == {"current", *(f"{state.state_id}.json" for state in last)}
    assert children(node, "envs") == {item.path.rsplit("/", 1)[1] for state in last for item in state.items[:1]}
    assert len(children(node, "files")) == 4
    assert prune(node.machine, Keep()).dropped == ()


def test_the_state_says_how_much_is_kept_and_a_change_of_that_touches_nothing_live(node: Node) -> None:
    deploy(node, 0, 1, 2)
    kept = a_release(node, 2)
    state = replace(kept.state, keep=Keep(releases=2))
    assert state.state_id != kept.state.state_id
    assert replace(state, keep=None).state_id == kept.state.state_id


def test_what_is_foreign_and_what_lies_behind_a_link_stays(node: Node, tmp_path: Path) -> None:
    deploy(node, 0)
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / f"llama@{'0' * 16}").mkdir(parents=True)
    Path(node.layout.root, "models").symlink_to(elsewhere)
    mine = Path(node.layout.root, "envs", "my-own-env")
    mine.mkdir()
    assert prune(node.machine, Keep()).dropped == ()
    assert mine.is_dir()
    assert list(elsewhere.iterdir())


def test_a_removal_that_was_cut_off_is_finished_by_the_next_round(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(node, 0)
    env = Path(node.layout.env("7" * 64))
    env.mkdir()
    (env / "lib.py").write_text("x")

    def killed(path: str) -> None:
        raise KeyboardInterrupt(path)

    with monkeypatch.context() as cut:
        cut.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(node.machine, Keep())
    assert not env.exists()  # its name went first: no half env under an address
    (rubbish,) = [path for path in env.parent.iterdir() if path.suffix == ".removed"]
    assert [one.path for one in prune(node.machine, Keep()).dropped] == [str(rubbish)]
    assert not rubbish.exists()
    assert prune(node.machine, Keep()).dropped == ()


def test_what_cannot_be_removed_is_told_and_stops_nothing(node: Node) -> None:
    class Stubborn(Disk):
        def remove_tree(self, path: str) -> None:
            if path.endswith("7" * 64):
                raise PermissionError(1, "Operation not permitted", path)
            super().remove_tree(path)

    deploy(node, 0)
    for digit in "678":
        Path(node.layout.env(digit * 64)).mkdir()
    done = prune(replace(node.machine, disk=Stubborn()), Keep())
    assert [one.path[-1] for one in done.dropped] == ["6", "8"]
    assert len(done.problems) == 1
    assert "Operation not permitted" in done.problems[0]


def test_a_laptop_may_ask_what_would_go_and_then_let_it_go(node: Node) -> None:
    deploy(node, 0, 1)
    env = Path(node.layout.env("7" * 64))
    env.mkdir()
    (env / "lib.py").write_bytes(b"x" * 5000)
    would = of(Collected, talk(node, frame(Collect(dry_run=True))))
    assert [(one.path, one.size_bytes) for one in would.dropped] == [(str(env), 5000)]
    assert env.exists()
    assert would.kept[0] == releases.current_id(node.machine)
    assert would.free_bytes
    did = of(Collected, talk(node, frame(Collect())))
    assert did.dropped == would.dropped
    assert not env.exists()


def test_housekeeping_is_refused_beside_a_run(tmp_path: Path) -> None:
    node = Node(tmp_path)  # nothing here finishes a pending run
    deploy(node, 0)
    node.stage(a_release(node, 1))
    node.request(a_release(node, 1))
    assert pending_run(node.machine)
    assert of(Failed, talk(node, frame(Collect()))).code == "busy"


def test_what_a_run_under_way_has_staged_stays(node: Node) -> None:
    deploy(node, 0, 1, 2, 3)
    ahead = a_release(node, 9)
    node.stage(ahead)
    os.utime(node.layout.release(ahead.state.state_id), (0, 0))
    node.request(ahead)
    prune(node.machine, Keep(releases=2, days=1))
    assert Path(ahead.state.items[0].path).is_dir()  # type: ignore[union-attr]
    assert releases.load(node.machine, ahead.state.state_id) == ahead.state


def test_the_apply_jobs_log_is_put_aside_and_its_writer_goes_on(node: Node) -> None:
    path = Path(node.layout.state("apply.log"))
    with path.open("ab", buffering=0) as launchd:
        launchd.write(b"x" * LIMIT_BYTES)
        bound_own_log(node.machine)
        launchd.write(b"fleet apply: committed\n")
        bound_own_log(node.machine)
    assert path.read_bytes() == b"fleet apply: committed\n"
    assert path.with_name("apply.log.1").stat().st_size == LIMIT_BYTES


def test_before_a_run_is_refused_for_room_old_releases_go_but_nothing_that_it_uses_again(node: Node) -> None:
    oldest = a_release(node, 0).tree("large", {"weights": b"w" * 5000})
    deploy_one(node, oldest)
    deploy(node, 1, 2)
    shared, large = (Path(item.path) for item in oldest.state.items if isinstance(item, Tree))

    class Full(Disk):
        def free_bytes(self, path: str) -> int | None:
            return 0 if large.exists() else 10**12

    node.machine = replace(node.machine, disk=Full())
    release = node.release().file(node.layout.etc("new.conf"), "new\n")
    ((digest, content),) = release.contents.items()
    again = next(item for item in oldest.state.items if isinstance(item, Tree) and item.path == str(shared))
    state = release.add(again).state
    part = BlobPart(digest=digest, offset=0, size=len(content))
    said = talk(node, frame(Desired(state=state)) + frame(part, content) + frame(Bye()))
    assert of(Observed, said).free_bytes == 0
    assert not [one for one in said if isinstance(one, Failed)]
    assert Path(node.layout.blob(digest.split(":")[1])).read_bytes() == content
    assert not large.exists()
    assert shared.is_dir(), "the run needs it, and nobody would send it"
    assert len(children(node, "releases")) == 3  # two, and `current`
