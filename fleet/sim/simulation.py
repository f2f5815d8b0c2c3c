"""A simulation by its folder: bring it up, ask it, trouble it, take it down.

DIR/
  inventory/, secrets/, models/, keys/   a complete fleet project (project.py)
  nodes/NAME/                            the simulated Macs (tree.py)
  upstreams/openrouter/                  the simulated OpenRouter (api.py)
  sim.json, sim.lock, sim.log            the plan, the supervisor's lock, its log
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.errors import FleetError, UsageError
from fleet.sim import control
from fleet.sim.plan import SimPlan, plan_nodes, read_plan, write_plan
from fleet.sim.ports import free_ports, is_free
from fleet.sim.processes import MARK, end_marked
from fleet.sim.project import write_project
from fleet.sim.supervisor import LOCK, PLAN

READY_SECONDS = 60.0
DOWN_SECONDS = 90.0
MAX_NODES = 64
MAX_LIGHT_NODES = 500


@dataclass(frozen=True)
class Simulation:
    """The simulation of one folder."""

    folder: Path

    @property
    def plan(self) -> SimPlan:
        """What it is made of. Raises UsageError when there is none."""
        plan = read_plan(self.folder / PLAN)
        if plan is None:
            raise UsageError(
                f"no simulation in {self.folder}", hint="fleet sim up makes one; --dir names another folder"
            )
        return plan

    @property
    def running(self) -> bool:
        """Whether a supervisor holds the folder."""
        return self._control_port() is not None

    def check(self, *, nodes: int, light: bool, models: tuple[str, ...]) -> None:
        """Raises UsageError when there is no such simulation."""
        most = MAX_LIGHT_NODES if light else MAX_NODES
        if not 1 <= nodes <= most:
            more = "" if light else f"; of light nodes (--light) to {MAX_LIGHT_NODES}"
            raise UsageError(f"{nodes} nodes are not possible", hint=f"a simulation has 1 to {most}{more}")
        if light and models:
            raise UsageError("light nodes run no daemons, so they serve no model", hint="leave out --models or --light")

    def up(
        self,
        *,
        nodes: int = 3,
        models: tuple[str, ...] = (),
        throttle_scale: float = 1.0,
        exit_scale: float = 1.0,
        light: bool = False,
    ) -> SimPlan:
        """Make or wake the simulation; `light` nodes run no daemons.

        Raises UsageError when it is already up, FleetError when it does not come up.
        """
        self.check(nodes=nodes, light=light, models=models)
        if self.running:
            raise UsageError(f"the simulation in {self.folder} is already up", hint="fleet sim status; fleet sim down")
        self.folder.mkdir(parents=True, exist_ok=True)
        plan = self._plan_for(nodes, models, throttle_scale=throttle_scale, exit_scale=exit_scale, light=light)
        end_marked(plan.id)  # whatever a killed supervisor left
        write_plan(self.folder / PLAN, plan)
        write_project(self.folder, plan)
        self._start_supervisor(plan)
        return plan

    def status(self) -> dict[str, Any]:
        """Every node: power, faults, services. Raises FleetError when it is down."""
        return self._ask({"verb": "status"})

    def fault(self, node: str, fault: str) -> None:
        """Bring trouble to a node, or to `openrouter`. Raises FleetError."""
        self._ask({"verb": "fault", "node": node, "fault": fault})

    def clear(self, node: str, fault: str | None = None) -> None:
        """End one kind of trouble on a node or on `openrouter`, or all. Raises FleetError."""
        self._ask({"verb": "clear", "node": node, "fault": fault})

    def down(self, *, purge: bool = False) -> None:
        """End every process of the simulation; with `purge` remove its folder too. Raises FleetError."""
        plan = read_plan(self.folder / PLAN)
        if plan is None:
            if self.folder.exists() and purge:
                raise UsageError(f"{self.folder} is no simulation: not removed")
            return
        if self.running:
            self._ask({"verb": "stop"})
            self._wait_for_the_end()
        end_marked(plan.id)
        if purge:
            shutil.rmtree(self.folder)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _plan_for(
        self, nodes: int, models: tuple[str, ...], *, throttle_scale: float, exit_scale: float, light: bool
    ) -> SimPlan:
        old = read_plan(self.folder / PLAN)
        if old is None:
            ports = free_ports()
            return SimPlan(
                id=uuid.uuid4().hex,
                token=uuid.uuid4().hex,
                nodes=plan_nodes(nodes, ports, light=light),
                openrouter_port=0 if light else next(ports),
                models=models,
                light=light,
                throttle_scale=throttle_scale,
                exit_scale=exit_scale,
            )
        if len(old.nodes) != nodes:
            raise UsageError(
                f"the simulation in {self.folder} has {len(old.nodes)} nodes, not {nodes}",
                hint="fleet sim down --purge makes room for another; --dir names another folder",
            )
        if old.light != light:
            raise UsageError(
                f"the nodes of the simulation in {self.folder} are {'light' if old.light else 'not light'}",
                hint=f"{'with' if old.light else 'without'} --light they come up again; --dir names another folder",
            )
        if not (old.openrouter_port or light) or not all(node.admin_port for node in old.nodes):
            raise UsageError(
                f"the simulation in {self.folder} was made by an older fleet",
                hint="fleet sim down --purge makes room for a new one",
            )
        taken = [node for node in old.nodes if not is_free(node.ssh_port)]
        if taken:
            raise FleetError(
                f"port {taken[0].ssh_port} of {taken[0].name} is taken by another program",
                hint="end that program, or begin anew: fleet sim down --purge",
            )
        return SimPlan(
            id=old.id,
            token=old.token,
            nodes=old.nodes,
            openrouter_port=old.openrouter_port,
            models=models or old.models,
            throttle_scale=throttle_scale,
            exit_scale=exit_scale,
            light=light,
        )

    def _start_supervisor(self, plan: SimPlan) -> None:
        reader, writer = os.pipe()
        environment = {**os.environ, MARK: plan.id, "PYTHONUNBUFFERED": "1"}
        with (self.folder / "sim.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "fleet.sim.supervisor", str(self.folder), str(writer)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=(writer,),
                start_new_session=True,
            )
        os.close(writer)
        try:
            answer = _read_line(reader, READY_SECONDS)
        finally:
            os.close(reader)
        if answer != "ready":
            process.kill()
            process.wait()
            end_marked(plan.id)
            tail = (self.folder / "sim.log").read_text(errors="replace").splitlines()[-12:]
            raise FleetError(
                "the simulation does not come up", detail="\n".join([answer, *tail]), hint=f"see {self.folder}/sim.log"
            )

    def _control_port(self) -> int | None:
        """The port of the supervisor that holds the lock; None when nobody does."""
        try:
            lock = os.open(self.folder / LOCK, os.O_RDWR)
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            words = os.pread(lock, 64, 0).split()
            return int(words[1]) if len(words) == 2 else 0
        finally:
            os.close(lock)
        return None

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        plan, port = self.plan, self._control_port()
        if port is None:
            raise FleetError(f"the simulation in {self.folder} is not up", hint="fleet sim up")
        try:
            return control.ask(port, plan.token, request)
        except OSError as error:
            raise FleetError(f"the simulation does not answer: {error}", hint=f"see {self.folder}/sim.log") from error

    def _wait_for_the_end(self) -> None:
        deadline = time.monotonic() + DOWN_SECONDS
        while self.running and time.monotonic() < deadline:
            time.sleep(0.05)


def _read_line(descriptor: int, timeout_seconds: float) -> str:
    """The first line that comes through a pipe; why not, when none comes."""
    deadline = time.monotonic() + timeout_seconds
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return f"no word within {timeout_seconds:.0f} s"
        part = os.read(descriptor, 4096)
        if not part:
            return "it ended at once"
        text += part
    return text.decode(errors="replace").strip()
