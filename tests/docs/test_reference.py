"""What the guide says is what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.cli.main import VERBS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_generated_reference_is_that_of_the_code() -> None:
    """In a process of its own: click remembers the help option of whoever called a command first."""
    check = [sys.executable, str(ROOT / "docs/reference/generate.py"), "--check"]
    answer = subprocess.run(check, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_of_the_project_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_page_shows_is_a_verb(page: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    shown = re.findall(r"^\s*(?:\$ )?fleet ([a-z]+)\b", "\n".join(blocks), flags=re.MULTILINE)
    assert [verb for verb in shown if verb not in VERBS] == []


def test_every_verb_is_in_the_guide() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    assert [verb for verb in VERBS if f"fleet {verb}" not in text] == []


def test_the_changelog_names_the_version() -> None:
    from fleet import __version__

    text = (ROOT / "CHANGELOG.md").read_text()
    assert f"[{__version__}]" in text or "[Unreleased]" in text


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs/decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
