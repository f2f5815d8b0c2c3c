"""What stays on a machine."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from fleet.vocabulary.hosts import is_address, is_loopback

FLEET = Path(__file__).resolve().parents[2] / "fleet"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LocalHost"])
def test_these_stay_on_the_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "10.0.0.1", "localhost.example.com", "mini-1", "127.0.0.1.nip.io"]
)
def test_these_do_not(host: str) -> None:
    assert not is_loopback(host)


def test_an_address_is_told_from_a_name() -> None:
    assert [is_address(host) for host in ("10.0.0.1", "[fe80::1]", "mini-1", "")] == [True, True, False, False]


def test_laptop_and_node_have_one_rule_for_loopback() -> None:
    makers = [
        path.relative_to(FLEET).as_posix()
        for path in FLEET.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.strip("_") == "is_loopback"
    ]
    assert makers == ["vocabulary/hosts.py"]
