"""Light nodes: everything of a deploy is real but the daemons, which launchd books and nobody runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from fleet.cli.main import cli
from fleet.errors import FleetError, UsageError
from fleet.sim.launchd.board import Board
from fleet.sim.launchd.conditions import Conditions
from fleet.sim.launchd.disabled import DisabledStore
from fleet.sim.launchd.launchd import Launchd
from fleet.sim.launchd.spawn import Spawner
from fleet.sim.launchd.still import FIRST_PID, StillSpawner
from fleet.sim.plan import read_plan
from fleet.sim.ports import is_free
from fleet.sim.processes import end_marked, marked
from fleet.sim.simulation import MAX_LIGHT_NODES, Simulation
from fleet.vocabulary.launchctl import parse_print
from tests.sim.conftest import LABEL, TARGET, Lab

NODES = 3


class LightLab(Lab):
    """A launchd whose daemons are booked, with a board."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.board = folder / "jobs"
        self.launchd = Launchd(
            spawner=StillSpawner(Spawner(marker=f"lab-{os.getpid()}", path_prefix="/nowhere")),
            disabled=DisabledStore(folder),
            log=self.log,
            conditions=Conditions(throttle_scale=0.001, exit_scale=0.1),
            board=Board(folder),
        )


@pytest.fixture
async def lab(tmp_path: Path) -> LightLab:
    (tmp_path / "plists").mkdir()
    lab = LightLab(tmp_path)
    await lab.launchd.boot(tmp_path / "plists")
    return lab


async def test_a_daemon_is_booked_as_running_under_a_pid_that_no_process_can_have(lab: LightLab) -> None:
    await lab.load(KeepAlive=True)
    pid = await lab.pid()
    assert pid >= FIRST_PID
    assert not psutil.pid_exists(pid)
    assert (await lab.printed()).running


async def test_a_job_that_ends_by_itself_really_runs(lab: LightLab, tmp_path: Path) -> None:
    await lab.load(f"echo done >{tmp_path}/said; exit 3", RunAtLoad=True)
    found = await lab.until(lambda printed: printed.exit_code == 3)
    assert found.pid is None
    assert (tmp_path / "said").read_text() == "done\n"


async def test_a_restart_gives_another_pid_and_a_hang_up_does_not(lab: LightLab) -> None:
    await lab.load(KeepAlive=True)
    first = await lab.pid()
    assert await lab.code("kill", "SIGHUP", TARGET) == 0
    assert await lab.pid() == first
    assert await lab.code("kill", "SIGTERM", TARGET) == 0
    again = await lab.until(lambda printed: printed.pid not in (None, first))
    assert again.runs == 2
    assert again.exit_signal == signal.SIGTERM


async def test_a_daemon_that_no_mac_could_start_is_not_booked(lab: LightLab) -> None:
    await lab.load(ProgramArguments=["/nowhere/program"], KeepAlive=True)
    found = await lab.printed()
    assert found.pid is None
    assert found.exit_code == 78


async def test_the_board_says_what_launchd_would_at_every_step(lab: LightLab) -> None:
    async def same() -> None:
        await asyncio.sleep(0)
        _, out, _ = await lab.run("print", TARGET)
        assert (lab.board / LABEL).read_text() == out

    await lab.load(KeepAlive=True)
    await same()
    assert await lab.code("kill", "SIGTERM", TARGET) == 0
    await lab.until(lambda printed: printed.runs == 2)
    await same()
    assert await lab.code("disable", TARGET) == 0
    assert (lab.board / "=disabled").read_text() == (await lab.run("print-disabled", "system"))[1]
    assert await lab.code("bootout", TARGET) == 0
    await lab.until(lambda printed: printed.state is None)
    assert not (lab.board / LABEL).exists()


# --- from outside -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Light nodes, adopted and deployed to."""
    folder = tmp_path_factory.mktemp("light")
    try:
        assert fleet("sim", "up", "--nodes", NODES, "--light", "--dir", folder).exit_code == 0
        assert fleet("-i", folder / "inventory/fleet.yml", "adopt", "--all", "--yes").exit_code == 0
        deploy = fleet("-i", folder / "inventory/fleet.yml", "deploy", "--yes")
        assert deploy.exit_code == 0, deploy.output
        yield folder
    finally:
        plan = read_plan(folder / "sim.json")
        Simulation(folder).down()
        if plan:
            end_marked(plan.id)


def fleet(*words: object) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit | FleetError):
        raise result.exception
    return result


def test_a_deploy_leaves_files_receipts_and_registrations_and_no_daemon(deployed: Path) -> None:
    for number in range(1, NODES + 1):
        node = deployed / f"nodes/mac-{number}"
        assert f"of mac-{number}," in (node / "home/app/settings.conf").read_text()
        assert (node / "opt/fleet/state/receipt").exists()
        shown = parse_print((node / "sim/run/jobs/org.fleet-macs.worker").read_text())
        assert shown.running
        assert shown.path == str(node / "Library/LaunchDaemons/org.fleet-macs.worker.plist")
    plan = Simulation(deployed).plan
    assert [process.name() for process in marked(plan.id) if "sleep" in process.name()] == []
    seen = json.loads(fleet("sim", "status", "--json", "--dir", deployed).stdout)["nodes"]["mac-2"]["services"]
    assert {"org.fleet-macs.worker", "org.fleet-macs.helper", "org.fleet-macs.apply"} <= set(seen)


def test_the_no_op_is_a_real_answer(deployed: Path) -> None:
    inventory = deployed / "inventory/fleet.yml"
    assert "3 nodes, nothing to do" in fleet("-i", inventory, "deploy", "--yes").output
    (deployed / "nodes/mac-2/home/app/words.txt").write_text("another hand\n")
    launchctl = deployed / "nodes/mac-3/sim/bin/launchctl"
    sudo = deployed / "nodes/mac-3/sim/bin/sudo"
    subprocess.run([sudo, launchctl, "bootout", "system/org.fleet-macs.helper"], check=True)
    assert fleet("-i", inventory, "plan", "--exit-code").exit_code == 5
    assert fleet("-i", inventory, "deploy", "--yes").exit_code == 0
    assert (deployed / "nodes/mac-2/home/app/words.txt").read_text() == "the same on every node\n"
    assert "3 nodes, nothing to do" in fleet("-i", inventory, "deploy", "--yes").output


def test_a_fault_that_needs_a_daemon_gets_one_line_and_one_of_the_machine_works(deployed: Path) -> None:
    simulation = Simulation(deployed)
    with pytest.raises(FleetError, match="mac-1 is a light node: it runs no daemon that zombie could trouble"):
        simulation.fault("mac-1", "zombie")
    simulation.fault("mac-1", "sudo=refused")
    try:
        refused = fleet("-i", deployed / "inventory/fleet.yml", "deploy", "--yes", "--on", "mac-1")
        assert isinstance(refused.exception, FleetError)
    finally:
        simulation.clear("mac-1")


def test_a_reboot_registers_what_was_deployed_anew(deployed: Path) -> None:
    simulation = Simulation(deployed)
    simulation.fault("mac-1", "reboot")
    seen = simulation.status()["nodes"]["mac-1"]["services"]["org.fleet-macs.worker"]
    assert seen["state"] == "running"
    assert seen["runs"] == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--nodes", MAX_LIGHT_NODES + 1, "--light"), f"a simulation has 1 to {MAX_LIGHT_NODES}"),
        (("--nodes", 65), f"of light nodes (--light) to {MAX_LIGHT_NODES}"),
        (("--light", "--models", "tiny"), "leave out --models or --light"),
    ],
)
def test_what_is_no_simulation_of_light_nodes_is_refused_before_anything_is_made(
    tmp_path: Path, words: tuple[object, ...], says: str
) -> None:
    folder = tmp_path / "s"
    result = fleet("sim", "up", "--dir", folder, *words)
    assert isinstance(result.exception, UsageError)
    assert says in result.exception.hint
    assert not folder.exists()


def test_nothing_is_left_after_down_and_light_nodes_stay_light(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    assert fleet("sim", "up", "--nodes", 2, "--light", "--dir", folder).exit_code == 0
    plan = Simulation(folder).plan
    assert fleet("sim", "down", "--dir", folder).exit_code == 0
    assert marked(plan.id) == []
    assert all(is_free(node.ssh_port) for node in plan.nodes)
    heavy = fleet("sim", "up", "--nodes", 2, "--no-models", "--dir", folder)
    assert isinstance(heavy.exception, UsageError)
    assert "are light" in heavy.exception.title
    assert fleet("sim", "down", "--purge", "--dir", folder).exit_code == 0
    assert not folder.exists()
