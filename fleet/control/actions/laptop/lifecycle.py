"""`fleet laptop up|down|status`: bring the tier of this machine up, take it down, and say how it is."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from fleet.control.actions.laptop import readings
from fleet.control.actions.laptop.guard import ON_BATTERY, GuardTerms, Standing, step
from fleet.control.actions.laptop.keeper import STATUS, LaptopStatus, is_ready
from fleet.control.actions.laptop.making import (
    Notify,
    Wanted,
    is_same,
    packages_of,
    planned,
    weights_of,
    write_files,
)
from fleet.control.actions.laptop.plan import LaptopPlan
from fleet.control.actions.laptop.running import (
    DOWN_SECONDS,
    STEP_SECONDS,
    ask_to_end,
    end_left_over,
    is_up,
    keeper_pid,
    last_lines,
    plan_of,
    restarts_of,
    said,
    stopped_because,
    tail,
)
from fleet.control.inventory.project import Project
from fleet.control.supply.cache import Cache
from fleet.errors import FleetError, UsageError

FOLDER = "laptop"
_UP_SECONDS = 300.0
_MOST_RESTARTS = 2
_PORTS = 3
"""Gateway, its door for the guard, and sidecar."""
_HINTS = MappingProxyType({ON_BATTERY: "--on-battery lets a battery be used"})


def folder_of(project: Project) -> Path:
    """Where the tier keeps its files."""
    return project.state_dir / FOLDER


def up(wanted: Wanted, *, project: Project, cache: Cache, notify: Notify) -> LaptopPlan:
    """Bring the tier up and wait until its model answers. The same again changes nothing.

    Raises UsageError, SupplyError, FleetError. On a failure nothing is left running.
    """
    folder = folder_of(project)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(folder):
            return _already(folder, wanted, project, cache, notify) or _begun(folder, wanted, project, cache, notify)
    except OSError as error:
        raise FleetError(f"{error.filename or folder}: {error.strerror or error}") from None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One `up` at a time: a second would write other keys under the first. Raises UsageError."""
    with (folder / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError("it is being brought up already", hint="fleet laptop status says how far it is") from None
        yield


def _already(folder: Path, wanted: Wanted, project: Project, cache: Cache, notify: Notify) -> LaptopPlan | None:
    """What is up, when it is what is wanted, and answers. Raises UsageError, FleetError."""
    if not is_up(folder):
        return None
    plan = plan_of(folder)
    if plan is None or not is_same(plan, wanted, project, cache):
        raise UsageError("it is up with something else", hint="fleet laptop down; then up again")
    if (stopped := stopped_because(plan)) is not None:
        raise FleetError(f"it is up, and its guard has stopped the model: {stopped}", hint=_back(stopped))
    notify(f"it is up already: {plan.url}")
    return plan


def _begun(folder: Path, wanted: Wanted, project: Project, cache: Cache, notify: Notify) -> LaptopPlan:
    _require_well(wanted)
    end_left_over(folder)
    weights, manifest = weights_of(wanted.model, project, cache)
    _require_free(wanted.gateway_port)
    plan = planned(wanted, folder, weights, manifest, packages_of(project, cache, folder, notify))
    write_files(plan)
    plan.file(STATUS).unlink(missing_ok=True)  # what it says is of the last time
    with (folder / "keeper.err").open("wb") as out:
        keeper = subprocess.Popen(
            (sys.executable, "-s", "-m", "fleet.control.actions.laptop.keeper", str(folder)),
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        _wait_until_it_answers(plan, keeper, notify)
    except BaseException:
        keeper.terminate()
        keeper.wait(DOWN_SECONDS)
        raise
    return plan


def _require_well(wanted: Wanted) -> None:
    now = readings.read(readings.say)
    if now.blind and not wanted.unguarded:
        raise UsageError(
            "nothing here tells of battery, heat or memory, so nothing would stop the model in time",
            hint="on a Mac pmset, notifyutil and sysctl do; --unguarded runs it all the same",
        )
    found = step(Standing(), now, 0.0, GuardTerms(battery_stops=wanted.battery_stops))
    if not found.runs:
        raise _not_now(found.reason)


def _require_free(port: int) -> None:
    """Whoever listens there would be taken for the tier: `up` asks whether somebody answers. Raises UsageError."""
    for one in range(port, port + _PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", one))
            except OSError as error:
                raise UsageError(
                    f"port {one} of this machine cannot be had: {error.strerror}",
                    hint=f"--port {port + 10} takes that one and the two above",
                ) from None


def _not_now(reason: str) -> FleetError:
    return FleetError(
        f"its guard does not let it run: {reason}", hint=_HINTS.get(reason, "try again when that is over")
    )


def _back(reason: str) -> str:
    allowed = f"; {_HINTS[reason]}, after fleet laptop down" if reason in _HINTS else ""
    return f"it comes back by itself when that is over{allowed}"


def down(project: Project, *, notify: Notify) -> bool:
    """Take the tier down; whether it was up. What a killed keeper left behind ends too. Raises FleetError."""
    folder = folder_of(project)
    was_up = is_up(folder)
    ends = time.monotonic() + DOWN_SECONDS
    while is_up(folder):
        ask_to_end(keeper_pid(folder))
        if time.monotonic() > ends:
            raise FleetError("its keeper does not end", hint=f"kill {keeper_pid(folder)}, then fleet laptop down again")
        time.sleep(STEP_SECONDS)
    left = end_left_over(folder)
    if left:
        notify(f"ended what a killed keeper had left: {left} process{'es' if left > 1 else ''}")
    return was_up or bool(left)


def status(project: Project) -> tuple[LaptopPlan | None, LaptopStatus | None]:
    """How the tier is. No plan: it never was up. No status: its keeper is gone."""
    folder = folder_of(project)
    plan = plan_of(folder)
    if plan is None or not is_up(folder):
        return plan, None
    return plan, said(folder) or LaptopStatus(state="starting", since_seconds=time.time())


def _wait_until_it_answers(plan: LaptopPlan, keeper: subprocess.Popen[bytes], notify: Notify) -> None:
    notify(f"{plan.serves} is being loaded")
    ends = time.monotonic() + _UP_SECONDS
    while not is_ready(plan):
        if keeper.poll() is not None:
            raise FleetError("its keeper ended", detail=tail(plan.file("keeper.err")), hint="fleet laptop up again")
        if (stopped := stopped_because(plan)) is not None:
            raise _not_now(stopped)
        if restarts_of(plan) >= _MOST_RESTARTS:
            raise FleetError(f"{plan.serves} or its gateway ends again and again", detail=last_lines(plan))
        if time.monotonic() > ends:
            raise FleetError(f"{plan.serves} did not answer within {_UP_SECONDS:.0f} s", detail=last_lines(plan))
        time.sleep(STEP_SECONDS)
