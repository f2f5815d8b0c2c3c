"""Bad input prints one helpful message that names file, line and column, and never a traceback."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Case:
    """An inventory, where its mistake is, and what the message must say."""

    text: str | bytes
    line: int | None
    says: tuple[str, ...]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)

CASES = {
    "an unknown structural key": Case("all:\n  hostz:\n    mini-1:\n", 2, ("hostz", "hosts")),
    "a wrong type": Case("all:\n  hosts:\n    mini-1:\n      ansible_port: ssh\n", 4, ("ansible_port", "ssh")),
    "a duplicate node": Case("all:\n  hosts:\n    mini-1:\n    mini-1:\n", 4, ("mini-1",)),
    "a group cycle": Case("a:\n  children:\n    b:\nb:\n  children:\n    a:\n", None, ("a", "b", "inside itself")),
    "a tie at equal depth": Case(
        "a:\n  hosts: {mini-1: }\n  vars: {gateway_port: 9001}\n"
        "b:\n  hosts: {mini-1: }\n  vars: {gateway_port: 9002}\n",
        None,
        ("gateway_port", "9001", "9002", ":3:", ":6:"),
    ),
    "a tab": Case("all:\n\thosts:\n", 2, ("tab",)),
    "broken YAML": Case("all:\n  hosts: {mini-1: \n  vars: [\n", None, ()),
    "an empty file": Case("", None, ("empty",)),
    "an anchor bomb": Case(f"{BOMB}all:\n  hosts: *i\n", None, ("alias",)),
    "a text that is not UTF-8": Case(b"all:\n  hosts:\n    caf\xe9:\n", 3, ("UTF-8",)),
    "a range over 10,000 nodes": Case("all:\n  hosts:\n    mini-[1:10001]:\n", 3, ("10,000",)),
    "one port twice on a node": Case(
        "all:\n  hosts:\n    mini-1: {gateway_port: 8791}\n", 3, ("8791", "agent_port", "gateway_port")
    ),
}


def fleet(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as a user types it."""
    return subprocess.run([sys.executable, "-m", "fleet", *words], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("verb", [("inventory", "list"), ("lint",), ("plan",)], ids=" ".join)
def test_a_wrong_inventory_is_one_message_with_its_place(tmp_path: Path, name: str, verb: tuple[str, ...]) -> None:
    case = CASES[name]
    (tmp_path / "inventory").mkdir()
    path = tmp_path / "inventory" / "fleet.yml"
    path.write_bytes(case.text if isinstance(case.text, bytes) else case.text.encode())
    answer = fleet(tmp_path, *verb)
    said = answer.stdout + answer.stderr
    assert answer.returncode in (1, 2)
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) <= 12
    place = rf"fleet\.yml:{case.line or chr(92) + 'd+'}(:\d+)?" if case.text else r"fleet\.yml"
    assert re.search(place, said), said
    assert [word for word in case.says if word not in said] == [], said


def test_an_inventory_that_is_not_there_says_how_to_begin(tmp_path: Path) -> None:
    answer = fleet(tmp_path, "plan")
    assert answer.returncode == 2
    assert "fleet init" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("play", "says"),
    [
        ("- {name: x, hosts: all, tasks: [{name: a, comand: {argv: [true]}}]}", ("comand", "command")),
        (
            "- {name: x, hosts: all, tasks: [{name: a, directory: {path: a}, file: {dest: b, content: c}}]}",
            ("exactly one",),
        ),
        ("- {name: x, hosts: nowhere, tasks: []}", ("nowhere",)),
        ("- {name: x, hosts: all, tasks: [{name: a, reboot: {}}]}", ("reboot", "not carried out by this release")),
        ("- {name: x, hosts: all, tasks: [{name: a, template: {src: none.j2, dest: etc/x}}]}", ("none.j2",)),
        ("{}", ("list",)),
    ],
)
def test_a_wrong_playbook_is_one_message_with_its_place(tmp_path: Path, play: str, says: tuple[str, ...]) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text("all:\n  hosts:\n    mini-1: {memory_gb: 16}\n")
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "site.yml").write_text(play + "\n")
    answer = fleet(tmp_path, "lint")
    said = answer.stdout + answer.stderr
    assert answer.returncode in (1, 2)
    assert "Traceback" not in said
    assert re.search(r"site\.yml:\d+", said), said
    assert [word for word in says if word not in said] == [], said
