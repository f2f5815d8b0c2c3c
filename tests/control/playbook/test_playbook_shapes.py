"""The validator and the JSON Schema say the same of every case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from playbook_cases import BAD, GOOD

from fleet.control.inventory.project import packaged_dir
from fleet.control.inventory.yamlsource import parse_yaml
from fleet.control.playbook.loader import load_playbook, read_playbook
from fleet.control.playbook.schema import playbook_schema
from fleet.control.playbook.tasks import KINDS
from fleet.errors import PlaybookError

SCHEMA = jsonschema.Draft202012Validator(playbook_schema())


def refused(case: Any) -> list[str]:
    """What the validator says of a case."""
    document = parse_yaml(yaml.safe_dump(case, sort_keys=False), name="p.yml", error=PlaybookError)
    return [finding.text for finding in read_playbook(document, Path("p.yml"))[1]]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(playbook_schema())


@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD.keys())
def test_validator_and_schema_both_accept(case: Any) -> None:
    assert refused(case) == []
    assert [error.message for error in SCHEMA.iter_errors(case)] == []


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_validator_and_schema_both_refuse(case: Any) -> None:
    assert refused(case) != []
    assert not SCHEMA.is_valid(case)


def test_every_kind_has_a_good_and_a_bad_case() -> None:
    def kinds(cases: dict[str, Any]) -> set[str]:
        plays = [play for case in cases.values() if isinstance(case, list) for play in case if isinstance(play, dict)]
        tasks = [task for play in plays for task in play.get("tasks", []) if isinstance(task, dict)]
        return {key for task in tasks for key in task if key in KINDS}

    assert kinds(GOOD) == set(KINDS)
    assert kinds(BAD) >= set(KINDS) - {"model"}


@pytest.mark.parametrize("name", ["site.yml", "provision.yml", "openclaw.yml", "weekly.yml"])
def test_a_shipped_playbook_loads_fits_the_schema_and_names_it_for_editors(name: str) -> None:
    path = packaged_dir() / "playbooks" / name
    assert load_playbook(path).plays
    text = path.read_text()
    assert text.startswith("# yaml-language-server: $schema=")
    assert [error.message for error in SCHEMA.iter_errors(yaml.safe_load(text))] == []
