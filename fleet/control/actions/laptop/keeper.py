"""`python -m fleet.control.actions.laptop.keeper FOLDER`: the process that keeps a laptop tier, and guards it.

It holds `keeper.lock` as long as it lives: that, and no process number, says whether a tier is up. Gateway and sidecar
are its children, in its own process group. `status.json` is written anew with every look.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from fleet.control.actions.laptop import readings
from fleet.control.actions.laptop.guard import Reading, Standing, back_in_seconds, step
from fleet.control.actions.laptop.plan import SIDECAR, LaptopPlan, sidecar_command
from fleet.vocabulary.contracts.gateway_admin import IntentRequest, NodeIntent
from fleet.vocabulary.names import Intent

LOCK, STATUS, PLAN = "keeper.lock", "status.json", "laptop.json"
_AGAIN_SECONDS = 10.0
"""As launchd's ThrottleInterval: a child that ends is started again, and not more often than this."""
_DRAIN_SECONDS = 20.0
_END_SECONDS = 10.0
_TICK_SECONDS = 0.5
_ANSWER_SECONDS = 2.0
_TRIES = 10


class LaptopStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the keeper says of itself. Times are UTC seconds. `state`: running, starting, stopped or ending.

    `restarts`: how often the sidecar, or the gateway if that is more, was started again.
    """

    state: str
    since_seconds: float
    reason: str = ""
    back_in_seconds: float | None = None
    restarts: int = 0
    on_battery: bool | None = None
    thermal_level: int | None = None
    pressure_level: int | None = None
    schema: int = 1


@dataclass(eq=False)
class Child:
    """A process that is to run, and is started again when it ends."""

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    began: float | None = None
    restarts: int = -1

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self.process is not None and self.process.poll() is None

    def keep(self, now: float) -> None:
        """Start it, unless it runs or was started a moment ago."""
        if self.alive or (self.began is not None and now - self.began < _AGAIN_SECONDS):
            return
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.argv, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self.began = now
        self.restarts += 1

    def end(self, within_seconds: float = _END_SECONDS) -> None:
        """Ask it to end, and end it."""
        if self.process is None or not self.alive:
            return
        self.process.terminate()
        try:
            self.process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.began = None


@dataclass(eq=False)
class Keeper:
    """One laptop tier while it is up."""

    plan: LaptopPlan
    read: Callable[[], Reading]
    over: threading.Event = field(default_factory=threading.Event)
    standing: Standing = field(default_factory=lambda: Standing(since=time.monotonic()))
    _drained: bool = False
    """Whether the gateway was told to take nothing new, and not yet that this is over."""
    _shown: tuple[str, float] = ("", 0.0)
    """The state that was written last, and since when it is that: UTC seconds."""

    def __post_init__(self) -> None:
        plan = self.plan
        command = sidecar_command(plan)
        for folder in command.directories:
            Path(folder).mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **({"PYTHONPATH": plan.pythonpath} if plan.pythonpath else {})}
        gateway = ("-s", "-m", "fleet.node.gateway", "--config", str(plan.file("gateway.json")))
        self.gateway = Child("gateway", (plan.python, *gateway), environment, plan.file("gateway.err"))
        self.sidecar = Child(
            "sidecar",
            (plan.python, "-s", *command.argv_tail),
            {**environment, **command.environment},
            plan.file("sidecar.log"),
        )
        self._key = plan.file("guard.key").read_text().strip()

    def run(self) -> None:
        """Keep it until `over`; then let requests end, and end everything. Whatever fails here, no child stays."""
        try:
            self._keep()
        finally:
            self.sidecar.end()
            self.gateway.end()
        self._write("stopped", reason="fleet laptop down")

    def _keep(self) -> None:
        self._write("starting")
        next_look = 0.0
        while not self.over.wait(_TICK_SECONDS):
            now = time.monotonic()
            if now >= next_look:
                next_look = now + self.plan.every_seconds
                self._look(now)
            self.gateway.keep(now)
            if self.standing.runs:
                self.sidecar.keep(now)
        self._write("ending")
        self._drain(_DRAIN_SECONDS)

    def _look(self, now: float) -> None:
        reading = self.read()
        before, self.standing = self.standing, step(self.standing, reading, now, self.plan.terms)
        if before.runs and not self.standing.runs:
            self._write("ending", reading)
            if not self.standing.at_once:
                self._drain(_DRAIN_SECONDS)
            self.sidecar.end(0.0 if self.standing.at_once else _END_SECONDS)
        elif self.standing.runs and self._drained and self._want(Intent.SERVING) is not None:
            self._drained = False
        self._write(("running" if is_ready(self.plan) else "starting") if self.standing.runs else "stopped", reading)

    def _drain(self, within_seconds: float) -> None:
        """Nothing new, and what runs may end: as long as there is time for it."""
        ends = time.monotonic() + within_seconds
        self._drained = True
        told = self._want(Intent.DRAINING)
        while told is not None and any(one.in_flight for one in told.sidecars) and time.monotonic() < ends:
            time.sleep(_TICK_SECONDS)
            told = self._want(Intent.DRAINING)

    def _want(self, intent: Intent) -> NodeIntent | None:
        """Tell the gateway; None = it does not answer, and then it serves nobody either."""
        body = msgspec.json.encode(IntentRequest(intent=intent, sidecar=SIDECAR, by="guard"))
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.plan.admin_port}/admin/intent"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, data=body, headers=headers),
                timeout=_ANSWER_SECONDS,
            ) as answer:
                return msgspec.json.decode(answer.read(), type=NodeIntent)
        except (OSError, urllib.error.URLError, msgspec.DecodeError):
            return None

    def _write(self, state: str, reading: Reading | None = None, *, reason: str = "") -> None:
        seen = reading or Reading()
        now = time.monotonic()
        if state != self._shown[0]:
            self._shown = (state, time.time())
        status = LaptopStatus(
            state=state,
            since_seconds=self._shown[1],
            reason=reason or self.standing.reason,
            back_in_seconds=back_in_seconds(self.standing, now, self.plan.terms),
            restarts=max(self.sidecar.restarts, self.gateway.restarts, 0),
            on_battery=seen.on_battery,
            thermal_level=seen.thermal_level,
            pressure_level=seen.pressure_level,
        )
        new = self.plan.file(f"{STATUS}.new")
        new.write_bytes(msgspec.json.encode(status))
        new.replace(self.plan.file(STATUS))


def is_ready(plan: LaptopPlan) -> bool:
    """Whether its model has answered, and takes requests."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{plan.gateway_port}/readyz", timeout=_ANSWER_SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _taken(lock: IO[str]) -> bool:
    """Whether the lock is ours. Who asks whether a tier is up holds it for a moment: that is no other keeper."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(_TICK_SECONDS / _TRIES)
        else:
            return True
    return False


def main(folder: str) -> int:
    """Keep the tier of `folder` until SIGTERM; 75 (EX_TEMPFAIL) when another keeper does already."""
    place = Path(folder)
    with (place / LOCK).open("a+") as lock:
        if not _taken(lock):
            return os.EX_TEMPFAIL
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        plan = msgspec.json.decode((place / PLAN).read_bytes(), type=LaptopPlan)
        keeper = Keeper(plan, lambda: readings.read(readings.say))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: keeper.over.set())
        keeper.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
