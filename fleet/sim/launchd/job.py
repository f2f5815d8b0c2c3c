"""One job: the life of its process from spawn to end, with throttle, KeepAlive, exit timeout and process group."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from fleet.sim.launchd.calendar import next_time
from fleet.sim.launchd.conditions import Conditions
from fleet.sim.launchd.ending import EX_CONFIG, Ending, grown_throttle_seconds, wants_restart
from fleet.sim.launchd.spawn import Running, SpawnFailed, Starter, identity_of
from fleet.sim.launchd.spec import JobSpec
from fleet.sim.launchd.text import JobView

DEMAND = "non-ipc demand"


class JobHost(Protocol):
    """What a job needs of its launchd."""

    @property
    def conditions(self) -> Conditions:
        """How launchd behaves now."""

    @property
    def spawner(self) -> Starter:
        """Starts processes."""

    def log(self, job: Job, text: str) -> None:
        """Write to the unified log."""

    def changed(self, job: Job) -> None:
        """Launchctl would print something else of the job."""

    def removed(self, job: Job) -> None:
        """The job is gone for good."""


class Job:
    """A loaded job. Every method is called on the event loop; nothing here blocks."""

    def __init__(self, spec: JobSpec, domain: str, serial: int, host: JobHost) -> None:
        self.spec = spec
        self.domain = domain
        self.removing = False
        self.gone = asyncio.Event()
        self._serial = serial
        self._host = host
        self._identity = identity_of(spec.program)
        self._process: Running | None = None
        self._spawning = False
        self._stopping: str | None = None
        self._start_again = False
        self._restarted = asyncio.Event()
        self._held_back = False
        self._runs = 0
        self._crashes = 0
        self._launched_at: float | None = None
        self._ending: Ending | None = None
        self._spawn_failed = False
        self._pended: str | None = None
        self._reason: str | None = None
        self._respawn: asyncio.TimerHandle | None = None
        self._interval: asyncio.TimerHandle | None = None
        self._calendar: asyncio.TimerHandle | None = None
        self._kill_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what launchd asks for ---------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Begin the job's life: RunAtLoad and KeepAlive spawns are speculative, so they may be pended."""
        self._arm_interval()
        self._arm_calendar()
        if self.spec.starts_at_load:
            await self._start_unasked("speculative")

    async def demand(self) -> None:
        """A plain kickstart: it cures a pended spawn, does nothing to a running job, and cannot shorten a throttle."""
        if self._process is None and self._respawn is None:
            await self._start_when_allowed(DEMAND)

    async def restart(self) -> None:
        """`kickstart -k`: signal the process, and start the OLD definition again when it is dead."""
        if self._process is None:
            await self.demand()
            return
        self._start_again = True
        self._restarted.clear()
        if self._host.conditions.kickstart_signal == "SIGKILL":
            self._kill()
        else:
            self._terminate()

    async def restarted(self) -> None:
        """Wait for what `restart` began: at most the exit timeout and a bit."""
        try:
            async with asyncio.timeout(self.spec.exit_timeout_seconds + 5):
                await self._restarted.wait()
        except TimeoutError:
            pass

    async def release(self) -> None:
        """A hold was lifted: what it kept from running runs."""
        if self._held_back:
            self._held_back = False
            await self._start_unasked("inefficient")

    def hold(self) -> None:
        """The service is held down from now on: its process dies, and nothing starts in its place."""
        self._held_back = self._process is not None or self._respawn is not None or self._spawn_failed
        self._cancel_respawn()
        self._signal(signal.SIGKILL)

    def remove(self) -> None:
        """Bootout: SIGTERM now, SIGKILL at the exit timeout; the label stays until the process is dead."""
        self.removing = True
        self._cancel_respawn()
        self._disarm()
        if self._process:
            self._terminate()
        elif not self._spawning:
            self._finish()

    def crash(self) -> None:
        """The machine loses power: everything of the job dies at once."""
        self.removing = True
        self._cancel_respawn()
        self._disarm()
        if self._process:
            self._kill()
        elif not self._spawning:
            self._finish()

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to the main process; whether there was one."""
        return self._signal(number)

    @property
    def pid(self) -> int | None:
        """The main process, while there is one."""
        return self._process.pid if self._process else None

    @property
    def reason(self) -> str:
        """Why the job was spawned last: the word of `launchctl blame`."""
        return self._reason or "(not running)"

    def view(self) -> JobView:
        """The job as launchctl shows it now."""
        base = self.spec.throttle_seconds
        return JobView(
            domain=self.domain,
            spec=self.spec,
            state=self._state(),
            serial=self._serial,
            pid=self.pid,
            runs=self._runs,
            immediate_reason=self._reason,
            pended=None if self._process else self._pended,
            ending=self._ending,
            minimum_runtime_seconds=int(grown_throttle_seconds(base, self._crashes)),
            successive_crashes=self._crashes,
            spawn_failed=self._spawn_failed and not self._process,
        )

    def _state(self) -> str:
        if self._process:
            return self._stopping or "running"
        held = self._host.conditions.holds(self.spec.label) and self.spec.keep_alive.any
        return "spawn scheduled" if self._respawn or self._spawning or held else "not running"

    # --- starting ----------------------------------------------------------------------------------------------------

    async def _start_unasked(self, reason: str) -> None:
        """A spawn that nobody demanded: launchd may put it off without end (FACTS section 1.4)."""
        if self._process or self._spawning or self.removing:
            return
        if pended := self._host.conditions.pended:
            self._pended = reason if pended == "auto" else pended
            self._host.log(self, f"pending nondemand spawn = {self._pended}")
            self._host.changed(self)
            return
        await self._start_when_allowed(reason)

    async def _start_when_allowed(self, reason: str) -> None:
        """Spawn now, or when the throttle allows it: its time runs from the last launch, not from the death."""
        wait_seconds = self._throttle_left_seconds()
        if wait_seconds <= 0:
            await self._spawn(reason)
            return
        self._host.log(self, f"service spawn deferred by {max(1, round(wait_seconds))} seconds due to throttle")
        self._cancel_respawn()
        self._respawn = asyncio.get_running_loop().call_later(wait_seconds, self._later, self._throttled, reason)
        self._host.changed(self)

    async def _throttled(self, reason: str) -> None:
        self._respawn = None
        await self._spawn(reason)

    async def _spawn(self, reason: str) -> None:
        if self._process or self._spawning or self.removing:
            return
        self._pended = None
        self._reason = reason
        self._launched_at = asyncio.get_running_loop().time()
        self._runs += 1
        self._spawning = True
        process, why_not = await self._try_to_start()
        self._spawning = False
        if process:
            self._process, self._spawn_failed = process, False
            self._watch(process)
        self._restarted.set()
        await self._settle(why_not)
        self._host.changed(self)

    async def _try_to_start(self) -> tuple[Running | None, Ending | None]:
        """The process, or the ending that launchd books for the spawn that did not come to be."""
        if self._host.conditions.holds(self.spec.label):
            self._held_back = True
            self._host.log(self, "Service cannot presently execute (held down by fleet sim fault)")
            return None, Ending(code=EX_CONFIG)
        if self._identity and identity_of(self.spec.program) not in (self._identity, None):
            self._host.log(self, "exited due to SIGKILL | CODESIGNING code 4, Launch Constraint Violation")
            return None, Ending(reason="OS_REASON_CODESIGNING")
        try:
            spec = _ending_at_once(self.spec) if self._host.conditions.crashes(self.spec.label) else self.spec
            return await self._host.spawner.start(spec, system=self.domain == "system"), None
        except SpawnFailed as error:
            self._host.log(self, f"Service could not initialize: {error}")
            return None, Ending(code=EX_CONFIG)

    async def _settle(self, why_not: Ending | None) -> None:
        """After a spawn: whatever was asked for while it was under way, or the next try when there is no process."""
        if why_not is None:
            if self.removing:
                self._terminate()
            elif self._host.conditions.holds(self.spec.label):
                self.hold()
            return
        self._ending, self._spawn_failed = why_not, why_not.code == EX_CONFIG
        if self.removing:
            self._finish()
            return
        self._crashes += 1
        if self.spec.keep_alive.any and not self._host.conditions.holds(self.spec.label):
            await self._start_unasked("inefficient")

    # --- ending ------------------------------------------------------------------------------------------------------

    def _watch(self, process: Running) -> None:
        async def wait() -> None:
            await self._ended(process, await process.wait())

        self._keep(wait())

    async def _ended(self, process: Running, return_code: int) -> None:
        if self._kill_timer:
            self._kill_timer.cancel()
        if not self.spec.abandon_process_group:
            process.end_group()
        ran_seconds = asyncio.get_running_loop().time() - (self._launched_at or 0.0)
        self._process = self._kill_timer = None
        stopped, self._stopping = self._stopping, None
        self._ending = ending = Ending.of_return_code(return_code)
        self._host.log(self, _ended_text(ending, stopped=stopped is not None, ran_seconds=ran_seconds))
        early = ran_seconds < self.spec.throttle_seconds * self._host.conditions.throttle_scale
        self._crashes = self._crashes + 1 if ending.failed and early and not stopped else 0
        if self.removing:
            self._finish()
        elif self._host.conditions.holds(self.spec.label):
            self._start_again = False
        elif self._start_again:
            self._start_again = False
            await self._spawn(DEMAND)
        elif wants_restart(self.spec.keep_alive, ending):
            if early:
                left = round(self._throttle_left_seconds())
                self._host.log(
                    self, f"Service only ran for {ran_seconds:.0f} seconds. Pushing respawn out by {left} seconds."
                )
            await self._start_unasked("inefficient")
        self._host.changed(self)

    def _terminate(self) -> None:
        """SIGTERM to the main process alone; SIGKILL when the exit timeout is over (0 = never)."""
        if self._stopping or not self._process:
            return
        self._stopping = "SIGTERMed"
        self._host.changed(self)
        self._signal(signal.SIGTERM)
        self._host.log(self, "signaled service: Terminated: 15")
        timeout = self.spec.exit_timeout_seconds
        if timeout > 0:
            self._host.log(self, f"scheduling cleanup in {timeout} sec after sending Terminated: 15")
            delay = timeout * self._host.conditions.exit_scale
            self._kill_timer = asyncio.get_running_loop().call_later(delay, self._kill)

    def _kill(self) -> None:
        if self._process:
            self._stopping = "SIGKILLed"
            self._signal(signal.SIGKILL)

    def _finish(self) -> None:
        self._host.removed(self)
        self.gone.set()

    # --- small things ------------------------------------------------------------------------------------------------

    def _throttle_left_seconds(self) -> float:
        if self._launched_at is None:
            return 0.0
        conditions = self._host.conditions
        minimum = grown_throttle_seconds(self.spec.throttle_seconds, self._crashes) * conditions.throttle_scale
        return self._launched_at + minimum - asyncio.get_running_loop().time()

    def _arm_interval(self) -> None:
        """StartInterval: a tick that finds the job running is lost."""
        if not self.spec.start_interval_seconds or self.removing:
            return
        delay = self.spec.start_interval_seconds * self._host.conditions.throttle_scale
        self._interval = asyncio.get_running_loop().call_later(delay, self._tick)

    def _arm_calendar(self) -> None:
        """StartCalendarInterval: not scaled, and a firing that finds the job running is lost, too."""
        now = datetime.now() + timedelta(seconds=self._host.conditions.clock_ahead_seconds)  # noqa: DTZ005 (a Mac's own time)
        due = next_time(self.spec.start_calendar, now)
        if due is not None and not self.removing:
            delay = (due - now).total_seconds()
            self._calendar = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        self._arm_calendar()
        if self._respawn is None:
            self._later(self._start_unasked, "calendar interval")

    def _disarm(self) -> None:
        for timer in (self._interval, self._calendar):
            if timer:
                timer.cancel()

    def _tick(self) -> None:
        self._arm_interval()
        if self._respawn is None:
            self._later(self._start_unasked, "interval")

    def _cancel_respawn(self) -> None:
        if self._respawn:
            self._respawn.cancel()
        self._respawn = None

    def _signal(self, number: signal.Signals) -> bool:
        return self._process is not None and self._process.send(number)

    def _later(self, what: Callable[[str], Coroutine[Any, Any, None]], reason: str) -> None:
        self._keep(what(reason))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _ending_at_once(spec: JobSpec) -> JobSpec:
    """The job with a program that ends with 1: same account, same logs."""
    return replace(spec, program="/bin/sh", arguments=("sh", "-c", "echo crashed by fleet sim fault >&2; exit 1"))


def _ended_text(ending: Ending, *, stopped: bool, ran_seconds: float) -> str:
    sender = "launchd[1]" if stopped else "exc handler"
    if ending.signal:
        return f"exited due to {ending.signal} | sent by {sender}, ran for {ran_seconds * 1000:.0f}ms"
    return f"exited with code {ending.code} | ran for {ran_seconds * 1000:.0f}ms"
