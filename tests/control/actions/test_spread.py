"""The same work on many nodes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fleet.control.actions.spread import on_each
from fleet.control.inventory import Node, load_inventory
from fleet.control.inventory.project import find_project
from fleet.errors import FleetError, NodeError


@pytest.fixture(name="nodes")
def _nodes(tmp_path: Path) -> tuple[Node, ...]:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.yml").write_text("all: {hosts: {'mini-[1:3]': }}\n")
    return load_inventory(find_project(None, cwd=tmp_path)).select(None)


def test_a_failure_is_an_answer_like_any_other(nodes: tuple[Node, ...]) -> None:
    def work(node: Node) -> str:
        if node.name == "mini-2":
            raise NodeError("no", node=node.name)
        return "yes"

    def failed(_: Node, error: FleetError) -> str:
        return error.title

    assert sorted(on_each(nodes, work, failed=failed)) == ["no", "yes", "yes"]


def test_who_stops_listening_does_not_wait_for_the_slowest(nodes: tuple[Node, ...]) -> None:
    free, ended = threading.Event(), threading.Event()

    def work(node: Node) -> str:
        if node.name == "mini-3":
            free.wait(10)
            ended.set()
        return node.name

    answers = on_each(nodes, work, failed=lambda node, _: node.name)
    next(iter(answers))
    answers.close()  # type: ignore[attr-defined]
    assert not ended.is_set()
    free.set()
