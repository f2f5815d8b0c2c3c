"""Runs commands beside the loop: one at a time, with a deadline and a bound on what they print. The only forks."""

from __future__ import annotations

import os
import selectors
import subprocess
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from fleet.node.agent.parts import NEVER, Watched
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.clock import Clock

_MOST_BYTES = 1024 * 1024
_REAP_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Output:
    """How a command ended. `exit_code` None = it could not be started, or was killed at its deadline."""

    exit_code: int | None
    text: str
    problem: str | None = None
    seconds: float = 0.0


Then = Callable[[Output], None]


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    watched: Watched
    then: Then
    started: float
    deadline: float
    output: bytearray
    reap_at: float | None = None
    """When to look for its end; None while it still holds its output open."""


class Commands:
    """A queue of commands. `then` is called with the output on the loop's thread."""

    def __init__(self, selector: selectors.BaseSelector, clock: Clock, *, deadline_seconds: float = 5.0) -> None:
        self._selector, self._clock, self._deadline_seconds = selector, clock, deadline_seconds
        self._waiting: deque[tuple[Argv, Then]] = deque()
        self._running: _Running | None = None

    def run(self, argv: Argv, then: Then) -> None:
        """Run `argv` when its turn comes."""
        self._waiting.append((argv, then))
        self._start()

    def next_at(self) -> float:
        """The deadline of the running command; soon, when it only has to be reaped."""
        running = self._running
        if running is None:
            return NEVER
        return running.deadline if running.reap_at is None else min(running.reap_at, running.deadline)

    def wake(self, now: float) -> None:
        """Kill what overran; reap what ended."""
        running = self._running
        if running is None:
            return
        if running.reap_at is not None and running.process.poll() is not None:
            self._finish(running.process.returncode, None)
        elif now >= running.deadline:
            running.process.kill()
            running.process.wait()
            self._finish(None, f"no end within {self._deadline_seconds:g} s")
        elif running.reap_at is not None:
            running.reap_at = now + _REAP_SECONDS

    def close(self) -> None:
        """Kill the running command and forget the others."""
        self._waiting.clear()
        if self._running is not None:
            self._running.process.kill()
            self._running.process.wait()
            self._finish(None, "stopped", tell=False)

    def _start(self) -> None:
        while self._running is None and self._waiting:
            argv, then = self._waiting.popleft()
            try:
                process = subprocess.Popen(
                    argv.words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    close_fds=False,  # Python's files are not inherited anyway, and this lets it use posix_spawn
                )
            except OSError as error:
                then(Output(exit_code=None, text="", problem=f"{argv.words[0]}: {error.strerror}"))
                continue
            assert process.stdout is not None
            pipe = process.stdout.fileno()
            os.set_blocking(pipe, False)
            now = self._clock.monotonic()
            self._running = _Running(
                process=process,
                watched=Watched(self._selector, pipe, selectors.EVENT_READ, self._read),
                then=then,
                started=now,
                deadline=now + self._deadline_seconds,
                output=bytearray(),
            )

    def _read(self, _events: int) -> None:
        running = self._running
        assert running is not None
        assert running.process.stdout is not None
        try:
            data = os.read(running.process.stdout.fileno(), 65536)
        except BlockingIOError:
            return
        if data:
            running.output += data[: _MOST_BYTES - len(running.output)]
            return
        running.watched.leave()
        running.reap_at = self._clock.monotonic()
        self.wake(running.reap_at)

    def _finish(self, exit_code: int | None, problem: str | None, *, tell: bool = True) -> None:
        running, self._running = self._running, None
        assert running is not None
        running.watched.leave()
        if running.process.stdout is not None:
            running.process.stdout.close()
        if tell:
            text = running.output.decode("utf-8", "replace")
            seconds = self._clock.monotonic() - running.started
            running.then(Output(exit_code=exit_code, text=text, problem=problem, seconds=seconds))
            self._start()
