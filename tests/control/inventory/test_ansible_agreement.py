"""One file feeds fleet and Ansible: `list --format ansible` equals what the real ansible-inventory prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.control.inventory.ansible import ansible_list
from fleet.control.inventory.project import packaged_dir
from fleet.testing.inventories import parsed

CASES = sorted((Path(__file__).parent / "ansible").glob("*.yml"))
EXAMPLES = sorted((packaged_dir() / "inventory").glob("*.yml"))


def listed_by_ansible(path: Path, home: Path) -> object:
    program = Path(sys.executable).with_name("ansible-inventory")
    if not program.is_file():
        pytest.skip("ansible-core is not installed")
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    environment = {"LC_ALL": "C.UTF-8", **kept, "HOME": str(home), "ANSIBLE_LOCALHOST_WARNING": "0"}
    words = [str(program), "-i", str(path), "--list"]
    answer = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=home, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.parametrize("path", [*CASES, *EXAMPLES], ids=lambda path: path.stem)
def test_ansible_and_fleet_list_the_same(path: Path, tmp_path: Path) -> None:
    ours = json.loads(json.dumps(ansible_list(parsed(path.read_text()))))
    assert json.dumps(ours, sort_keys=True) == json.dumps(listed_by_ansible(path, tmp_path), sort_keys=True)


def test_there_are_cases() -> None:
    assert len(CASES) >= 8
    assert EXAMPLES
