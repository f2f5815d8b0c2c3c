"""Power and kernel settings go back to what they were before fleet, unless somebody changed them since."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from sync_kit import Node
from test_session import frames

from fleet.node.sync.before import Before, load_before
from fleet.node.sync.frames import Wire
from fleet.node.sync.uninstall import Uninstall
from fleet.vocabulary.contracts.desired import Pmset, Sysctl
from fleet.vocabulary.contracts.sync import Event


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def provision(node: Node, sleep: int = 0, wired: str = "18432") -> str | None:
    release = node.release().add(Pmset(task="t", settings={"sleep": sleep, "womp": 1}))
    return node.deploy(release.add(Sysctl(task="t", settings={"iogpu.wired_limit_mb": wired})).daemon("agent"))


def uninstall(node: Node) -> list[str]:
    """What it says about settings."""
    out = io.BytesIO()
    assert Uninstall(machine=node.machine, wire=Wire(io.BytesIO(), out), keep_data=False).run() == 0
    events = [one for one in frames(out.getvalue()) if isinstance(one, Event)]
    return [one.text for one in events if one.key.startswith(("pmset:", "sysctl:"))]


def test_an_uninstall_puts_back_what_was_there_before_the_first_of_several_changes(node: Node) -> None:
    assert [provision(node), provision(node, sleep=5), provision(node, wired="9000")] == ["committed"] * 3
    assert uninstall(node) == ["pmset sleep is 1 again", "sysctl iogpu.wired_limit_mb is 0 again"]
    assert (node.mac.pmset["sleep"], node.mac.pmset["womp"]) == ("1", "1")
    assert node.mac.sysctl["iogpu.wired_limit_mb"] == "0"


def test_what_somebody_changed_since_is_theirs(node: Node) -> None:
    provision(node)
    node.mac.pmset["sleep"] = "30"
    assert "pmset sleep stays 30: it was changed since" in uninstall(node)
    assert node.mac.pmset["sleep"] == "30"


def test_a_setting_that_fleet_found_as_wanted_is_not_touched(node: Node) -> None:
    node.mac.pmset["sleep"] = "0"
    provision(node)
    assert uninstall(node) == ["sysctl iogpu.wired_limit_mb is 0 again"]
    assert node.mac.pmset["sleep"] == "0"


def test_one_that_cannot_be_put_back_is_told_and_stops_nothing(node: Node) -> None:
    provision(node)
    node.mac.deaf_settings.add("sleep")
    assert uninstall(node)[0].startswith("pmset sleep could not be put back to 1: ")
    assert not Path(node.layout.root).exists()


def test_a_failed_run_leaves_the_settings_and_the_record_as_they_were(node: Node) -> None:
    assert provision(node) == "committed"
    worse = node.release().add(Pmset(task="t", settings={"sleep": 5})).daemon("agent", program="/nowhere")
    assert node.deploy(worse) == "reverted"
    assert node.mac.pmset["sleep"] == "0"
    known = load_before(node.machine)
    assert (known.was["pmset:sleep"], known.made["pmset:sleep"]) == ("1", "0")


def test_a_record_that_cannot_be_read_is_an_empty_one(node: Node) -> None:
    Path(node.layout.state("before.json")).write_text("{torn")
    assert load_before(node.machine) == Before()
