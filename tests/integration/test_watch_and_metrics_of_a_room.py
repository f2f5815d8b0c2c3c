"""Real SSH, real gateways: all nodes through one front, what was missed is kept, and what a Prometheus needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.control.watch.seriesfiles import SeriesFiles
from fleet.vocabulary.names import NodeName
from tests.integration.conftest import Room
from tests.integration.story import until

pytestmark = [pytest.mark.model, pytest.mark.timeout(300), pytest.mark.xdist_group("room")]


def rows(room: Room, *words: str) -> dict[str, dict[str, Any]]:
    found = json.loads(room.fleet("status", "--json", *words, expect=None).stdout)
    return {row["node"]: row for row in found["rows"]}


def test_a_front_tells_of_all_nodes_over_one_link(room: Room) -> None:
    told: list[dict[str, dict[str, Any]]] = []

    def both_know_the_same_models() -> bool:
        told[:] = [rows(room, "--via", "mac-1"), rows(room)]
        through, direct = told
        fresh = all((row["via"], row["freshness"]) == ("mac-1", "live") for row in through.values())
        return fresh and all(row["models"] == direct[name]["models"] for name, row in through.items())

    until(both_know_the_same_models)
    through, direct = told
    assert {row["via"] for row in direct.values()} == {""}
    for name, row in through.items():
        assert (row["reach"], row["intent"]) == ("answered", "serving")
        assert (row["chip"], row["memory_total_bytes"]) == (direct[name]["chip"], direct[name]["memory_total_bytes"])


def test_a_node_that_is_no_front_is_not_asked_for_the_others(room: Room) -> None:
    answer = room.fleet("status", "--via", "mac-2", expect=2)
    assert "the playbook makes mac-2 no front" in answer.stderr
    assert "fronts: mac-1" in answer.stderr


def test_what_was_missed_is_kept_after_the_first_look(room: Room) -> None:
    room.fleet("status", expect=None)
    files = SeriesFiles(room.folder / ".fleet" / "series")
    for name in ("mac-1", "mac-2", "mac-3"):
        kept = [*files.read(NodeName(name), since_seconds=0, until_seconds=1e12)]
        assert kept, name
        assert kept[-1][1]["memory_pressure_level"] in {1, 2, 4}


def test_certificates_are_found_and_every_gateway_is_a_target(room: Room, tmp_path: Path) -> None:
    answer = room.fleet("metrics", "sd", "--out", str(tmp_path))
    targets = json.loads((tmp_path / "fleet.json").read_text())
    assert [(one["labels"]["node"], one["labels"]["role"]) for one in targets] == [
        ("mac-1", "front"),
        ("mac-2", "edge"),
        ("mac-3", "edge"),
    ]
    assert (tmp_path / "edges.pem").read_text().count("BEGIN CERTIFICATE") == 3
    assert "credentials_file" in answer.stdout
    secret = (tmp_path / "fleet.key").read_text()
    assert secret not in answer.stdout + answer.stderr
