"""Processes on one core, and what /proc says of them. Linux only."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_RESET_PEAK = "5"  # proc(5), clear_refs


@dataclass(frozen=True)
class Cores:
    """Where things run, and the command that gives them precedence over the machine's other work."""

    target: int
    load: int
    precedence: tuple[str, ...]

    def on(self, core: int, command: Sequence[str]) -> list[str]:
        """The command, pinned."""
        return [*self.precedence, "taskset", "-c", str(core), *command]


def cores() -> Cores:
    """Two cores of this machine. Raises RuntimeError when there is one only."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise RuntimeError("the benchmark wants two cores: one for the target, one for mock and client")
    return Cores(target=allowed[0], load=allowed[1], precedence=_precedence())


def _precedence() -> tuple[str, ...]:
    """Real-time scheduling for root, else a better nice value, else none.

    Round robin: under first-in first-out a thread of Node spins for one of its own that never gets its turn.
    """
    for words in (("chrt", "-r", "5"), ("nice", "-n", "-10")):
        with contextlib.suppress(OSError):
            tried = subprocess.run([*words, "true"], capture_output=True, check=False)
            if tried.returncode == 0 and not tried.stderr:
                return words
    return ()


def allow_many_files() -> None:
    """For ourselves and all that we start."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own; all of the session ends with the block."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=clean | dict(env or {}), cwd=folder, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(8)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def family(pids: Sequence[int]) -> list[int]:
    """These processes and all below them."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (stat := _stat(int(folder.name))):
            children.setdefault(int(stat[1]), []).append(int(folder.name))
    found, todo = [], list(pids)
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time that these processes have used."""
    return sum(int(stat[11]) + int(stat[12]) for pid in pids if (stat := _stat(pid))) / _TICKS_PER_SECOND


def forget_peaks(pids: Sequence[int]) -> None:
    """From now on `peak_mb` speaks of what comes."""
    for pid in pids:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)


def rss_mb(pids: Sequence[int]) -> float:
    """Resident memory now, MiB."""
    return sum(_status_kb(pid, "VmRSS") for pid in pids) / 1024


def peak_mb(pids: Sequence[int]) -> float:
    """Resident memory at its highest since `forget_peaks`, MiB."""
    return sum(_status_kb(pid, "VmHWM") for pid in pids) / 1024


def _stat(pid: int) -> list[str] | None:
    """The fields after the program's name, from the state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _status_kb(pid: int, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
    return 0
