"""A strategy that keeps every copy of a model for ever is told before anybody waits for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from desired_kit import FACTS, a_project

from fleet.control.desired.lint import lint
from fleet.control.inventory.project import packaged_dir

SITE = (packaged_dir() / "playbooks/site.yml").read_text()
STRATEGY = "strategy: {canary: 1, max_unavailable: 1, on_failure: revert_node}"


def warnings(tmp_path: Path, strategy: str) -> list[tuple[str, str]]:
    assert STRATEGY in SITE
    kit = a_project(tmp_path, playbook=SITE.replace(STRATEGY, f"strategy: {strategy}"))
    found = lint(kit.inventory, kit.playbook, project=kit.project, facts=FACTS).findings
    return [(one.message, one.hint) for one in found if "never let one go" in one.message]


@pytest.mark.parametrize("last_copy", ["wait", "refuse"])
def test_as_many_copies_as_the_floor_asks_for_are_never_let_go(tmp_path: Path, last_copy: str) -> None:
    ((message, hint),) = warnings(tmp_path, f"{{max_unavailable: 1, floor: 2, last_copy: {last_copy}}}")
    assert "play nodes with models: smollm2 has 2 copies (mini-1, mini-2), floor 2" in message
    assert f"last_copy: {last_copy} never let one go" in message
    assert hint == "floor: 1, one copy more, or last_copy: allow"


@pytest.mark.parametrize(
    "strategy",
    [
        "{max_unavailable: 1}",
        "{max_unavailable: 1, floor: 1, last_copy: wait}",
        "{max_unavailable: 1, floor: 2, last_copy: allow}",
    ],
)
def test_a_strategy_by_which_nodes_can_go_is_not_told(tmp_path: Path, strategy: str) -> None:
    assert warnings(tmp_path, strategy) == []


def test_only_the_play_counts_by_which_a_node_changes(tmp_path: Path) -> None:
    """The last one that names it."""
    stuck = SITE.replace(STRATEGY, "strategy: {floor: 2, last_copy: wait}")
    later = "\n- name: later\n  hosts: mlx\n  tasks: [{name: d, directory: {path: etc/d}}]\n"
    kit = a_project(tmp_path, playbook=stuck + later)
    found = lint(kit.inventory, kit.playbook, project=kit.project, facts=FACTS).findings
    assert not [one for one in found if "never let one go" in one.message]
