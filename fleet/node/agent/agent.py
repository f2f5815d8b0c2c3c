"""The agent: one thread, one selector, and the parts that hang on it."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from fleet import __version__
from fleet.node.agent.collectors import Collectors, Tier
from fleet.node.agent.commands import Commands, Output
from fleet.node.agent.cures import Cures
from fleet.node.agent.disks import disk_source
from fleet.node.agent.fallbacks import command
from fleet.node.agent.history import History
from fleet.node.agent.logs import Logs
from fleet.node.agent.own import resident_bytes
from fleet.node.agent.pace import Errand, Errands, Ticker
from fleet.node.agent.pages import Pages
from fleet.node.agent.panics import panic_folder
from fleet.node.agent.parts import Part
from fleet.node.agent.reading import MacReader
from fleet.node.agent.sampler import Sampler
from fleet.node.agent.server import HttpServer
from fleet.node.agent.services import Services
from fleet.node.agent.tending import Tending
from fleet.node.agent.workingset import WorkingSet
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.agent import AgentConfig
from fleet.vocabulary.contracts.snapshot import AgentReading, Snapshot
from fleet.vocabulary.panicking import PANIC_AFTER_BOOT_SECONDS
from fleet.vocabulary.secret import Secret

Log = Callable[[str], None]

HISTORY_NAME = "history.sqlite3"
"""In the agent's folder, `var_dir`."""
_DAY_SECONDS = 24 * 3600.0


class Agent:
    """Samples, probes and answers until `stop`."""

    def __init__(
        self,
        config: AgentConfig,
        reader: MacReader,
        clock: Clock,
        *,
        listener: socket.socket,
        token: Secret,
        log: Log,
    ) -> None:
        self._clock, self._log = clock, log
        self._selector = selectors.DefaultSelector()
        self._commands = Commands(self._selector, clock)
        self._started_at = clock.now().timestamp()
        self._pages = Pages(clock, snapshot=self.snapshot, series=lambda query: self._history.series(query))
        self._server = HttpServer(self._selector, clock, listener, self._pages.page, token)
        self._stopping = False
        self._last_problems: frozenset[str] = frozenset()
        self._parts: tuple[Part, ...] = ()
        self._configure(config, reader, token)

    @property
    def selector(self) -> selectors.BaseSelector:
        """Where other file objects may be watched (`on_ready` as their data)."""
        return self._selector

    def reload(self, config: AgentConfig, reader: MacReader, token: Secret) -> None:
        """Go on with another configuration, on the same port."""
        self._tending.close()
        self._commands.close()
        self._history.close()
        self._server.token = token
        self._configure(config, reader, token)

    def stop(self) -> None:
        """Leave `run` after the current round."""
        self._stopping = True

    def run(self) -> None:
        """Loop until stopped."""
        while not self._stopping:
            self.turn()

    def turn(self, longest_seconds: float = 60.0) -> None:
        """One round: wait for a socket or a deadline, then do what is due."""
        now = self._clock.monotonic()
        due = min(part.next_at() for part in self._parts)
        for key, events in self._selector.select(max(0.0, min(due - now, longest_seconds))):
            key.data(events)
        now = self._clock.monotonic()
        for part in self._parts:
            if part.next_at() <= now:
                part.wake(now)

    def close(self) -> None:
        """Close every socket and end every command."""
        self._tending.close()
        self._commands.close()
        self._history.close()
        self._server.close()
        self._selector.close()

    def snapshot(self) -> Snapshot:
        """The last sample, with everything else as it was last seen."""
        own = (self._services.collectors, self._tending.collectors, self._collectors.readings)
        return msgspec.structs.replace(
            self._sample,
            services=self._services.readings,
            sidecars=self._tending.readings,
            collectors=sum(own, self._sample.collectors),
            history=self._history.reading,
            agent=AgentReading(
                resident_bytes=self._resident_bytes,
                started_at_seconds=self._started_at,
                cpu_seconds_total=time.process_time(),
                late_seconds=self._ticker.late_seconds,
                most_late_seconds=self._ticker.most_late_seconds,
            ),
        )

    def _configure(self, config: AgentConfig, reader: MacReader, token: Secret) -> None:
        self._config, self._reader = config, reader
        self._collectors = Collectors(self._clock)
        self._resident_bytes: int | None = None
        self._history = History(
            Path(config.var_dir) / HISTORY_NAME, self._clock, node=config.node, pace_seconds=config.fast_seconds
        )
        self._sampler = Sampler(
            reader,
            self._clock,
            node=config.node,
            version=__version__,
            disks=config.disks,
            disk=disk_source(config.readings),
            panics=panic_folder(config.readings),
        )
        self._tending = Tending(
            self._selector,
            self._clock,
            config,
            token=token,
            history=self._history,
            machine=lambda: self._sample,
            changed=self._pages.changed,
            log=self._log,
        )
        self._services = Services(
            self._commands,
            reader,
            self._clock,
            config.services,
            launchctl=config.launchctl,
            domain=config.domain,
            changed=self._pages.changed,
        )
        self._cures = Cures(self._commands, self._clock, config, look=self._services.look, log=self._log)
        self._working_set = WorkingSet(
            self._commands, config.readings, note=self._collectors, changed=self._pages.changed
        )
        self._logs = Logs(config.logs, limit_bytes=config.log_limit_bytes, files=config.log_files)
        first_at = self._clock.monotonic() + config.fast_seconds
        self._ticker = Ticker(config.fast_seconds, self._fast, first_at=first_at)
        self._parts = (
            self._ticker,
            Errands(self._errands(), self._clock, tick_at=self._ticker.next_at, tick_seconds=config.fast_seconds),
            self._services,
            *self._tending.parts,
            self._commands,
            self._server,
        )
        self._take_sample()

    def _errands(self) -> tuple[Errand, ...]:
        """The slow and the daily tier. `launchctl` and other commands run beside the loop."""
        slow = self._config.slow_seconds
        return (
            Errand(name="services", every_seconds=slow, run=self._services.slow),
            Errand(name="commands", every_seconds=slow, run=self._run_commands),
            Errand(name="disks", every_seconds=slow, run=self._sampler.read_disks),
            Errand(name="history", every_seconds=slow, run=self._keep_history),
            Errand(name="logs", every_seconds=self._config.fast_seconds, run=self._bound_logs),
            Errand(name="own", every_seconds=slow, run=self._measure_itself),
            Errand(name="unknown", every_seconds=slow, run=self._sampler.complete),
            Errand(name="learned", every_seconds=slow, run=self._tending.save),
            Errand(name="fresh panics", every_seconds=slow, run=self._read_fresh_panics),
            Errand(name="metal", every_seconds=_DAY_SECONDS, run=self._working_set.read),
            Errand(name="machine", every_seconds=_DAY_SECONDS, run=self._sampler.read_machine),
            Errand(name="panics", every_seconds=_DAY_SECONDS, run=self._sampler.read_panics),
        )

    def _fast(self) -> None:
        snapshot = self._take_sample()
        self._services.fast()
        self._tending.fast(snapshot)
        if self._config.helper:
            self._collectors.collect("cures", lambda: self._cures.tick(snapshot.services, snapshot.memory), None)

    def _run_commands(self) -> None:
        for name in self._reader.wants():
            self._commands.run(command(name, self._config.commands), self._feed(name))

    def _feed(self, name: str) -> Callable[[Output], None]:
        def take(output: Output) -> None:
            good = output.exit_code == 0
            problem = None if good else output.problem or f"it ended with {output.exit_code}"
            self._collectors.note(name, tier=Tier.SLOW, seconds=output.seconds, problem=problem)
            self._reader.feed(name, output.text if good else "")

        return take

    def _keep_history(self) -> None:
        self._collectors.collect("history", self._write_history, None, tier=Tier.SLOW)

    def _write_history(self) -> None:
        self._history.flush()
        if paused := self._history.reading.paused:
            raise OSError(paused)

    def _bound_logs(self) -> None:
        """At the fast pace: what a chatty service writes between two looks is on the disk beyond the limit."""
        if self._config.logs:
            self._collectors.collect("logs", self._logs.bound, 0, tier=Tier.SLOW)

    def _measure_itself(self) -> None:
        self._resident_bytes = self._collectors.collect("own", resident_bytes, None, tier=Tier.SLOW)

    def _read_fresh_panics(self) -> None:
        """The report of a panic is written once the machine is up again, and later than we start."""
        boot = self._sample.boot_time_seconds
        if boot is not None and self._sample.at_seconds - boot < PANIC_AFTER_BOOT_SECONDS:
            self._sampler.read_panics()

    def _take_sample(self) -> Snapshot:
        sample = self._sampler.sample()
        memory = self._working_set.on(sample.memory)
        if self._config.wired_limit_bytes is not None:
            memory = msgspec.structs.replace(memory, wired_limit_expected_bytes=self._config.wired_limit_bytes)
        self._sample = msgspec.structs.replace(sample, memory=memory)
        snapshot = self.snapshot()
        self._history.append(snapshot)
        self._pages.sampled()
        problems = {item.name: item.problem or "" for item in snapshot.collectors if not item.ok}
        for name in sorted(set(problems) - self._last_problems):
            self._log(f"collector {name} fails: {problems[name]}")
        for name in sorted(self._last_problems - set(problems)):
            self._log(f"collector {name} works again")
        self._last_problems = frozenset(problems)
        return snapshot


def listen(port: int, *, patience_seconds: float, sleep: Callable[[float], None] = time.sleep) -> socket.socket:
    """A loopback listener. While the port is still held (a process on its way out) it tries again. Raises OSError."""
    for attempt in range(max(1, round(patience_seconds / 0.5))):
        try:
            return socket.create_server(("127.0.0.1", port), backlog=64)
        except OSError:
            if attempt + 1 >= round(patience_seconds / 0.5):
                raise
            sleep(0.5)
    raise AssertionError("unreachable")


def token_path(config: AgentConfig) -> Path:
    """Where the bearer token lies."""
    return Path(config.token_file)
