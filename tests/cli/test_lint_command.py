"""`fleet lint` and `fleet schema` as a person meets them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result

from fleet.cli.main import cli
from fleet.control.inventory.project import packaged_dir

INVENTORY = """\
all:
  vars:
    fleet_key: file:secrets/fleet.key
    gateway_key: file:secrets/gateway.key
    gateway_bind: 0.0.0.0
    model: tiny
    memory_gb: 16
  children:
    front: {hosts: {front-1: {}}}
    mlx: {hosts: {mini-1: {}}}
"""
MANIFEST = {"name": "tiny", "source": "file:tiny", "files": [], "weights_bytes": 1 << 30}


def project(folder: Path, inventory: str = INVENTORY, playbook: str | None = None, **manifest: object) -> Path:
    """A project that has everything; its inventory."""
    for name, text in {
        "inventory/fleet.yml": inventory,
        "models/tiny.json": json.dumps({**MANIFEST, **manifest}),
        "locks/node.lock": "",
        "locks/mlx.lock": "",
        **({"playbooks/site.yml": playbook} if playbook else {}),
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "inventory" / "fleet.yml"


def run(inventory: Path, *words: str) -> Result:
    """The command, in a fresh process's stead. Only a FleetError may come out of it."""
    return CliRunner().invoke(cli, ["-i", str(inventory), *words])


def test_a_project_without_fault_lints_clean_and_shows_what_its_models_need(tmp_path: Path) -> None:
    answer = run(project(tmp_path), "lint")
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.splitlines() == [
        "mini-1: sidecar.chat (tiny): weights 1.0 GiB + KV 2.0 GiB (stated) + overhead 512 MiB = 3.5 GiB",
        "mini-1: sum 3.5 GiB of 10.7 GiB (2/3 of 16.0 GiB): 7.2 GiB free",
    ]
    assert answer.stderr == "2 nodes, 3 plays: no errors, no warnings\n"


def test_lint_needs_neither_adoption_nor_secrets(tmp_path: Path) -> None:
    assert not (tmp_path / "secrets").exists()
    assert run(project(tmp_path), "lint").exit_code == 0


def test_models_that_do_not_fit_are_an_error(tmp_path: Path) -> None:
    answer = run(project(tmp_path, weights_bytes=20 << 30), "lint")
    assert answer.exit_code == 1
    assert "error: mini-1: its models need 22.5 GiB and the GPU may wire 10.7 GiB" in answer.stdout


def test_a_node_of_unknown_memory_is_a_warning_until_it_was_seen(tmp_path: Path) -> None:
    answer = run(project(tmp_path, INVENTORY.replace("    memory_gb: 16\n", "")), "lint")
    assert answer.exit_code == 0
    assert "warning: mini-1: whether the models fit cannot be known" in answer.stdout


def test_a_missing_manifest_is_told_with_what_makes_it(tmp_path: Path) -> None:
    inventory = project(tmp_path, INVENTORY.replace("model: tiny", "model: other"))
    answer = run(inventory, "lint")
    assert answer.exit_code == 0
    assert "warning: weights: no file 'other.json' in models/" in answer.stdout
    assert "fleet model lock" in answer.stdout
    assert "weights 0 B" not in answer.stdout


def test_what_nothing_refers_to_is_a_warning(tmp_path: Path) -> None:
    answer = run(project(tmp_path, INVENTORY.replace("    model: tiny", "    colour: red\n    model: tiny")), "lint")
    assert "nothing refers to the variable colour" in answer.stdout
    assert "variable model" not in answer.stdout


def test_an_edge_that_a_front_cannot_reach_is_a_warning(tmp_path: Path) -> None:
    answer = run(project(tmp_path, INVENTORY.replace("    gateway_bind: 0.0.0.0\n", "")), "lint")
    assert "front-1 reaches its edge at mini-1, and the edge binds loopback only" in answer.stdout


def test_models_near_the_limit_are_a_warning(tmp_path: Path) -> None:
    answer = run(project(tmp_path, weights_bytes=7 << 30), "lint")
    assert answer.exit_code == 0
    assert "its models take more than 80 % of what the GPU may wire" in answer.stdout


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("- name: p\n  hosts: all\n  tasks: [{name: t, comand: {}}]\n", "did you mean `command`?"),
        ("- name: p\n  hosts: alll\n  tasks: []\n", "play 'p': no node or group is called 'alll'"),
        (
            "- name: p\n  hosts: all\n  tasks: [{name: t, directory: {path: '{{ vars.nope }}'}}]\n",
            "no attribute 'nope'",
        ),
        ("", "the file is empty"),
    ],
)
def test_a_broken_playbook_is_an_error_with_its_place(tmp_path: Path, broken: str, said: str) -> None:
    inventory = project(tmp_path)
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "site.yml").write_text(broken)
    answer = run(inventory, "lint")
    assert answer.exit_code == 1
    assert said in answer.stdout
    assert "site.yml:1:" in answer.stdout or "site.yml:3:" in answer.stdout


def test_a_broken_template_is_an_error_with_its_place(tmp_path: Path) -> None:
    inventory = project(tmp_path)
    template = tmp_path / "templates" / "launchd" / "agent.plist.j2"
    template.parent.mkdir(parents=True)
    shipped = (packaged_dir() / "templates" / "launchd" / "agent.plist.j2").read_text()
    template.write_text(shipped.replace("<key>RunAtLoad</key>", "<key>RunAtLod</key>"))
    answer = run(inventory, "lint")
    assert answer.exit_code == 1
    assert "launchd/agent.plist.j2 (rendered, line" in answer.stdout
    assert "did you mean RunAtLoad?" in answer.stdout


def test_a_warning_of_the_key_table_reaches_the_person(tmp_path: Path) -> None:
    playbook = """\
- name: p
  hosts: mini-1
  tasks: [{name: t, daemon: {label: x, program: [/bin/x], process_type: Background}}]
"""
    answer = run(project(tmp_path, playbook=playbook), "lint")
    assert answer.exit_code == 0
    assert "warning: ProcessType: Background means efficiency cores" in answer.stdout


def test_lint_in_json_is_one_document(tmp_path: Path) -> None:
    answer = run(project(tmp_path, weights_bytes=20 << 30), "lint", "--json")
    assert answer.exit_code == 1
    found = json.loads(answer.stdout)
    assert (found["schema"], found["errors"]) == (1, 1)
    (error,) = [one for one in found["findings"] if one["level"] == "error"]
    assert error["place"].endswith("fleet.yml:10:19")


def test_lint_of_a_playbook_that_is_not_there_is_a_mistake_of_usage(tmp_path: Path) -> None:
    answer = run(project(tmp_path), "lint", "nothing")
    assert getattr(answer.exception, "exit_code", None) == 2


def test_the_shipped_examples_lint_clean_and_name_their_schema() -> None:
    examples = sorted((packaged_dir() / "inventory").glob("*.yml"))
    assert examples
    for path in examples:
        assert path.read_text().startswith("# yaml-language-server: $schema=")
        for playbook in ("site.yml", "provision.yml"):
            answer = run(path, "lint", playbook)
            assert answer.exit_code == 0, answer.output


@pytest.mark.parametrize("what", ["inventory", "playbook"])
def test_a_printed_schema_takes_the_shipped_examples(what: str) -> None:
    answer = CliRunner().invoke(cli, ["schema", what])
    schema = jsonschema.Draft202012Validator(json.loads(answer.stdout))
    folder = packaged_dir() / ("inventory" if what == "inventory" else "playbooks")
    for path in folder.glob("*.yml"):
        assert [error.message for error in schema.iter_errors(yaml.safe_load(path.read_text()))] == []
