"""`fleet key` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fleet.cli.main import cli


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that has an inventory, and nothing else."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text("all: {hosts: {mini-1: {}}}\n")
    return tmp_path


def fleet(project: Path, *words: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(
        cli, ["-i", str(project / "inventory" / "fleet.yml"), "key", *words]
    )


def test_a_key_is_shown_once_alone_on_stdout_and_never_again(project: Path) -> None:
    made = fleet(project, "create", "anna-ide", "--person", "anna", "--team", "research", "--rpm", "60")
    assert made.exit_code == 0, made.output
    text = made.stdout.strip()
    assert text.startswith("sk-fleet-")
    assert "fleet deploy brings it to the fronts" in made.stderr
    assert text not in (project / "keys.json").read_text()
    shown = fleet(project, "list")
    assert "anna-ide" in shown.stdout
    assert "60 requests/min" in shown.stdout
    assert text not in shown.stdout
    assert "sha256" not in fleet(project, "list", "--json").stdout


def test_a_change_keeps_the_old_text_for_its_grace_and_a_revocation_keeps_nothing(project: Path) -> None:
    first = fleet(project, "create", "ci").stdout
    second = fleet(project, "rotate", "ci", "--grace", "12h", "--json")
    assert json.loads(second.stdout)["key"] != first.strip()
    kept = json.loads((project / "keys.json").read_text())["keys"]
    assert ["expires_at_seconds" in key for key in kept] == [True, False]
    assert "its old text in" in " ".join(fleet(project, "list").stdout.split())
    assert fleet(project, "revoke", "ci").exit_code == 0
    assert json.loads((project / "keys.json").read_text())["keys"] == []


def test_a_name_that_is_taken_changes_nothing(project: Path) -> None:
    fleet(project, "create", "ci")
    before = (project / "keys.json").read_bytes()
    again = fleet(project, "create", "ci")
    assert again.exit_code != 0
    assert again.stdout == ""
    assert (project / "keys.json").read_bytes() == before


@pytest.mark.parametrize("words", [("--monthly-usd", "ten"), ("--expires", "soon"), ("--rpm", "-1"), ("--track", "x")])
def test_nonsense_is_refused_before_a_key_is_made(project: Path, words: tuple[str, str]) -> None:
    refused = fleet(project, "create", "ci", *words)
    assert refused.exit_code != 0
    assert "sk-fleet-" not in refused.output
    assert not (project / "keys.json").exists()


def test_what_a_key_may_is_kept_as_it_was_said(project: Path) -> None:
    said = ("--track", "token", "--track", "private", "--sensitivity", "sensitive", "--gray", "--incident")
    assert fleet(project, "create", "ci", *said, "--monthly-usd", "12.50", "--expires", "90d").exit_code == 0
    (kept,) = json.loads((project / "keys.json").read_text())["keys"]
    assert kept["tracks"] == ["token", "private"]
    assert kept["sensitivity"] == "sensitive"
    assert kept["gray"] is True
    assert kept["scopes"] == ["inference", "incident"]
    assert kept["limits"] == {"monthly_usd": "12.50"}
    assert "token, private; gray; incidents; at least sensitive" in " ".join(fleet(project, "list").stdout.split())
