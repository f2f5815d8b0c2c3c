"""Simulated Macs for whole stories: real SSH, real launchd behaviour, a real `mlx_lm.server`, the command as typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from fleet.sim.simulation import Simulation
from fleet.sim.tree import base_interpreter
from tests.integration.compileonce import compiling_once

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Room:
    """A simulated fleet and its project folder. `extra` is added to the environment of every call."""

    folder: Path
    extra: Mapping[str, str] = field(default_factory=dict)

    def fleet(self, *words: str, expect: int | None = 0, timeout: float = 180.0) -> subprocess.CompletedProcess[str]:
        """Run the command in the project; `expect` is the exit code that it must have (None = any)."""
        answer = subprocess.run(
            [sys.executable, "-m", "fleet", *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**environment(), **self.extra},
            check=False,
        )
        if expect is not None:
            assert answer.returncode == expect, f"fleet {' '.join(words)}\n{answer.stdout}\n{answer.stderr}"
        assert "Traceback" not in answer.stderr
        return answer

    def sim(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        """`fleet sim VERB` about this simulation."""
        return self.fleet("sim", verb, *words, "--dir", ".")

    def json(self, *words: str, expect: int | None = 0) -> dict[str, object]:
        """What a command with --json printed."""
        found: dict[str, object] = json.loads(self.fleet(*words, "--json", expect=expect).stdout)
        return found

    def node(self, name: str) -> Path:
        """The tree of a simulated Mac."""
        return self.folder / "nodes" / name

    def root(self, name: str) -> Path:
        """Where fleet lives on a simulated Mac."""
        return self.node(name) / "opt" / "fleet"

    def services(self, name: str) -> dict[str, dict[str, object]]:
        """The launchd jobs of a node: label -> state, pid, runs."""
        services: dict[str, dict[str, object]] = Simulation(self.folder).status()["nodes"][name]["services"]
        return services

    def pids(self) -> dict[tuple[str, str], object]:
        """(node, label) -> pid, over the whole fleet; the apply job apart."""
        return {
            (node, label): service["pid"]
            for node, entry in Simulation(self.folder).status()["nodes"].items()
            for label, service in entry["services"].items()
            if not label.endswith(".apply")
        }

    def variables(self, node: str) -> dict[str, object]:
        """The merged variables of a node."""
        listing = json.loads(self.fleet("inventory", "list", "--json", "--on", node).stdout)
        found: dict[str, object] = next(one for one in listing if one["name"] == node)["variables"]
        return found

    def set_variables(self, *, group: str = "all", **values: object) -> None:
        """Set variables in the inventory: for all nodes, or for those of a group below `all`."""
        path = self.folder / "inventory" / "fleet.yml"
        data = yaml.safe_load(path.read_text())
        place = data["all"] if group == "all" else data["all"]["children"][group]
        place.setdefault("vars", {}).update(values)
        path.write_text(yaml.safe_dump(data, sort_keys=False))

    def without_routes(self) -> None:
        """Take the simulation's routes away: they name a model, which not every playbook of a test serves."""
        self.without("routes", "default_route")

    def without(self, *names: str) -> None:
        """Take variables out of the inventory, wherever they are set for groups."""
        path = self.folder / "inventory" / "fleet.yml"
        data = yaml.safe_load(path.read_text())
        for group in (data["all"], *data["all"]["children"].values()):
            for name in names:
                group.get("vars", {}).pop(name, None)
        path.write_text(yaml.safe_dump(data, sort_keys=False))

    def own(self, kind: str, name: str) -> Path:
        """A packaged file copied into the project, to be changed there."""
        path = self.folder / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((ROOT / kind / name).read_text())
        return path


def environment() -> dict[str, str]:
    """The environment of a call: a cache of the suite's own, nothing of the user's fleet."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEET_")}
    return {**kept, "FLEET_CACHE": str(ROOT / ".pytest_cache" / "fleet"), "COLUMNS": "120", "NO_COLOR": "1"}


def interpreter() -> str:
    """What Python the nodes of a room run: this machine's, which compiles each environment once for all rooms."""
    return compiling_once(base_interpreter(), ROOT / ".pytest_cache" / "compiled")


def open_room(folder: Path, *, nodes: int = 3, deployed: bool = True, models: tuple[str, ...] = ("scripted",)) -> Room:
    """Bring a simulation up in `folder`, adopted and (unless said otherwise) deployed."""
    room = Room(folder)
    named = [word for model in models for word in ("--models", model)]
    try:
        room.sim("up", "--nodes", str(nodes), *named, "--throttle-scale", "0.1")
        room.set_variables(interpreter=interpreter())
        if not deployed:
            room.without_routes()
        room.fleet("adopt", "--all", "--yes")
        if deployed:
            room.fleet("deploy", "--yes")
    except BaseException:
        room.sim("down")  # nobody else would: a fixture that fails is never ended
        raise
    return room


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """One deployed fleet (front mac-1; mac-2 and mac-3 serve the scripted model) for tests that leave it as it was."""
    room = open_room(tmp_path_factory.mktemp("room"))
    try:
        yield room
    finally:
        room.sim("down")


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A deployed fleet (front mac-1; mac-2 and mac-3) whose model says nonsense until it has said all that it may."""
    room = open_room(tmp_path_factory.mktemp("endless"), models=("tiny",))
    try:
        yield room
    finally:
        room.sim("down")


@pytest.fixture
def own_room(tmp_path: Path) -> Iterator[Room]:
    """A fleet of one's own, adopted and not yet deployed: one front, one Mac with the scripted model."""
    room = open_room(tmp_path, nodes=2, deployed=False)
    try:
        yield room
    finally:
        room.sim("down")
