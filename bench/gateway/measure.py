"""One target: start it, load it, read its processes."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.gateway import processes
from bench.gateway.cases import WARM_UP, Case
from bench.gateway.kit import LOAD, MOCK
from bench.gateway.rows import Row, Start
from bench.gateway.targets import MODEL, Program, Stage, Target

_READY_SECONDS = 20.0
_SETTLE_SECONDS = 1.0


class Broken(Exception):
    """A target did not start or does not answer; the text says which and where its log is."""


@dataclass(frozen=True)
class Running:
    """A target that answers. `pids` are those whose time and memory count."""

    target: Target
    port: int
    pids: tuple[int, ...]
    start: Start

    def family(self) -> list[int]:
        """All of its processes now."""
        return processes.family(self.pids)


@contextlib.contextmanager
def started(target: Target, stage: Stage, cores: processes.Cores) -> Iterator[Running]:
    """The mock and the target, ready and warm. Raises Broken."""
    with contextlib.ExitStack() as stack:
        mock_core = cores.load if target.programs else cores.target
        mock_command = cores.on(mock_core, [str(MOCK), str(stage.mock_port)])
        mock = stack.enter_context(processes.running(mock_command, stage.folder / "mock.log"))
        _wait(Program((), stage.mock_port, "/health"), mock, "the mock")
        pids, port, seconds = [mock.pid], stage.mock_port, 0.0
        for number, program in enumerate(target.programs):
            log = stage.folder / f"{target.name}.{number}.log"
            began = time.monotonic()
            command = cores.on(cores.target, program.command)
            process = stack.enter_context(processes.running(command, log, env=program.env, folder=program.folder))
            _wait(program, process, f"{target.name} (see {log})")
            seconds, port = time.monotonic() - began, program.port
            pids = [process.pid] if number == 0 else [*pids, process.pid]
        _until_ready(target, port)
        time.sleep(_SETTLE_SECONDS)
        idle = Start(target=target.name, start_seconds=seconds, idle_rss_mb=processes.rss_mb(processes.family(pids)))
        running = Running(target, port, tuple(pids), idle)
        if any(not case.streams for case in target.cases):
            _load(running, WARM_UP, stage, cores)
        yield running


def measure(running: Running, case: Case, stage: Stage, cores: processes.Cores) -> Row:
    """One case, once."""
    pids = running.family()
    processes.forget_peaks(pids)
    before = processes.cpu_seconds(pids)
    said = _load(running, case, stage, cores)
    pids = running.family()
    used = processes.cpu_seconds(pids) - before
    ages = said["age_us"] if case.streams else said["latency_us"]
    units = said["chunks"] if case.streams else said["answers"]
    failed = said["bad"] + said["error"] + said["cut"] + said["unfinished"]
    if case.streams:
        failed += said["ok"] - said["done"]
    return Row(
        target=running.target.name,
        case=case.name,
        rps=said["ok"] / max(said["seconds"], 1e-6),
        p50_ms=_ms(ages["p50"]),
        p99_ms=_ms(ages["p99"]),
        rss_mb=processes.peak_mb(pids),
        cpu_us_per_unit=used / units * 1e6 if units else None,
        asked=case.connections * case.rounds if case.streams else said["ok"] + failed,
        failed=failed,
        chunks_per_second=said["chunks"] / max(said["seconds"], 1e-6) if case.streams else None,
        first_chunk_p50_ms=_ms(said["first_chunk_us"]["p50"]),
        first_chunk_p99_ms=_ms(said["first_chunk_us"]["p99"]),
    )


def _load(running: Running, case: Case, stage: Stage, cores: processes.Cores) -> dict[str, Any]:
    """What the load client says."""
    target = running.target
    body = stage.folder / "request.json"
    body.write_bytes(case.body(target.dialect, MODEL))
    headers = [word for header in target.headers for word in ("-H", header)]
    command = [str(LOAD), "-p", str(running.port), "-b", f"@{body}", *headers, *case.arguments(target.dialect)]
    seconds = case.limit_seconds + case.seconds + case.warm_seconds + 30
    done = subprocess.run(cores.on(cores.load, command), capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode != 0:
        raise Broken(f"the load client failed on {target.name}: {done.stderr.strip()}")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _wait(program: Program, process: subprocess.Popen[bytes], name: str) -> None:
    deadline = time.monotonic() + program.boot_seconds
    while time.monotonic() < deadline and process.poll() is None:
        if _is_up(program):
            return
        time.sleep(0.005)
    raise Broken(f"{name} did not start within {program.boot_seconds:g} s")


def _is_up(program: Program) -> bool:
    if not program.tls:
        return _status(program.port, "GET", program.door) == 200
    nobody_asks = ssl._create_unverified_context()  # noqa: SLF001 (its key is checked by the front, not by us)
    connection = http.client.HTTPSConnection("127.0.0.1", program.port, timeout=5, context=nobody_asks)
    return _answer(connection, "GET", program.door) == 200


def _until_ready(target: Target, port: int) -> None:
    """Until a request is answered: a gateway may first prove its upstreams."""
    body = json.dumps({"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "ready?"}]})
    headers = {"content-type": "application/json"}
    headers |= {name: value for name, _, value in (header.partition(": ") for header in target.headers)}
    deadline, status = time.monotonic() + _READY_SECONDS, None
    while time.monotonic() < deadline:
        status = _status(port, "POST", "/v1/chat/completions", body, headers)
        if status == 200:
            return
        time.sleep(0.1)
    raise Broken(f"{target.name} answers a plain request with {status or 'nothing'}")


def _status(
    port: int, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
) -> int | None:
    return _answer(http.client.HTTPConnection("127.0.0.1", port, timeout=5), method, path, body, headers)


def _answer(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> int | None:
    """The status, or None when there was none."""
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _ms(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1000
