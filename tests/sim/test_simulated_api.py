"""The simulated OpenRouter of a simulation: up with it, in trouble when told, gone with it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fleet.cli.main import cli
from fleet.control.inventory import Project, load_inventory
from fleet.errors import UsageError
from fleet.sim.api import check_fault
from fleet.sim.plan import read_plan
from fleet.sim.ports import is_free
from fleet.sim.processes import end_marked, marked
from fleet.sim.simulation import Simulation


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


def settings_of(folder: Path) -> Any:
    return load_inventory(Project(folder, folder / "inventory" / "fleet.yml")).nodes["mac-1"].settings  # type: ignore[index]


def status_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = Simulation(folder).status()["upstreams"]["openrouter"]
    return found


def ask(folder: Path) -> int:
    """The status of a request with the key of the project; 0 = nobody answers."""
    key = (folder / "secrets/openrouter.key").read_text().strip()
    request = urllib.request.Request(
        f"{status_of(folder)['url']}/v1/chat/completions",
        data=json.dumps({"model": "sim/echo-small", "messages": [{"role": "user", "content": "hi"}]}).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def until(condition: Callable[[], object], *, within_seconds: float = 60.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_simulation_has_an_openrouter_that_can_be_troubled(folder: Path) -> None:
    fleet("sim", "up", "--no-models", "--nodes", 1, "--dir", folder)
    plan = Simulation(folder).plan
    until(lambda: status_of(folder)["state"] == "up")
    assert ask(folder) == 200
    said = fleet("sim", "status", "--dir", folder).stdout
    assert f"openrouter up, simulated: http://127.0.0.1:{plan.openrouter_port}/api" in said
    fleet("sim", "fault", "openrouter", "err=429", "--dir", folder)
    assert ask(folder) == 429
    assert status_of(folder)["faults"] == {"err": "429"}
    fleet("sim", "fault", "openrouter", "down", "--dir", folder)
    assert ask(folder) == 0
    fleet("sim", "fault", "openrouter", "--clear", "down", "--dir", folder)
    assert ask(folder) == 429, "it comes back with the trouble that is left"
    fleet("sim", "fault", "openrouter", "--clear", "--dir", folder)
    assert ask(folder) == 200
    fleet("sim", "down", "--dir", folder)
    assert marked(plan.id) == []
    assert is_free(plan.openrouter_port)


def test_the_project_of_a_simulation_routes_to_it(folder: Path) -> None:
    fleet("sim", "up", "--no-models", "--nodes", 2, "--dir", folder)
    settings, plan = settings_of(folder), Simulation(folder).plan
    api = settings.upstreams["openrouter"]
    assert api.base_url("openrouter") == f"http://127.0.0.1:{plan.openrouter_port}/api"
    assert set(api.served()) == {"echo-small", "echo-large"}
    assert settings.routes == {"token-track": ["scripted", "echo-small"], "api": ["echo-small"]}
    assert settings.default_route == "scripted"
    assert "nothing leaves it and nothing is billed" in (folder / "inventory/fleet.yml").read_text()
    assert (folder / "secrets/openrouter.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["dwon", "err=teapot", "err=200", "down=1", "cut=much"])
def test_a_fault_that_it_does_not_know_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        check_fault(text)


def test_a_simulation_of_an_older_fleet_is_made_anew_and_can_be_ended(folder: Path) -> None:
    folder.mkdir()
    node = {"name": "mac-1", "ssh_port": 20001, "gateway_port": 20002, "agent_port": 20003, "sidecar_port": 20004}
    (folder / "sim.json").write_text(json.dumps({"id": "x", "token": "y", "nodes": [node], "schema": 1}))
    with pytest.raises(UsageError, match="made by an older fleet") as caught:
        Simulation(folder).up(nodes=1)
    assert "fleet sim down --purge" in caught.value.hint
    Simulation(folder).down(purge=True)
    assert not folder.exists()
