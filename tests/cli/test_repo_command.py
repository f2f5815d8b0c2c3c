"""`fleet repo` in real checkouts."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fleet.cli.main import cli
from fleet.control.actions.repotag import FILE
from fleet.errors import ConfigError, FleetError, UsageError
from fleet.traffic.policy import Policy, Repo
from fleet.traffic.sensitivity.labels import Labeller
from fleet.vocabulary.names import Sensitivity


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, env=environment)


def fleet(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["repo", *map(str, words)])


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of a repository with one commit; `origin` is a bare one beside it."""
    origin, work = tmp_path / "shop.git", tmp_path / "shop"
    git(tmp_path, "init", "--bare", str(origin))
    git(tmp_path, "clone", str(origin), str(work))
    git(work, "commit", "--allow-empty", "-m", "one")
    git(work, "push", "-u", "origin", "HEAD")
    return work


def pushed(clone: Path, label: str) -> None:
    assert fleet("tag", clone, label, "--name", "github.com/acme/shop").exit_code == 0
    git(clone, "add", FILE)
    git(clone, "commit", "-m", "tag")
    git(clone, "push")


def test_a_tag_is_a_small_file_at_the_top_and_how_to_send_it_is_said(clone: Path) -> None:
    (clone / "deep").mkdir()
    made = fleet("tag", clone / "deep", "sensitive", "--name", "github.com/acme/shop")
    assert made.exit_code == 0, made.output
    lines = (clone / FILE).read_text().splitlines()
    assert lines[-2:] == ["name: github.com/acme/shop", "sensitivity: sensitive"]
    assert "commit" in made.stderr
    for client in ("curl", "OpenAI SDK", "Claude Code", "Codex", "opencode"):
        assert client in made.stdout
    assert "'x-fleet-repo: github.com/acme/shop'" in made.stdout


def test_the_same_tag_again_changes_nothing(clone: Path) -> None:
    fleet("tag", clone, "internal")
    before = (clone / FILE).stat().st_mtime_ns
    again = fleet("tag", clone, "internal")
    assert "as it was" in again.stderr
    assert (clone / FILE).stat().st_mtime_ns == before


def test_a_repository_is_called_what_its_remote_is_called(clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", "git@github.com:Acme/Shop.git")
    fleet("tag", clone, "public")
    assert "name: github.com/acme/shop\n" in (clone / FILE).read_text()


def test_a_label_that_the_remote_has_is_neither_lowered_nor_renamed_nor_taken_away(clone: Path) -> None:
    pushed(clone, "sensitive")
    for words in (("tag", clone, "internal"), ("untag", clone), ("tag", clone, "sensitive", "--name", "open/x")):
        refused = fleet(*words)
        assert isinstance(refused.exception, UsageError)
        assert "is sensitive on origin/" in refused.exception.text
        assert "reviewed" in refused.exception.text
    assert "sensitivity: sensitive" in (clone / FILE).read_text()
    assert fleet("tag", clone, "restricted").exit_code == 0
    assert fleet("tag", clone, "sensitive").exit_code == 0, "down to what the remote says is not below it"


def test_a_tag_that_was_lost_here_comes_back_under_its_name(clone: Path) -> None:
    pushed(clone, "sensitive")
    (clone / FILE).unlink()
    assert isinstance(fleet("tag", clone, "public").exception, UsageError)
    fleet("tag", clone, "sensitive")
    assert "name: github.com/acme/shop\n" in (clone / FILE).read_text()


def test_a_branch_that_follows_another_is_held_to_that_one_as_well(clone: Path) -> None:
    git(clone, "switch", "-c", "secret")
    git(clone, "push", "-u", "origin", "secret")
    pushed(clone, "restricted")
    assert isinstance(fleet("tag", clone, "sensitive").exception, UsageError)


def test_show_says_what_is_here_and_on_the_remote(clone: Path) -> None:
    none = fleet("show", clone)
    assert (none.exit_code, none.stdout.splitlines()[1]) == (1, "no tag on the remote")
    pushed(clone, "internal")
    fleet("tag", clone, "restricted")
    shown = json.loads(fleet("show", clone, "--json").stdout)
    assert shown["tag"] == {"name": "github.com/acme/shop", "sensitivity": "restricted"}
    assert shown["remote_tag"]["sensitivity"] == "internal"
    assert "github.com/acme/shop: restricted" in fleet("show", clone).stdout


def test_a_folder_outside_of_git_is_tagged_by_its_own_name_and_untagged(tmp_path: Path) -> None:
    folder = tmp_path / "Notes"
    folder.mkdir()
    assert fleet("tag", folder, "restricted").exit_code == 0
    assert "name: notes\n" in (folder / FILE).read_text()
    assert fleet("untag", folder).exit_code == 0
    assert not (folder / FILE).exists()
    assert "nothing to do" in fleet("untag", folder).stderr


def test_the_exports_are_what_a_shell_reads_and_what_the_gateway_understands(clone: Path) -> None:
    fleet("tag", clone, "sensitive", "--name", "o'hara & sons/$HOME")
    script = (
        fleet("env", clone).stdout + 'printf "%s|%s|%s" "$FLEET_REPO" "$FLEET_SENSITIVITY" "$ANTHROPIC_CUSTOM_HEADERS"'
    )
    ran = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True, env={"HOME": "/h"})
    name, label, headers = ran.stdout.split("|")
    assert (name, label) == ("o'hara & sons/$HOME", "sensitive")
    sent = dict(line.split(": ", 1) for line in headers.splitlines())
    policy = Policy(ledger_file="l", repos=(Repo(pattern="o'hara*", sensitivity=Sensitivity.RESTRICTED),))
    said = Labeller(policy).label(repository=sent["x-fleet-repo"], header=sent["x-fleet-sensitivity"])
    assert said.label is Sensitivity.RESTRICTED


def test_exports_of_what_has_no_tag_are_refused_with_what_to_do(clone: Path) -> None:
    refused = fleet("env", clone).exception
    assert isinstance(refused, UsageError)
    assert "fleet repo tag" in refused.text


@pytest.mark.parametrize(
    "text", ["", "name: x\n", "name: x\nsensitivity: secret\n", "- x\n", "name: é\nsensitivity: public\n", "name: [\n"]
)
def test_a_file_that_is_no_tag_is_told_with_its_place(clone: Path, text: str) -> None:
    (clone / FILE).write_text(text)
    refused = fleet("show", clone).exception
    assert isinstance(refused, ConfigError)
    assert str(clone / FILE) in refused.text


def test_a_name_that_fits_no_header_and_a_folder_that_is_none_are_refused(clone: Path) -> None:
    assert isinstance(fleet("tag", clone, "public", "--name", "a\nb").exception, UsageError)
    assert isinstance(fleet("tag", clone / "nowhere", "public").exception, UsageError)
    assert fleet("tag", clone, "secret").exit_code == 2


def test_where_git_does_not_answer_nothing_is_tagged(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    refused = fleet("tag", tmp_path, "public").exception
    assert isinstance(refused, FleetError)
    assert "git does not answer" in refused.text
    assert not (tmp_path / FILE).exists()
