"""A rollback that was left in a pause goes on where it was, to the releases that it began with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fleet.cli.main import cli
from fleet.errors import FleetError
from fleet.sim.plan import read_plan
from fleet.sim.processes import end_marked
from fleet.sim.simulation import Simulation

NODES = ("mac-1", "mac-2")


class Light:
    """Two light nodes, and fleet on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "inventory/fleet.yml"

    def fleet(self, *words: str) -> Result:
        result = CliRunner().invoke(cli, ["-i", str(self.inventory), *words])
        if result.exception and not isinstance(result.exception, SystemExit | FleetError):
            raise result.exception
        return result

    def release(self, name: str) -> None:
        """Another release is wanted from now on; it is deployed."""
        text = self.inventory.read_text()
        begin, _, rest = text.partition("app_release: ")
        self.inventory.write_text(f"{begin}app_release: {name}\n{rest.partition(chr(10))[2]}")
        done = self.fleet("deploy", "--yes")
        assert done.exit_code == 0, done.output

    def live(self) -> list[str]:
        """Which release each node has."""
        files = (self.folder / f"nodes/{name}/home/app/settings.conf" for name in NODES)
        return [file.read_text().splitlines()[0].rpartition(" ")[2] for file in files]


@pytest.fixture
def light(tmp_path: Path) -> Iterator[Light]:
    try:
        Simulation(tmp_path).up(nodes=len(NODES), light=True)
        made = Light(tmp_path)
        assert made.fleet("adopt", "--all", "--yes").exit_code == 0
        yield made
    finally:
        plan = read_plan(tmp_path / "sim.json")
        Simulation(tmp_path).down()
        if plan:
            end_marked(plan.id)


def test_a_rollback_that_waits_for_somebody_is_resumed_with_the_releases_that_it_began_with(light: Light) -> None:
    light.release("one")
    light.release("two")
    site = light.folder / "playbooks/site.yml"
    site.write_text(site.read_text().replace("max_unavailable: 8}", "max_unavailable: 1, pause: manual}"))

    left = light.fleet("rollback", "--on", "all", "--yes")
    assert "waits in the pause before batch 2: fleet rollback --resume" in left.output
    assert light.live() == ["one", "two"]
    assert "fleet rollback --resume" in light.fleet("runs", "show").output

    other = light.fleet("deploy", "--resume", "last", "--yes")
    assert isinstance(other.exception, FleetError)
    assert "fleet rollback --resume" in other.exception.hint

    resumed = light.fleet("rollback", "--resume", "last", "--yes")
    assert resumed.exit_code == 0, resumed.output
    assert light.live() == ["one", "one"]
    over = light.fleet("rollback", "--resume", "last", "--yes")
    assert isinstance(over.exception, FleetError)
    assert "is over" in over.exception.title
