"""`fleet sim` from outside: up, status, fault, down; nothing is left after down."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from fleet.cli.main import cli
from fleet.errors import FleetError, UsageError
from fleet.sim.faults import KINDS
from fleet.sim.plan import read_plan
from fleet.sim.ports import is_free
from fleet.sim.processes import end_marked, marked
from fleet.sim.simulation import Simulation
from tests.sim.conftest import alive


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "s"
    yield path
    plan = read_plan(path / "sim.json")
    Simulation(path).down()
    if plan:
        end_marked(plan.id)


def fleet(*words: object) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def up(folder: Path, *words: object) -> Result:
    return fleet("sim", "up", "--no-models", "--dir", folder, "--throttle-scale", "0.05", *words)


def test_nothing_is_left_after_down(folder: Path) -> None:
    up(folder, "--nodes", 2)
    plan = Simulation(folder).plan
    daemon = folder / "nodes/mac-2/Library/LaunchDaemons/org.example.d.plist"
    daemon.write_text(
        '<plist version="1.0"><dict><key>Label</key><string>org.example.d</string><key>ProgramArguments</key><array>'
        "<string>/bin/sh</string><string>-c</string>"
        "<string>trap '' TERM HUP; (trap '' TERM HUP; while :; do sleep 0.2; done) &amp; wait; wait</string></array>"
        "<key>ExitTimeOut</key><integer>1</integer><key>KeepAlive</key><true/></dict></plist>"
    )
    fleet("sim", "fault", "mac-2", "reboot", "--dir", folder)
    status = json.loads(fleet("sim", "status", "--json", "--dir", folder).stdout)
    assert status["simulation"] is True
    assert status["nodes"]["mac-2"]["services"]["org.example.d"]["pid"]
    assert len(marked(plan.id)) >= 3
    fleet("sim", "down", "--dir", folder)
    assert marked(plan.id) == []
    assert all(is_free(node.ssh_port) for node in plan.nodes)
    assert (folder / "inventory" / "fleet.yml").exists()
    fleet("sim", "down", "--purge", "--dir", folder)
    assert not folder.exists()


def test_a_process_that_left_its_group_is_found_too(folder: Path) -> None:
    up(folder, "--nodes", 1)
    plan = Simulation(folder).plan
    stray = subprocess.Popen(["sleep", "600"], env={**os.environ, "FLEET_SIM": plan.id}, start_new_session=True)
    fleet("sim", "down", "--dir", folder)
    assert marked(plan.id) == []
    assert not alive(stray.pid)


def test_a_second_up_is_refused_and_a_killed_supervisor_does_not_matter(folder: Path) -> None:
    up(folder, "--nodes", 1)
    with pytest.raises(UsageError, match="already up"):
        up(folder, "--nodes", 1)
    plan = Simulation(folder).plan
    for process in marked(plan.id):
        process.kill()
    deadline = time.monotonic() + 10
    while Simulation(folder).running and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Simulation(folder).running
    with pytest.raises(FleetError, match="is not up"):
        fleet("sim", "fault", "mac-1", "thermal=1", "--dir", folder)
    up(folder, "--nodes", 1)
    assert Simulation(folder).plan.nodes == plan.nodes


def test_what_adopt_wrote_into_the_inventory_and_the_faults_survive_down_and_up(folder: Path) -> None:
    up(folder, "--nodes", 1)
    fleet("sim", "fault", "mac-1", "thermal=3", "sudo=refused", "--dir", folder)
    inventory = folder / "inventory" / "fleet.yml"
    inventory.write_text(inventory.read_text() + "# pinned\n")
    fleet("sim", "down", "--dir", folder)
    up(folder, "--nodes", 1)
    assert inventory.read_text().endswith("# pinned\n")
    status = fleet("sim", "status", "--dir", folder).stdout
    assert "thermal=3" in status
    assert "sudo=refused" in status
    fleet("sim", "fault", "mac-1", "--clear", "--dir", folder)
    assert "thermal" not in fleet("sim", "status", "--dir", folder).stdout


def test_the_project_has_an_inventory_that_fleet_reads_and_private_secrets(folder: Path) -> None:
    up(folder, "--nodes", 3)
    from fleet.control.inventory.load import load_inventory
    from fleet.control.inventory.project import find_project

    inventory = load_inventory(find_project(str(folder)))
    assert [(name, *node.groups[-1:]) for name, node in inventory.nodes.items()] == [
        ("mac-1", "front"), ("mac-2", "mlx"), ("mac-3", "mlx"),
    ]  # fmt: skip
    ports = [
        port
        for node in inventory.nodes.values()
        for port in (node.settings.ssh_port, node.settings.gateway_port, node.settings.agent_port)
    ]
    assert len(set(ports)) == 9
    settings = inventory.nodes["mac-2"].settings
    assert settings.layout().command("launchctl") == str(folder / "nodes/mac-2/sim/bin/launchctl")
    assert not settings.adopted
    for secret in (*(folder / "secrets").iterdir(), folder / "keys" / "id_ed25519", folder / "sim.json"):
        assert secret.stat().st_mode & 0o077 == 0
    assert "simulated" in (folder / "inventory" / "fleet.yml").read_text().lower()
    assert yaml.safe_load((folder / "inventory" / "fleet.yml").read_text())["all"]["vars"]["platform"] == "this-machine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mac-9", "down"), "no simulated node is called 'mac-9'"),
        (("mac-1", "thermo=2"), "did you mean 'thermal'?"),
        (("mac-1", "thermal=9"), "'thermal=9' is not a fault"),
        (("mac-1", "slow=fast"), "is not a fault"),
        (("mac-1",), "which fault?"),
    ],
)
def test_a_fault_that_is_none_is_one_helpful_message(folder: Path, words: tuple[str, ...], said: str) -> None:
    up(folder, "--nodes", 1)
    with pytest.raises(FleetError) as caught:
        fleet("sim", "fault", *words, "--dir", folder)
    assert said in caught.value.text


def test_other_node_counts_and_folders_that_are_no_simulation_are_refused(folder: Path) -> None:
    up(folder, "--nodes", 1)
    fleet("sim", "down", "--dir", folder)
    with pytest.raises(UsageError, match="has 1 nodes, not 2"):
        up(folder, "--nodes", 2)
    other = folder.parent / "other"
    other.mkdir()
    with pytest.raises(UsageError, match="is no simulation"):
        fleet("sim", "down", "--purge", "--dir", other)
    assert other.exists()


def test_the_kinds_of_trouble_are_listed() -> None:
    listed = fleet("sim", "fault", "--list").stdout
    assert "thermal=0-4|missing|failed" in listed
    assert "kickstart-signal=kill|term" in listed


def test_every_kind_of_trouble_is_in_the_guide() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text()
    assert [name for name in KINDS if f"`{name}" not in guide] == []
