"""The launchd jobs of the node, by `launchctl print`: each on the slow tier, and closely while it does not run."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence

import msgspec

from fleet.node.agent.collectors import Collectors, Tier
from fleet.node.agent.commands import Commands, Output
from fleet.node.agent.parts import NEVER
from fleet.node.agent.processes import ProcessReading, ProcessSource, processes_here
from fleet.node.agent.reading import MacReader
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.agent import AgentService
from fleet.vocabulary.contracts.snapshot import CollectorReading, ServiceReading
from fleet.vocabulary.launchctl import NOT_LOADED, parse_print

_CLOSE_SECONDS = 1.0
_CLOSE_LOOKS = 60


def reading_of(service: AgentService, output: Output) -> ServiceReading:
    """What `launchctl print` said of a service. Text that cannot be read leaves it unknown, never down."""
    reading = ServiceReading(name=service.name, label=service.label)
    if output.exit_code == NOT_LOADED:
        return msgspec.structs.replace(reading, up=False, state="not loaded")
    if output.exit_code != 0:
        return reading
    printed = parse_print(output.text)
    return msgspec.structs.replace(
        reading,
        up=None if printed.state is None else printed.running,
        state=printed.state,
        pid=printed.pid,
        runs=printed.runs,
        last_exit=printed.last_exit,
        pended=printed.pended,
    )


def is_gone(pid: int) -> bool:
    """Whether no process has that id. One that is not ours exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError as error:
        return error.errno == errno.ESRCH
    return False


class Services:
    """The services of the node."""

    def __init__(
        self,
        commands: Commands,
        reader: MacReader,
        clock: Clock,
        services: Sequence[AgentService],
        *,
        launchctl: str,
        domain: str,
        changed: Callable[[], None],
        gone: Callable[[int], bool] = is_gone,
        processes: ProcessSource | None = None,
    ) -> None:
        self._commands, self._reader, self._clock = commands, reader, clock
        self._changed, self._gone = changed, gone
        self._launchctl, self._domain = launchctl, domain
        self._processes, self._collectors = processes or processes_here(), Collectors(clock)
        self._services = {service.label: service for service in services}
        self._readings = {
            label: ServiceReading(name=service.name, label=label) for label, service in self._services.items()
        }
        self._asked: set[str] = set()
        self._gone_labels: set[str] = set()
        self._closely = dict.fromkeys(self._services, _CLOSE_LOOKS)
        self._look_at = clock.monotonic()

    @property
    def readings(self) -> tuple[ServiceReading, ...]:
        """What was last read of each."""
        return tuple(self._readings.values())

    @property
    def collectors(self) -> tuple[CollectorReading, ...]:
        """How measuring them went."""
        return self._collectors.readings

    def slow(self) -> None:
        """Ask launchd about every service."""
        self._processes.keep({reading.pid for reading in self._readings.values() if reading.pid is not None})
        for label in self._services:
            self._ask(label)

    def look(self, label: str) -> None:
        """Ask about one soon, and closely while it does not run, if it is one of ours."""
        if label in self._services:
            self._closely[label] = _CLOSE_LOOKS
            self._ask(label)

    def fast(self) -> None:
        """Measure those that run. One whose process is gone is asked about as soon as this tick is over."""
        alive = []
        for label, reading in self._readings.items():
            if reading.up and reading.pid is not None and not self._gone(reading.pid):
                self._closely[label] = _CLOSE_LOOKS
                alive.append(label)
            elif reading.up:
                self._gone_labels.add(label)
        self._measure(alive)

    def next_at(self) -> float:
        """When to look again at those that do not run: what a deploy starts, and what comes back, shows in a second."""
        if self._gone_labels:
            return 0.0  # past for every clock: a time read now would be later than the round that compares it
        return self._look_at if any(self._missed()) else NEVER

    def wake(self, now: float) -> None:
        """Look at them; each for a minute only, then at the pace of the slow tier."""
        while self._gone_labels:
            self._ask(self._gone_labels.pop())
        if now < self._look_at:
            return
        self._look_at = now + _CLOSE_SECONDS
        for label in list(self._missed()):
            self._closely[label] -= 1
            self._ask(label)

    def _missed(self) -> Iterator[str]:
        return (label for label, reading in self._readings.items() if not reading.up and self._closely[label])

    def _ask(self, label: str) -> None:
        if label in self._asked:
            return
        self._asked.add(label)
        argv = Argv.of(self._launchctl, "print", f"{self._domain}/{label}")
        self._commands.run(argv, lambda output: self._take(label, output))

    def _take(self, label: str, output: Output) -> None:
        self._asked.discard(label)
        understood = output.exit_code in (0, NOT_LOADED)
        problem = None if understood else output.problem or f"launchctl ended with {output.exit_code}"
        self._collectors.note("launchd", tier=Tier.SLOW, seconds=output.seconds, problem=problem)
        self._readings[label] = reading_of(self._services[label], output)
        self._measure([label])
        self._changed()

    def _measure(self, labels: Sequence[str]) -> None:
        """Sizes and starts of those that have a process. What was known of a former process goes."""
        pids = {label: pid for label in labels if (pid := self._readings[label].pid) is not None}
        processes: dict[str, ProcessReading | None] = self._collectors.collect(
            "processes", lambda: {label: self._processes.read(pid) for label, pid in pids.items()}, {}
        )
        footprints: dict[str, int | None] = self._collectors.collect(
            "footprint", lambda: {label: self._reader.footprint_bytes(pid) for label, pid in pids.items()}, {}
        )
        for label in pids:
            process = processes.get(label) or ProcessReading()
            self._readings[label] = msgspec.structs.replace(
                self._readings[label],
                started_at_seconds=process.started_at_seconds,
                resident_bytes=process.resident_bytes,
                footprint_bytes=footprints.get(label),
            )
