"""What somebody, or a broken tool, left where fleet keeps its own: a run says it in words, and leaves old or new."""

from __future__ import annotations

from pathlib import Path

import pytest
from sync_kit import Node, Release

from fleet.node.sync import releases
from fleet.node.sync.apply import apply
from fleet.node.sync.machine import Ran


def release_of(node: Node, version: str) -> Release:
    release = node.release().directory(f"{node.layout.root}/etc").file(node.layout.etc("conf"), version)
    return release.daemon("worker", version)


def test_a_current_that_somebody_made_a_directory_stops_the_run_and_leaves_the_old_release(tmp_path: Path) -> None:
    node = Node(tmp_path)
    assert node.deploy(release_of(node, "one")) == "committed"
    pids = node.mac.pids()
    current = Path(node.layout.current)
    current.unlink()
    current.mkdir()
    (current / "notes.txt").write_text("mine")
    outcome = node.deploy(release_of(node, "two"))
    assert outcome in ("reverted", "failed")
    assert "current" in node.end().text
    assert Path(node.layout.etc("conf")).read_text() == "one"
    assert (current / "notes.txt").read_text() == "mine", "what is not fleet's stays"
    assert set(node.mac.pids()) == set(pids)


def test_once_it_is_moved_away_the_same_deploy_goes_well(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.deploy(release_of(node, "one"))
    Path(node.layout.current).unlink()
    Path(node.layout.current).mkdir()
    node.deploy(release_of(node, "two"))
    Path(node.layout.current).rmdir()
    assert node.deploy(release_of(node, "two")) == "committed"
    assert releases.current_id(node.machine) == release_of(node, "two").state.state_id
    assert node.plan(release_of(node, "two")) == ()


@pytest.mark.parametrize("days", [24.9, 49.8, 200.0])
def test_a_machine_that_is_up_for_months_is_deployed_to_as_any_other(tmp_path: Path, days: float) -> None:
    """A count of milliseconds in 32 bits comes round after 49.7 days, a signed one after 24.8."""
    node = Node(tmp_path)
    assert node.deploy(release_of(node, "one")) == "committed"
    node.clock.sleep(days * 86400 - 5)
    assert node.deploy(release_of(node, "two")) == "committed"
    assert node.plan(release_of(node, "two")) == ()


@pytest.mark.parametrize("verb", ["bootstrap", "bootout", "print", "kill", "kickstart"])
def test_a_launchctl_that_hangs_ends_the_run_in_words_and_old_or_new(tmp_path: Path, verb: str) -> None:
    """Every command has a deadline: what hangs is a command that ends with 124."""
    node = Node(tmp_path)
    assert node.deploy(release_of(node, "one")) == "committed"
    real = node.mac._launchctl  # what hangs is put in the place of the fake's own

    def hangs(words: tuple[str, ...]) -> Ran:
        if words and words[0] == verb:
            node.clock.sleep(30)
            return Ran(code=124, err="not done after 30 s")
        return real(words)

    new = release_of(node, "two")
    node.watch(new)
    node.stage(new)
    node.request(new)
    node.mac._launchctl = hangs  # type: ignore[method-assign]
    outcome = apply(node.machine)
    node.mac._launchctl = real  # type: ignore[method-assign]
    assert outcome in ("committed", "reverted", "failed")
    if outcome != "committed":
        assert node.end().text
    if outcome == "reverted":
        assert Path(node.layout.etc("conf")).read_text() == "one"
    assert node.deploy(release_of(node, "two")) == "committed", "and when it works again, so does a deploy"
    assert node.plan(release_of(node, "two")) == ()
