"""The agent: one thread, one selector, and the parts that hang on it."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from fleet import __version__
from fleet.node.agent import metrics
from fleet.node.agent.commands import Commands, Output
from fleet.node.agent.parts import Part
from fleet.node.agent.reading import MacReader
from fleet.node.agent.sampler import Sampler
from fleet.node.agent.server import HttpServer, Page
from fleet.node.agent.services import Services
from fleet.node.agent.sidecars import Sidecars
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.agent import AgentConfig
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.secret import Secret

Log = Callable[[str], None]

_COMMANDS = {"vm_stat": "/usr/bin/vm_stat"}


class Ticker:
    """Calls `tick` every `seconds`. After a pause (the machine slept) it goes on from now, without catching up."""

    def __init__(self, seconds: float, tick: Callable[[], None], *, first_at: float) -> None:
        self._seconds, self._tick, self._next = seconds, tick, first_at

    def next_at(self) -> float:
        """When it ticks next."""
        return self._next

    def wake(self, now: float) -> None:
        """Tick when it is time."""
        if now >= self._next:
            self._next += self._seconds
            if self._next <= now:
                self._next = now + self._seconds
            self._tick()


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
        self._server = HttpServer(self._selector, clock, listener, self.page, token)
        self._stopping = False
        self._rendered: tuple[bytes, bytes] | None = None
        self._last_problems: frozenset[str] = frozenset()
        self._parts: tuple[Part, ...] = ()
        self._configure(config, reader)

    @property
    def selector(self) -> selectors.BaseSelector:
        """Where other file objects may be watched (`on_ready` as their data)."""
        return self._selector

    def reload(self, config: AgentConfig, reader: MacReader, token: Secret) -> None:
        """Go on with another configuration, on the same port."""
        self._sidecars.close()
        self._commands.close()
        self._server.token = token
        self._configure(config, reader)

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
        self._sidecars.close()
        self._commands.close()
        self._server.close()
        self._selector.close()

    def snapshot(self) -> Snapshot:
        """The last sample, with services and sidecars as they were last seen."""
        return msgspec.structs.replace(
            self._sample,
            services=self._services.readings,
            sidecars=self._sidecars.readings,
            collectors=self._sample.collectors + self._services.collectors,
        )

    def page(self, path: str) -> Page | None:
        """What the listener serves."""
        if path == "/healthz":
            return Page(body=b"ok\n", content_type="text/plain; charset=utf-8")
        if path not in ("/v1/snapshot", "/metrics"):
            return None
        if self._rendered is None:
            snapshot = self.snapshot()
            self._rendered = msgspec.json.encode(snapshot), metrics.render(snapshot)
        age = self._clock.monotonic() - self._sampled_at
        if path == "/metrics":
            return Page(body=self._rendered[1], content_type=metrics.CONTENT_TYPE, age_seconds=age)
        return Page(body=self._rendered[0], content_type="application/json", age_seconds=age)

    def _configure(self, config: AgentConfig, reader: MacReader) -> None:
        self._config, self._reader = config, reader
        self._sampler = Sampler(reader, self._clock, node=config.node, version=__version__, disks=config.disks)
        self._sidecars = Sidecars(
            self._selector,
            self._clock,
            config.sidecars,
            fast_seconds=config.fast_seconds,
            slow_seconds=config.slow_seconds,
            changed=self._changed,
        )
        self._services = Services(
            self._commands,
            reader,
            self._clock,
            config.services,
            launchctl=config.launchctl,
            domain=config.domain,
            changed=self._changed,
        )
        self._take_sample()
        now = self._clock.monotonic()
        self._parts = (
            Ticker(config.fast_seconds, self._fast, first_at=now + config.fast_seconds),
            Ticker(config.slow_seconds, self._slow, first_at=now),
            self._services,
            self._sidecars,
            self._commands,
            self._server,
        )

    def _fast(self) -> None:
        self._take_sample()
        self._services.fast()

    def _slow(self) -> None:
        self._services.slow()
        for name in self._reader.wants():
            argv = Argv.of(self._config.commands.get(name) or _COMMANDS[name])
            self._commands.run(argv, self._feed(name))

    def _feed(self, name: str) -> Callable[[Output], None]:
        return lambda output: self._reader.feed(name, output.text if output.exit_code == 0 else "")

    def _take_sample(self) -> None:
        self._sample = self._sampler.sample()
        self._sampled_at = self._clock.monotonic()
        self._changed()
        problems = {item.name: item.problem or "" for item in self.snapshot().collectors if not item.ok}
        for name in sorted(set(problems) - self._last_problems):
            self._log(f"collector {name} fails: {problems[name]}")
        for name in sorted(self._last_problems - set(problems)):
            self._log(f"collector {name} works again")
        self._last_problems = frozenset(problems)

    def _changed(self) -> None:
        self._rendered = None


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
