"""What is typed to reach nodes by hand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fleet.control.actions.logs import log_command
from fleet.control.actions.reach import exec_on, ssh_argv
from fleet.errors import NotAdopted
from fleet.testing.inventories import inventory_of
from fleet.testing.link import FakeChannel, FakeLink, FakeSession
from fleet.vocabulary.argv import posix

INVENTORY = inventory_of(
    """
all:
  hosts:
    mini-1:
      ansible_host: 10.0.0.5
      ansible_port: 2222
      ansible_user: admin
      ansible_ssh_private_key_file: keys/fleet
      host_key: ssh-ed25519 AAAA
    stranger:
"""
)


def test_the_users_ssh_is_held_to_the_pinned_key(tmp_path: Path) -> None:
    argv = ssh_argv(INVENTORY.node("mini-1"), ["uptime"], base=Path("/project"), pins=tmp_path)
    assert argv.text == (
        f"ssh -o 'UserKnownHostsFile=\"{tmp_path}/mini-1\"' -o GlobalKnownHostsFile=/dev/null "
        "-o HostKeyAlias=fleet-mini-1 -o StrictHostKeyChecking=yes -o VerifyHostKeyDNS=no -o ControlPath=none "
        "-p 2222 -i /project/keys/fleet -o IdentitiesOnly=yes -l admin 10.0.0.5 uptime"
    )
    assert (tmp_path / "mini-1").read_text() == "fleet-mini-1 ssh-ed25519 AAAA\n"
    assert [path.name for path in tmp_path.iterdir()] == ["mini-1"]


def test_the_pin_holds_for_an_address_that_ssh_config_turns_into_another(tmp_path: Path) -> None:
    ssh = shutil.which("ssh")
    if ssh is None:
        pytest.fail("the suite needs OpenSSH's client")
    config = tmp_path / "config"
    config.write_text("Host 10.0.0.5\n  HostName 192.0.2.1\n  Port 2200\n")
    pins = tmp_path / "a folder"
    argv = ssh_argv(INVENTORY.node("mini-1"), [], base=tmp_path, pins=pins)
    asked = subprocess.run([ssh, "-G", "-F", str(config), *argv.words[1:]], capture_output=True, text=True, check=True)
    found = dict(line.split(" ", 1) for line in asked.stdout.splitlines() if " " in line)
    assert (found["hostname"], found["hostkeyalias"]) == ("192.0.2.1", "fleet-mini-1")
    assert found["globalknownhostsfile"] == "/dev/null"
    assert found["userknownhostsfile"].strip('"') == str(pins / "mini-1")
    assert (pins / "mini-1").read_text().split()[0] == found["hostkeyalias"]


def test_a_node_that_is_not_adopted_is_not_reached(tmp_path: Path) -> None:
    with pytest.raises(NotAdopted, match="not adopted"):
        ssh_argv(INVENTORY.node("stranger"), [], base=tmp_path, pins=tmp_path)


def test_words_of_a_command_reach_the_node_as_they_are(tmp_path: Path) -> None:
    command = posix('exec "$@"', "echo", "a b", "$HOME")
    session = FakeSession({command: FakeChannel(b"a b $HOME\n")}, node="mini-1")
    link = FakeLink({"mini-1": session})
    nodes = [INVENTORY.node("mini-1"), INVENTORY.node("stranger")]
    answers = list(exec_on(nodes, ["echo", "a b", "$HOME"], link=link, base=tmp_path, timeout_seconds=5))
    assert {a.node: (a.status, a.stdout) for a in answers if not a.error} == {"mini-1": (0, "a b $HOME\n")}
    assert [a.node for a in answers if a.error] == ["stranger"]


def test_logs_of_a_service_are_its_own_and_roots_jobs_log_elsewhere() -> None:
    node = INVENTORY.node("mini-1")
    assert "/opt/fleet/log/sidecar.chat*.log" in log_command(node, ["sidecar.chat"], lines=5, follow=False).words[2]
    assert "/opt/fleet/state/apply*.log" in log_command(node, ["apply"], lines=5, follow=False).words[2]
    assert "tail -n 5 -F" in log_command(node, [], lines=5, follow=True).words[2]


def test_a_service_name_cannot_smuggle_a_command() -> None:
    script = log_command(INVENTORY.node("mini-1"), ["x; touch /tmp/y"], lines=5, follow=False).words[2]
    assert "'/opt/fleet/log/x; touch /tmp/y'*.log" in script
