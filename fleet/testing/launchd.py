"""A launchd in memory, with the traps of a real one, as a sync `Host`; and disks and hosts that die at any point.

For unit tests: no process is started and no second passes. The simulation (fleet.sim) runs real processes.
"""

from __future__ import annotations

import plistlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fleet.node.sync.disk import Disk
from fleet.node.sync.machine import Answer, Ran
from fleet.testing.clock import FakeClock

_EX_CONFIG = 78


class Crash(BaseException):
    """The process was killed, or the machine lost its power."""


@dataclass
class Fuse:
    """Blows at the n-th step of whatever is wrapped in it; never, when there are fewer."""

    left: int | None = None
    burnt: int = 0

    def burn(self) -> None:
        """One step further. Raises Crash when it is the one."""
        self.burnt += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Crash

    @contextmanager
    def around(self) -> Iterator[None]:
        """A change that can be cut off before it begins, or right after it is done."""
        self.burn()
        yield
        self.burn()


class FaultyDisk(Disk):
    """A disk whose process can die before, within and after every change."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self.fuse = fuse

    def write(self, path: str, content: bytes, *, mode: int, owner: str = "", group: str = "") -> None:
        """As Disk does, or dies."""
        with self.fuse.around():
            super().write(path, content, mode=mode, owner=owner, group=group)

    def copy(self, source: str, path: str, *, mode: int, owner: str = "", group: str = "") -> None:
        """As Disk does, or dies."""
        with self.fuse.around():
            super().copy(source, path, mode=mode, owner=owner, group=group)

    def append(self, path: str, content: bytes) -> None:
        """As Disk does, or dies with half of it written."""
        half = len(content) // 2
        self.fuse.burn()
        super().append(path, content[:half])
        self.fuse.burn()
        super().append(path, content[half:])

    def put(self, folder: int, aside: str, name: str) -> None:
        """As Disk does, or dies."""
        with self.fuse.around():
            super().put(folder, aside, name)

    def rename(self, path: str, target: str) -> None:
        """As Disk does, or dies."""
        with self.fuse.around():
            super().rename(path, target)

    def remove(self, path: str) -> None:
        """As Disk does, or dies."""
        with self.fuse.around():
            super().remove(path)

    def remove_tree(self, path: str) -> None:
        """As Disk does, or dies."""
        with self.fuse.around():
            super().remove_tree(path)


@dataclass
class FakeJob:
    """A registered job: its plist as launchd read it, and what its process has read."""

    label: str
    plist: dict[str, object]
    raw: bytes
    pid: int | None = None
    runs: int = 0
    exit_line: str = "last exit code = (never exited)"
    pended: str | None = None
    dies_at: float | None = None
    going: bool = False
    seen: dict[str, bytes | None] = field(default_factory=dict)
    held: tuple[int, ...] = ()


class FakeMac:
    """A sync `Host`: launchctl, plutil, pmset and sysctl over dictionaries.

    `watched[label]` are files that a process reads when it starts and at SIGHUP; `ports[label]` it holds while it
    lives, and so those of arguments like `--port=8800`. `linger_seconds` is how long a process takes to die. `pend`:
    labels whose next non-demand spawn launchd puts off. `crashing`: labels whose process ends at once with 1.
    `ends_after[label]` are the seconds after which each of its processes ends by itself, with 3.
    `foreign_ports` are somebody else's. `programs` are commands by their path; `answers` HTTP answers by URL;
    `errands[label]` is a job that runs to its end whenever it is spawned.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.jobs: dict[str, FakeJob] = {}
        self.disabled: dict[str, bool] = {}
        self.watched: dict[str, list[str]] = {}
        self.ports: dict[str, list[int]] = {}
        self.foreign_ports: set[int] = set()
        self.linger_seconds = 0.6
        self.pend: set[str] = set()
        self.crashing: set[str] = set()
        self.ends_after: dict[str, float] = {}
        self.bootstrap_codes: list[int] = []
        self.pmset: dict[str, str] = {"sleep": "1", "womp": "1", "disksleep": "10"}
        self.sysctl: dict[str, str] = {"kern.bootsessionuuid": "BOOT-1", "iogpu.wired_limit_mb": "0"}
        self.deaf_settings: set[str] = set()
        self.programs: dict[str, Callable[[tuple[str, ...]], Ran]] = {}
        self.answers: dict[str, Answer] = {}
        self.errands: dict[str, Callable[[], object]] = {}
        self.typed: list[tuple[str, ...]] = []
        self.fed: bytes | None = None
        self.fuse = Fuse()
        self._last_pid = 100

    # Host

    def run(
        self,
        words: tuple[str, ...],
        *,
        timeout_seconds: float = 30.0,  # noqa: ARG002
        user: str | None = None,  # noqa: ARG002
        feed: bytes | None = None,
    ) -> Ran:
        """A command, by the last part of its path; anything in `programs` by its whole path."""
        self.typed.append(words)
        self.fed = self.fed if feed is None else feed
        if words[0] in self.programs:
            with self.fuse.around():
                return self.programs[words[0]](words)
        tools: dict[str, Callable[[tuple[str, ...]], Ran]] = {
            "launchctl": self._launchctl,
            "plutil": self._plutil,
            "pmset": self._pmset,
            "sysctl": self._sysctl,
            "sw_vers": lambda _: Ran(code=0, out="ProductName:\t\tmacOS\nProductVersion:\t\t26.4\n"),
            "fdesetup": lambda _: Ran(code=0, out="FileVault is Off.\n"),
            "lsof": lambda _: Ran(code=1),
        }
        tool = tools.get(words[0].rsplit("/", 1)[-1])
        return tool(words[1:]) if tool else Ran(code=127, err=f"{words[0]}: not found")

    def lasting(self, words: tuple[str, ...]) -> Ran:
        """As `run`: tests restart the machine under a process."""
        return self.run(words)

    def uptime_seconds(self) -> float:
        """The fake clock's."""
        return self.clock.monotonic()

    def alive(self, pid: int) -> bool:
        """Whether a job's process has it."""
        self._pass_time()
        return any(job.pid == pid for job in self.jobs.values())

    def listens(self, port: int) -> bool:
        """Whether a living job, or somebody else, holds the port."""
        self._pass_time()
        return port in self._taken()

    def request(self, url: str, *, body: bytes | None = None, timeout_seconds: float = 5.0) -> Answer:  # noqa: ARG002
        """What `answers` says."""
        return self.answers.get(url, Answer(status=None, error="connection refused"))

    # What tests do to it

    def reboot(self, daemons_dir: str) -> None:
        """Lose every process, then load every plist, as at boot."""
        self.jobs.clear()
        self.sysctl["kern.bootsessionuuid"] += "+"
        for path in sorted(Path(daemons_dir).glob("*.plist")):
            self._launchctl(("bootstrap", "system", str(path)))

    def crash(self, label: str) -> None:
        """Kill a job's process for good: launchd pends its respawn."""
        job = self.jobs[label]
        job.pid, job.pended, job.exit_line = None, "inefficient", "last terminating signal = Killed: 9"

    def pids(self) -> dict[str, int | None]:
        """The process of every registered job."""
        return {label: job.pid for label, job in sorted(self.jobs.items())}

    # launchctl

    def _launchctl(self, words: tuple[str, ...]) -> Ran:
        self._pass_time()
        verb, *rest = words
        if verb == "print":
            return self._print(_label(rest[0]))
        if verb == "print-disabled":
            lines = [f'\t\t"{label}" => {"disabled" if off else "enabled"}' for label, off in self.disabled.items()]
            return Ran(code=0, out="\n\tdisabled services = {\n" + "\n".join(lines) + "\n\t}\n")
        if verb == "list":
            lines = [f"{job.pid or '-'}\t0\t{label}" for label, job in self.jobs.items()]
            return Ran(code=0, out="\n".join(["PID\tStatus\tLabel", *lines, ""]))
        with self.fuse.around():
            return self._change(verb, rest)

    def _change(self, verb: str, rest: list[str]) -> Ran:
        label = _label(rest[-1])
        if verb == "bootstrap":
            return self._bootstrap(Path(rest[1]))
        if verb == "enable":
            self.disabled[label] = False
            return Ran(code=0)
        job = self.jobs.get(label)
        if job is None:
            code = 3 if verb == "bootout" else 113
            return Ran(code=code, err=f"Boot-out failed: {code}: No such process")
        if verb == "bootout":
            job.going = True
            if job.pid is None:
                del self.jobs[label]
            else:
                job.dies_at = self.clock.elapsed + self.linger_seconds
        elif verb == "kill":
            if job.pid is None:
                return Ran(code=3, err="No process to signal.")
            if rest[0] == "SIGTERM":
                job.dies_at = self.clock.elapsed + self.linger_seconds
            else:
                self._read(job)
        elif verb == "kickstart":
            if rest[0] == "-k" and job.pid is not None:
                self._die(job)
            if job.pid is None:
                self._spawn(job)
        return Ran(code=0)

    def _bootstrap(self, path: Path) -> Ran:
        if self.bootstrap_codes:
            code = self.bootstrap_codes.pop(0)
            return Ran(code=code, err=f"Bootstrap failed: {code}: Input/output error")
        try:
            raw = path.read_bytes()
            plist = plistlib.loads(raw)
        except (OSError, plistlib.InvalidFileException, ValueError):
            return Ran(code=5, err="Bootstrap failed: 5: Input/output error")
        label = str(plist["Label"])
        if label in self.jobs or self.disabled.get(label) or path.stat().st_mode & 0o022:
            return Ran(code=5, err="Bootstrap failed: 5: Input/output error")
        job = FakeJob(label, plist, raw)
        self.jobs[label] = job
        if label in self.pend:
            self.pend.discard(label)
            job.pended = "speculative"
        elif plist.get("RunAtLoad") or plist.get("KeepAlive"):
            self._spawn(job)
        return Ran(code=0)

    def _spawn(self, job: FakeJob) -> None:
        job.runs += 1
        job.pended = None
        if job.label in self.errands:
            job.exit_line = "last exit code = 0"
            self.errands[job.label]()
        elif not Path(_program(job.plist)).exists():
            job.exit_line = f"last exit code = {_EX_CONFIG}: EX_CONFIG"
        elif job.label in self.crashing or self._taken() & set(self._wanted_ports(job)):
            job.exit_line = "last exit code = 1"
        else:
            self._last_pid += 1
            job.pid = self._last_pid
            job.held = self._wanted_ports(job)
            self._read(job)
            if job.label in self.ends_after:
                job.dies_at = self.clock.elapsed + self.ends_after[job.label]

    def _wanted_ports(self, job: FakeJob) -> tuple[int, ...]:
        words = job.plist["ProgramArguments"]
        named = [str(word) for word in words if str(word).startswith("--port=")] if isinstance(words, list) else []
        return (*self.ports.get(job.label, []), *(int(word.removeprefix("--port=")) for word in named))

    def _taken(self) -> set[int]:
        return {port for job in self.jobs.values() if job.pid for port in job.held} | self.foreign_ports

    def _read(self, job: FakeJob) -> None:
        for name in self.watched.get(job.label, []):
            path = Path(name)
            job.seen[name] = path.read_bytes() if path.exists() else None

    def _die(self, job: FakeJob) -> None:
        by_itself = job.label in self.ends_after and not job.going
        said = "last exit code = 3" if by_itself else "last terminating signal = Terminated: 15"
        job.pid, job.dies_at, job.exit_line = None, None, said

    def _pass_time(self) -> None:
        for job in list(self.jobs.values()):
            if job.dies_at is not None and self.clock.elapsed >= job.dies_at:
                self._die(job)
                if job.going:
                    del self.jobs[job.label]
                elif job.plist.get("KeepAlive"):
                    self._spawn(job)

    def _print(self, label: str) -> Ran:
        job = self.jobs.get(label)
        if job is None:
            return Ran(code=113, err=f'Bad request.\nCould not find service "{label}" in domain for system')
        if job.label in self.crashing and job.pid is None:
            job.runs += 1
        state = (
            "running" if job.pid else "spawn scheduled" if "= 0" not in job.exit_line and job.runs else "not running"
        )
        words = job.plist["ProgramArguments"]
        lines = [
            f"system/{label} = {{",
            f"\tactive count = {1 if job.pid else 0}",
            f"\tstate = {state}",
            "",
            f"\tprogram = {_program(job.plist)}",
            "\targuments = {",
            *(f"\t\t{word}" for word in (words if isinstance(words, list) else [])),
            "\t}",
            "",
            f"\texit timeout = {job.plist.get('ExitTimeOut', 5)}",
            "\tminimum runtime = 10",
            f"\truns = {job.runs}",
            *([f"\tpid = {job.pid}"] if job.pid else []),
            *([f"\tpended nondemand spawn = {job.pended}"] if job.pended else []),
            f"\t{job.exit_line}",
            "",
            "\tresource coalition = {",
            "\t\tstate = active",
            "\t}",
            "}",
        ]
        return Ran(code=0, out="\n".join(lines) + "\n")

    # Other tools

    def _plutil(self, words: tuple[str, ...]) -> Ran:
        try:
            plistlib.loads(Path(words[-1]).read_bytes())
        except Exception as error:  # noqa: BLE001 (whatever its parser raises is a lint)
            return Ran(code=1, err=f"{words[-1]}: {error}")
        return Ran(code=0, out=f"{words[-1]}: OK\n")

    def _pmset(self, words: tuple[str, ...]) -> Ran:
        if words[0] == "-g":
            return Ran(
                code=0, out="AC Power:\n" + "".join(f" {key:<20} {value}\n" for key, value in self.pmset.items())
            )
        with self.fuse.around():
            if words[1] in self.pmset and words[1] not in self.deaf_settings:
                self.pmset[words[1]] = words[2]
        return Ran(code=0)

    def _sysctl(self, words: tuple[str, ...]) -> Ran:
        if "=" in words[0]:
            key, value = words[0].split("=", 1)
            with self.fuse.around():
                if key in self.sysctl and key not in self.deaf_settings:
                    self.sysctl[key] = value
            return Ran(code=0)
        known = [f"{key}: {self.sysctl[key]}" for key in words if key in self.sysctl]
        return Ran(code=0 if len(known) == len(words) else 1, out="".join(f"{line}\n" for line in known))


def _label(target: str) -> str:
    return target.rsplit("/", 1)[-1]


def _program(plist: dict[str, object]) -> str:
    words = plist["ProgramArguments"]
    return str(words[0]) if isinstance(words, list) else ""
