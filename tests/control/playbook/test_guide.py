"""The guide's examples load, and its lists are the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from playbook_cases import with_task

from fleet.control.inventory.yamlsource import parse_yaml
from fleet.control.playbook.facts import FACT_NAMES
from fleet.control.playbook.loader import read_playbook
from fleet.control.playbook.tasks import KINDS, LATER_KINDS
from fleet.errors import PlaybookError

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "playbook.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", GUIDE, flags=re.DOTALL)
TASKS = [line for block in BLOCKS for line in block.splitlines() if line.startswith(("archive:", "daemon:", "when:"))]


def refused(text: str) -> list[str]:
    """What the validator says."""
    return [one.text for one in read_playbook(parse_yaml(text, name="p.yml", error=PlaybookError), Path("p.yml"))[1]]


def test_the_whole_play_of_the_guide_loads() -> None:
    (play,) = [block for block in BLOCKS if "- name:" in block]
    assert refused(play) == []


@pytest.mark.parametrize("line", TASKS)
def test_every_line_that_the_guide_shows_loads(line: str) -> None:
    shown = yaml.safe_load(line)
    task = shown if {"archive", "daemon"} & set(shown) else {**shown, "directory": {"path": "var/x"}}
    assert refused(yaml.safe_dump(with_task(**task))) == []


def test_the_guide_lists_every_kind_and_every_fact() -> None:
    listed = set(re.findall(r"`([a-z_]+)`", GUIDE))
    assert {*KINDS, *LATER_KINDS, *FACT_NAMES} <= listed
