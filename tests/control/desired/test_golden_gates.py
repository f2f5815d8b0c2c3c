"""Golden prompts of a playbook become part of a node's gate."""

from __future__ import annotations

from pathlib import Path

import pytest
from desired_kit import a_project

from fleet.errors import PlaybookError
from fleet.vocabulary.contracts.desired import GenerateGate, GoldenAnswer

PLAYBOOK = """\
- name: models
  hosts: mini-1
  tasks:
    - {{name: node, python_env: {{name: node}}}}
    - {{name: mlx, python_env: {{name: mlx}}}}
    - {{name: weights, model: {{name: smollm2}}}}
    - name: edge
      daemon: {{service: gateway, role: edge, env: node}}
    - name: sidecar
      daemon: {{service: sidecar, name: chat, env: mlx, model: smollm2, port: 8800, kv_reserve: 1GiB}}
  health:
    - generate: {{daemon: sidecar.chat, golden: {golden}}}
"""


def gate(folder: Path, golden: str, **files: str) -> GenerateGate:
    written = {name.replace("_", "/", 1).replace("_", "."): text for name, text in files.items()}
    compiled = a_project(folder, playbook=PLAYBOOK.format(golden=golden), files=written).one("mini-1")
    return next(one for one in compiled.state.gates if isinstance(one, GenerateGate))


def test_a_golden_prompt_comes_from_the_playbook_or_from_a_file_of_the_project(tmp_path: Path) -> None:
    golden = "[{prompt: hello, answer: hi, max_tokens: 4}, {prompt_file: long.txt, answer: three months}]"
    assert gate(tmp_path, golden, templates_long_txt="a {{ contract }}").golden == (
        GoldenAnswer(name="golden prompt 1", prompt="hello", answer="hi", max_tokens=4),
        GoldenAnswer(name="long.txt", prompt="a {{ contract }}", answer="three months", max_tokens=64),
    )


def test_a_check_without_golden_prompts_makes_the_gate_of_older_releases(tmp_path: Path) -> None:
    assert gate(tmp_path, "[]").golden is None


@pytest.mark.parametrize("name", ["missing.txt", "../inventory/fleet.yml", "/etc/hosts"])
def test_a_prompt_file_that_is_not_below_templates_is_refused_with_its_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(PlaybookError, match=f"no such file {name}"):
        gate(tmp_path, f"[{{prompt_file: {name}, answer: x}}]")
