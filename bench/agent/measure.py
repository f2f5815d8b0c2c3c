"""Agents side by side, each scraped at the same pace by the same client, and what they cost meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import re
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench import cost
from bench.agent.rows import Row
from bench.agent.targets import Target
from bench.gateway.processes import running

SETTLE_SECONDS = 15.0
_READY_SECONDS = 30.0
_FORK = re.compile(r"\b(?:clone3?|fork|vfork)\(")


class Broken(Exception):
    """An agent does not answer; the text says which and where its log is."""


@dataclass
class _Scraped:
    """One agent that runs, the connection to it, and what came over it."""

    target: Target
    process: subprocess.Popen[bytes]
    log: Path
    started_seconds: float = 0.0
    connection: http.client.HTTPConnection | None = None
    seconds: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    failed: int = 0

    def scrape(self) -> None:
        """Ask once, on the kept connection."""
        began = time.perf_counter()
        try:
            size = self._get()
        except (OSError, http.client.HTTPException):
            self.failed += 1
            self._hang_up()
            return
        self.seconds.append(time.perf_counter() - began)
        self.sizes.append(size)

    def wait(self) -> None:
        """Until the first page. Raises Broken."""
        began = time.perf_counter()
        while time.perf_counter() - began < _READY_SECONDS and self.process.poll() is None:
            try:
                self._get()
            except (OSError, http.client.HTTPException):
                self._hang_up()
                time.sleep(0.005)
                continue
            self.started_seconds = time.perf_counter() - began
            return
        raise Broken(f"{self.target.name} does not answer: {self.log}")

    def _get(self) -> int:
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.target.port, timeout=10)
        self.connection.request("GET", self.target.path, headers=self.target.headers)
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise OSError(f"HTTP {answer.status}")
        return len(body)

    def _hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def measure(targets: Sequence[Target], folder: Path, *, seconds: float, every_seconds: float) -> tuple[Row, ...]:
    """A row for each. Raises Broken."""
    with contextlib.ExitStack() as stack:
        scraped = [stack.enter_context(_started(target, folder)) for target in targets]
        time.sleep(SETTLE_SECONDS)
        before = [(time.monotonic(), cost.cpu_seconds(cost.family(one.process.pid))) for one in scraped]
        _scrape(scraped, seconds=seconds, every_seconds=every_seconds)
        return tuple(_row(one, began, used) for one, (began, used) in zip(scraped, before, strict=True))


def watch_forks(targets: Sequence[Target], folder: Path, *, seconds: float, every_seconds: float) -> dict[str, Row]:
    """Forks and new threads of each in `seconds`, by strace: rows whose other figures mean nothing."""
    with contextlib.ExitStack() as stack:
        traces = {target.name: folder / f"{target.name}.strace" for target in targets}
        watched = [
            stack.enter_context(_started(_traced(target, traces[target.name]), folder, name=f"{target.name}-traced"))
            for target in targets
        ]
        time.sleep(SETTLE_SECONDS)
        marks = {name: trace.stat().st_size for name, trace in traces.items()}
        began = time.monotonic()
        _scrape(watched, seconds=seconds, every_seconds=every_seconds)
        rows = {one.target.name: _row(one, began, 0.0) for one in watched}
        for name, trace in traces.items():
            with trace.open() as file:
                file.seek(marks[name])
                calls = [line for line in file if _FORK.search(line) and "resumed" not in line]
            threads = sum("CLONE_THREAD" in line for line in calls)
            rows[name] = msgspec.structs.replace(
                rows[name], forks=len(calls) - threads, threads_made=threads, watched_seconds=seconds
            )
        return rows


def _traced(target: Target, trace: Path) -> Target:
    strace = ("strace", "-f", "-o", str(trace), "-e", "trace=clone,clone3,fork,vfork,execve")
    return Target(target.name, (*strace, *target.command), target.port, target.path, target.headers, target.env)


@contextlib.contextmanager
def _started(target: Target, folder: Path, *, name: str = "") -> Iterator[_Scraped]:
    log = folder / f"{name or target.name}.log"
    with running(target.command, log, env=target.env) as process:
        one = _Scraped(target, process, log)
        one.wait()
        yield one


def _scrape(scraped: Sequence[_Scraped], *, seconds: float, every_seconds: float) -> None:
    """Every agent every so often, one after the other, evenly spread: none is measured while another answers."""
    began = time.monotonic()
    for turn in range(int(seconds / every_seconds)):
        for place, one in enumerate(scraped):
            due = began + every_seconds * (turn + place / len(scraped))
            time.sleep(max(0.0, due - time.monotonic()))
            one.scrape()
    time.sleep(max(0.0, began + seconds - time.monotonic()))


def _row(one: _Scraped, began: float, used_before: float) -> Row:
    pids = cost.family(one.process.pid)
    used = cost.cpu_seconds(pids) - used_before
    times = sorted(one.seconds) or [float("nan")]
    return Row(
        agent=one.target.name,
        cpu_percent=100 * used / (time.monotonic() - began),
        resident_mb=cost.resident_mb(pids),
        own_mb=cost.own_mb(pids),
        p50_ms=1000 * statistics.median(times),
        p99_ms=1000 * times[round(0.99 * (len(times) - 1))],
        page_kb=statistics.median(one.sizes or [0]) / 1000,
        scrapes=len(one.seconds),
        failed=one.failed,
        processes=len(pids),
        start_seconds=one.started_seconds,
    )
