"""What root must do for a node's own daemons, by the helper's one verb: start one that launchd puts off.

Two cases: a service whose start is pended (FACTS section 1.4), and the job that sets the GPU wired limit, which macOS
forgets. Starting what runs changes nothing, so it may be asked again; it is, once a minute at most. Whether it helped
is read back from launchd and from the kernel, never taken from the exit status.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fleet.node.agent.commands import Commands, Output
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.agent import AgentConfig
from fleet.vocabulary.contracts.snapshot import Memory, ServiceReading
from fleet.vocabulary.wired import is_lost

PENDED_SECONDS = 30.0
"""launchd may start it by itself meanwhile."""
LOST_SECONDS = 30.0
EVERY_SECONDS = 60.0


class Cures:
    """What is to be started, and what came of it."""

    def __init__(
        self,
        commands: Commands,
        clock: Clock,
        config: AgentConfig,
        *,
        look: Callable[[str], None],
        log: Callable[[str], None],
    ) -> None:
        self._commands, self._clock, self._look, self._log = commands, clock, look, log
        self._helper, self._limit_job = config.helper, config.wired_limit_job
        self._spared = {
            name for car in config.sidecars if not car.care.cure_pended for name in (car.name, f"sidecar.{car.name}")
        }
        self._since: dict[str, float] = {}
        self._tried_at: dict[str, float] = {}
        self._problem: str | None = None

    def tick(self, services: Sequence[ServiceReading], memory: Memory) -> None:
        """Start what has been put off, or is lost, for long enough. Raises OSError while that cannot be done."""
        now = self._clock.monotonic()
        wanted = dict(self._wanted(services, memory))
        self._since = {label: self._since.get(label, now) for label in wanted}
        for label, patience in wanted.items():
            tried = self._tried_at.get(label)
            if now - self._since[label] >= patience and (tried is None or now - tried >= EVERY_SECONDS):
                self._tried_at[label] = now
                self._start(label)
        if not wanted:
            self._problem = None
        if self._problem:
            raise OSError(self._problem)

    def _wanted(self, services: Sequence[ServiceReading], memory: Memory) -> list[tuple[str, float]]:
        """Labels, and how long each must have been wanted."""
        if not self._helper:
            return []
        pended = [one for one in services if one.up is False and one.pended is not None]
        found = [(one.label, PENDED_SECONDS) for one in pended if one.name not in self._spared]
        if self._limit_job and is_lost(memory):
            found.append((self._limit_job, LOST_SECONDS))
        return found

    def _start(self, label: str) -> None:
        self._log(f"starts {label}, which does not start by itself")
        self._commands.run(Argv.of(*self._helper, label), lambda output: self._started(label, output))

    def _started(self, label: str, output: Output) -> None:
        self._problem = None
        if output.exit_code != 0:
            why = output.problem or f"the helper ended with {output.exit_code}"
            self._problem = f"{label} cannot be started: {why}; fleet adopt renews the helper"
            self._log(self._problem)
        self._look(label)
