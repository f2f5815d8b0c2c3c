"""Start the process of a job as xpcproxy does, or say why it cannot be: nothing runs then, and the job ends with 78."""

from __future__ import annotations

import asyncio
import os
import pwd
import resource
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import SubprocessError
from typing import Protocol

from fleet.sim.launchd.spec import JobSpec

DEFAULT_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


class SpawnFailed(Exception):
    """The job cannot be spawned: EX_CONFIG, execs = 0. The message is what the unified log says."""


class Running(Protocol):
    """The main process of a job."""

    @property
    def pid(self) -> int:
        """Its number."""

    async def wait(self) -> int:
        """Its return code, as Popen's, once it has ended."""

    def send(self, number: signal.Signals) -> bool:
        """Signal it alone; whether it was there."""

    def end_group(self) -> None:
        """Kill what is left of its process group."""


class Starter(Protocol):
    """Who starts the processes of jobs."""

    async def start(self, spec: JobSpec, *, system: bool) -> Running:
        """The running process, leader of its own session. Raises SpawnFailed."""


@dataclass(frozen=True)
class Identity:
    """What a program file was at bootstrap: the kernel kills another one under the same job (FACTS section 1.2)."""

    device: int
    inode: int
    size_bytes: int


def identity_of(program: str) -> Identity | None:
    """The identity of a signed program; None for a script or for what cannot be read."""
    try:
        with Path(program).open("rb") as file:
            if file.read(2) == b"#!":
                return None
            stat = os.fstat(file.fileno())
    except OSError:
        return None
    return Identity(stat.st_dev, stat.st_ino, stat.st_size)


@dataclass(frozen=True, kw_only=True)
class Spawner:
    """How jobs of one node are started. `path_prefix` puts the simulated commands before the default PATH.

    `size_limit_bytes` is the fault of a full disk; `made_for_root` holds the log folders that launchd itself made.
    """

    marker: str
    path_prefix: str
    size_limit_bytes: Callable[[], int | None] = field(default=lambda: None)
    made_for_root: dict[Path, int] = field(default_factory=dict)

    async def start(self, spec: JobSpec, *, system: bool) -> Running:
        """The running process, leader of its own session. Raises SpawnFailed."""
        self.check(spec)
        streams: list[int] = []
        try:
            streams.append(_open(spec.stdin or os.devnull, "stdin", os.O_RDONLY))
            streams.append(self._open_log(spec.stdout, "stdout", spec))
            streams.append(self._open_log(spec.stderr, "stderr", spec))
            process = await asyncio.create_subprocess_exec(
                *spec.arguments,
                executable=spec.program,
                stdin=streams[0],
                stdout=streams[1],
                stderr=streams[2],
                cwd=spec.working_directory or "/",
                env=self.environment(spec, system=system),
                start_new_session=True,
                preexec_fn=_Limits(spec, self.size_limit_bytes()),
            )
            return _Process(process)
        except (OSError, ValueError, SubprocessError) as error:
            raise SpawnFailed(str(error)) from error
        finally:
            for stream in streams:
                os.close(stream)

    def environment(self, spec: JobSpec, *, system: bool) -> Mapping[str, str]:
        """What the job sees. Daemons get no HOME, USER, TMPDIR or LANG (FACTS section 1.8)."""
        own = {"PATH": f"{self.path_prefix}:{DEFAULT_PATH}", **spec.environment, "XPC_SERVICE_NAME": spec.label}
        root = "1" if system and spec.user_name in (None, "root") else "0"
        return {**own, "FLEET_SIM": self.marker, "FLEET_SIM_ROOT": root}

    def _open_log(self, path: str | None, name: str, spec: JobSpec) -> int:
        """Open a log for appending. A missing folder is made for root alone (FACTS section 1.7).

        Nobody is root here, so "owned by root" is remembered by the folder's change time: a chown, chmod or a new
        folder in its place ends it, as it would on a Mac.
        """
        if path is None:
            return _open(os.devnull, name, os.O_WRONLY)
        folder = (Path("/") / path).parent
        if not folder.is_dir():
            try:
                folder.mkdir(mode=0o744, parents=True)
            except OSError as error:
                raise SpawnFailed(f"Unable to create {name} directory ({error.strerror})") from error
            self.made_for_root[folder] = folder.stat().st_ctime_ns
        if spec.user_name is not None and self.made_for_root.get(folder) == folder.stat().st_ctime_ns:
            raise SpawnFailed(f"Unable to open {name} path {path}: Permission denied")
        return _open(path, name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666 & ~spec.umask)

    def check(self, spec: JobSpec) -> None:
        """Raises SpawnFailed when its account, program or folder cannot be used."""
        if spec.user_name not in (None, "root"):
            try:
                account = pwd.getpwnam(str(spec.user_name))
            except KeyError as error:
                raise SpawnFailed(f"The specified username does not exist: {spec.user_name}") from error
            if account.pw_uid != os.getuid():  # one simulated Mac has one account: the one that runs the simulation
                raise SpawnFailed(f"The specified username does not exist on this simulated Mac: {spec.user_name}")
        program = Path(spec.program)
        if not program.is_absolute() or not program.is_file():
            raise SpawnFailed(f"Could not find and/or execute program specified by service: 2: {spec.program}")
        if not os.access(program, os.X_OK):
            raise SpawnFailed(f"Could not find and/or execute program specified by service: 13: {spec.program}")
        if spec.working_directory and not Path(spec.working_directory).is_dir():
            raise SpawnFailed(f"Could not change working directory: {spec.working_directory}")


@dataclass(frozen=True)
class _Process:
    """A real one, the leader of its group."""

    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    async def wait(self) -> int:
        return await self.process.wait()

    def send(self, number: signal.Signals) -> bool:
        if self.process.returncode is not None:
            return False
        try:
            os.kill(self.process.pid, number)
        except ProcessLookupError:
            return False
        return True

    def end_group(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


@dataclass(frozen=True)
class _Limits:
    """What the child sets between fork and exec: limits, umask, niceness, default signals."""

    spec: JobSpec
    size_limit_bytes: int | None

    def __call__(self) -> None:
        os.umask(self.spec.umask)
        if self.spec.nice > 0:
            os.nice(self.spec.nice)
        _, ceiling = resource.getrlimit(resource.RLIMIT_NOFILE)
        hard = self.spec.hard_open_files or ceiling
        if ceiling != resource.RLIM_INFINITY:
            hard = min(hard, ceiling) if hard != resource.RLIM_INFINITY else ceiling
        soft = self.spec.soft_open_files if hard == resource.RLIM_INFINITY else min(self.spec.soft_open_files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if self.size_limit_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size_limit_bytes, self.size_limit_bytes))


def _open(path: str, name: str, flags: int, mode: int = 0o644) -> int:
    try:
        return os.open(Path("/") / path, flags | os.O_CLOEXEC, mode)
    except OSError as error:
        raise SpawnFailed(f"Unable to open {name} path {path}: {error.strerror}") from error
