"""What is there of a laptop tier now: its keeper, what that said last, and what a killed one left behind."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path

import msgspec

from fleet.control.actions.laptop import readings
from fleet.control.actions.laptop.keeper import LOCK, PLAN, STATUS, LaptopStatus
from fleet.control.actions.laptop.plan import LaptopPlan
from fleet.errors import FleetError

DOWN_SECONDS = 45.0
STEP_SECONDS = 0.2
_TAIL_LINES = 12


def is_up(folder: Path) -> bool:
    """Whether a keeper holds its lock."""
    try:
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # who asks does not hide from another who asks
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def plan_of(folder: Path) -> LaptopPlan | None:
    """What it was last brought up with; None = it never was."""
    try:
        return msgspec.json.decode((folder / PLAN).read_bytes(), type=LaptopPlan)
    except (OSError, msgspec.DecodeError):
        return None


def said(folder: Path) -> LaptopStatus | None:
    """What its keeper said last."""
    try:
        return msgspec.json.decode((folder / STATUS).read_bytes(), type=LaptopStatus)
    except (OSError, msgspec.DecodeError):
        return None


def stopped_because(plan: LaptopPlan) -> str | None:
    """Why its guard has stopped the model; None while it has not."""
    found = said(Path(plan.folder))
    return found.reason if found is not None and found.state == "stopped" else None


def restarts_of(plan: LaptopPlan) -> int:
    """How often its sidecar or gateway was started again."""
    found = said(Path(plan.folder))
    return 0 if found is None else found.restarts


def last_lines(plan: LaptopPlan) -> str:
    """Of the server, and of the gateway where it had something to say."""
    return "\n".join(text for text in (tail(plan.file("sidecar.log")), tail(plan.file("gateway.err"))) if text)


def tail(file: Path) -> str:
    """The last lines of a log."""
    try:
        return "\n".join(file.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
    except OSError:
        return ""


def keeper_pid(folder: Path) -> int | None:
    """The process that wrote itself into the lock last."""
    text = (folder / LOCK).read_text(errors="replace").strip() if (folder / LOCK).is_file() else ""
    return int(text) if text.isdecimal() else None


def ask_to_end(pid: int | None) -> None:
    """SIGTERM, to who may be gone by now."""
    if pid is not None:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return


def end_left_over(folder: Path) -> int:
    """End the children of a keeper that was killed, and wait until they are gone. How many. Raises FleetError."""
    found = left = _left_over(folder)
    ends = time.monotonic() + DOWN_SECONDS
    while left:
        for number in left:
            ask_to_end(number)
        if time.monotonic() > ends:
            raise FleetError(
                "what a killed keeper had left does not end",
                hint=f"kill -9 {' '.join(map(str, left))}, then fleet laptop down again",
            )
        time.sleep(STEP_SECONDS)
        left = _left_over(folder)
    return len(found)


def _left_over(folder: Path) -> list[int]:
    """The processes of a killed keeper's group that are of this tier."""
    plan, group = plan_of(folder), keeper_pid(folder)
    if plan is None or group is None or is_up(folder):
        return []
    listing = readings.say(("ps", "-axww", "-o", "pid=,pgid=,command="))
    ours = (str(folder), f"--port {plan.sidecar_port}")
    found = []
    for line in listing.splitlines():
        pid, _, rest = line.strip().partition(" ")
        owner, _, command = rest.strip().partition(" ")
        if pid.isdecimal() and owner == str(group) and any(word in command for word in ours):
            found.append(int(pid))
    return found
