"""The guards of a deploy: a stale checkout, an older fleet."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fleet.control.rollout.checkout import GitCheckout
from fleet.control.rollout.guard import Guard, is_older
from fleet.vocabulary.contracts.sync import Hello


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
    done = subprocess.run(("git", "-C", str(folder), *identity, *words), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, text: str) -> str:
    (folder / "site.yml").write_text(text)
    git(folder, "add", "site.yml")
    git(folder, "commit", "-qm", text)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


def test_a_checkout_that_holds_what_is_live_deploys(repository: Path) -> None:
    live = commit(repository, "one")
    guard = Guard(checkout=GitCheckout(repository))
    assert guard.judge(Hello(git_commit=live)).refusals == ()
    commit(repository, "two")
    assert Guard(checkout=GitCheckout(repository)).judge(Hello(git_commit=live)).refusals == ()


def test_a_checkout_behind_what_is_live_is_refused_unless_forced(repository: Path) -> None:
    commit(repository, "one")
    live = commit(repository, "two")
    git(repository, "checkout", "-q", "HEAD~1")
    (refusal,) = Guard(checkout=GitCheckout(repository)).judge(Hello(git_commit=live)).refusals
    assert live[:12] in refusal.title
    assert "not part of this checkout" in refusal.title
    assert "--force" in refusal.hint
    forced = Guard(checkout=GitCheckout(repository), force=True).judge(Hello(git_commit=live))
    assert forced.refusals == ()
    assert forced.notes[0].endswith("forced")


def test_an_unknown_commit_counts_as_not_an_ancestor(repository: Path) -> None:
    commit(repository, "one")
    (refusal,) = Guard(checkout=GitCheckout(repository)).judge(Hello(git_commit="0" * 40)).refusals
    assert "unknown to this checkout" in refusal.title
    assert "git pull" in refusal.hint


@pytest.mark.parametrize("odd", ["--output=/tmp/x", "HEAD", "main; true", ""])
def test_a_commit_that_is_none_is_never_given_to_git_as_an_option(repository: Path, odd: str) -> None:
    commit(repository, "one")
    checkout = GitCheckout(repository)
    assert checkout.knows(odd) is False
    assert checkout.descends_from(odd) is False


def test_without_git_there_is_a_note_and_no_refusal(tmp_path: Path) -> None:
    judged = Guard(checkout=GitCheckout(tmp_path)).judge(Hello(git_commit="a" * 40))
    assert judged.refusals == ()
    assert "in no git" in judged.notes[0]


def test_a_node_that_knows_no_commit_is_deployed_to(repository: Path) -> None:
    commit(repository, "one")
    assert Guard(checkout=GitCheckout(repository)).judge(Hello()).refusals == ()


def test_a_rollback_goes_back_on_purpose(repository: Path) -> None:
    assert Guard(checkout=None).judge(Hello(git_commit="0" * 40)).refusals == ()


def test_a_tree_is_dirty_with_a_changed_and_with_a_new_file_but_not_with_what_the_laptop_remembers(
    repository: Path,
) -> None:
    commit(repository, "one")
    (repository / ".fleet").mkdir()
    (repository / ".fleet" / "facts").write_text("x")
    assert GitCheckout(repository).dirty is False
    (repository / "host_vars.yml").write_text("x")
    assert GitCheckout(repository).dirty is True
    assert GitCheckout(repository.parent / "nowhere").dirty is None


def test_a_newer_fleet_is_not_replaced_and_force_does_not_lift_that() -> None:
    (refusal,) = Guard(force=True, fleet_version="0.2.0").judge(Hello(live_fleet_version="0.10.1")).refusals
    assert "0.10.1" in refusal.title
    assert "--downgrade" in refusal.hint
    down = Guard(downgrade=True, fleet_version="0.2.0").judge(Hello(live_fleet_version="0.10.1"))
    assert down.refusals == ()
    assert "0.10.1" in down.notes[0]


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [
        ("0.1.0", "0.1.0", False),
        ("0.1.9", "0.1.10", True),
        ("0.2", "0.1.9", False),
        ("1.0.0", "0.9.9", False),
        ("0.1.0.dev3", "0.2.0", True),
        ("odd", "0.2.0", False),
        ("0.1.0", "", False),
    ],
)
def test_versions_compare_by_number(one: str, other: str, older: bool) -> None:
    assert is_older(one, than=other) is older
