"""Who uses which secret, told without learning any; and what `fleet secret` says to a person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fleet.cli.main import cli
from fleet.control.actions.secret_uses import Use, Uses, keys_that_follow, uses_of
from fleet.errors import FleetError
from tests.control.desired.desired_kit import FACTS, Kit, a_project

FLEET, GATEWAY = "file:secrets/fleet.key", "file:secrets/gateway.key"
TOKEN = """\
- name: all
  hosts: all
  tasks:
    - {name: node env, python_env: {name: node, lock: node.lock}}
    - {name: token, file: {dest: etc/hub.token, secret: "env:HUB_TOKEN"}}
    - name: reader
      daemon: {label: reader, program: [/bin/cat], restart_on: [etc/hub.token]}
    - {name: told, command: {argv: [/bin/true], on_change_of: [token]}}
"""


def uses(kit: Kit) -> Uses:
    return uses_of(kit.inventory, kit.playbook, project=kit.project, facts=FACTS)


def test_every_file_of_every_node_is_named_with_what_follows(tmp_path: Path) -> None:
    found = uses(a_project(tmp_path))
    assert found.nodes(GATEWAY) == ("front-1",)
    assert found.by_reference[GATEWAY] == (
        Use(node="front-1", path="/opt/fleet/etc/keys.json", services=("gateway",)),  # type: ignore[arg-type]
    )
    assert found.nodes(FLEET) == ("front-1", "mini-1", "mini-2")
    tokens = [use for use in found.by_reference[FLEET] if use.path.endswith("agent.token")]
    assert {use.services for use in tokens} == {("agent", "gateway")}
    assert found.rings == {FLEET: {"fleet_key"}, GATEWAY: {"gateway_key"}}


def test_what_restarts_with_a_secret_and_the_commands_behind_it_follow_too(tmp_path: Path) -> None:
    kit = a_project(tmp_path, playbook=TOKEN)
    assert {use.restarts for use in uses(kit).by_reference["env:HUB_TOKEN"]} == {("reader",)}
    follows = keys_that_follow(kit.one("mini-1"), ["env:HUB_TOKEN"])
    assert {key.partition(":")[0] for key in follows} == {"file", "daemon", "command"}
    assert keys_that_follow(kit.one("mini-1"), [FLEET]) == frozenset()


def test_a_key_under_change_is_no_secret_of_its_own(tmp_path: Path) -> None:
    kit = a_project(tmp_path)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/fleet.key.next").write_text("next")
    assert set(uses(kit).by_reference) == {FLEET, GATEWAY}


def fleet(kit: Kit, *words: str) -> Result:
    return CliRunner().invoke(cli, ["-i", str(kit.project.inventory), "secret", *words], catch_exceptions=True)


def test_check_says_of_each_secret_whether_it_can_be_had_and_shows_none(tmp_path: Path) -> None:
    kit = a_project(tmp_path)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/fleet.key").write_text("the-very-secret-key")
    (tmp_path / "secrets/fleet.key").chmod(0o600)
    said = fleet(kit, "check")
    assert said.exit_code == 1
    assert f"{FLEET}: can be had, " in said.stdout
    assert f"{GATEWAY}: cannot be had" in said.stdout
    assert "front-1  /opt/fleet/etc/keys.json  reloads gateway" in said.stdout
    assert "gateway.key: no such file" in said.stderr
    listed = json.loads(fleet(kit, "check", "--json").stdout)
    assert {one["reference"]: one["error"] is None for one in listed} == {FLEET: True, GATEWAY: False}
    assert "the-very-secret-key" not in said.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rotate", "file:nowhere"], "nothing uses such a secret"),
        (["rotate", "sk-abcdef123"], "nothing uses such a secret"),
        (["rotate", FLEET, "--finish"], "--finish is for gateway_key"),
        (["rotate", "env:HUB_TOKEN", "--playbook", "test"], "another program"),
    ],
)
def test_what_cannot_be_changed_is_refused_before_anything_is_asked(
    tmp_path: Path, words: list[str], told: str
) -> None:
    kit = a_project(tmp_path, playbook=TOKEN if "test" in words else None)
    said = fleet(kit, *words)
    assert isinstance(said.exception, FleetError)
    assert told in said.exception.text
    assert "abcdef123" not in said.exception.text


def test_a_secret_that_others_give_out_is_not_made_up(tmp_path: Path) -> None:
    kit = a_project(tmp_path, playbook=TOKEN.replace("env:HUB_TOKEN", "file:secrets/hub.token"))
    said = fleet(kit, "rotate", "file:secrets/hub.token", "--playbook", "test")
    assert isinstance(said.exception, FleetError)
    assert "--stdin" in said.exception.hint
