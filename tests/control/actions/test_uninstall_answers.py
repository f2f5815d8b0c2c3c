"""What an uninstall makes of a node's answer."""

from __future__ import annotations

from pathlib import Path

from fleet.control.actions.uninstall import Removal, uninstall
from fleet.testing.inventories import inventory_of
from fleet.testing.link import FakeChannel, FakeLink, FakeSession

NODE = inventory_of("all: {hosts: {mini-1: {host_key: ssh-ed25519 AAAA, edge_key: x}}}").node("mini-1")
COMMAND = "/usr/bin/sudo -n /opt/fleet/sbin/fleet-node uninstall"


def removal(tmp_path: Path, *, exit_status: int, stderr: str) -> Removal:
    channel = FakeChannel(b"", exit_status=exit_status, stderr=stderr)
    link = FakeLink({"mini-1": FakeSession({COMMAND: channel}, node="mini-1")})
    (found,) = uninstall([NODE], link=link, base=tmp_path, keep_data=False)
    return found


def test_a_node_without_the_helper_has_nothing_of_ours(tmp_path: Path) -> None:
    said = "sudo: /opt/fleet/sbin/fleet-node: command not found"
    assert removal(tmp_path, exit_status=1, stderr=said).absent
    assert removal(tmp_path, exit_status=127, stderr="").absent


def test_a_noisy_login_shell_does_not_make_a_refusal_look_like_an_empty_node(tmp_path: Path) -> None:
    said = "/Users/a/.zshenv:3: command not found: brew\nsudo: a password is required"
    found = removal(tmp_path, exit_status=1, stderr=said)
    assert not found.absent
    assert found.error is not None
    assert "sudo refused" in found.error.title
