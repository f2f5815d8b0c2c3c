"""The simulated launchd of one node: its job table, and the verbs of launchctl."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from fleet.sim.launchd import text
from fleet.sim.launchd.answer import (
    ERRORS,
    Answer,
    bad_target,
    bootout_failed,
    bootstrap_failed,
    kickstart_failed,
    no_domain,
    no_service,
)
from fleet.sim.launchd.board import Board
from fleet.sim.launchd.conditions import Conditions, is_called
from fleet.sim.launchd.disabled import DisabledStore
from fleet.sim.launchd.job import Job
from fleet.sim.launchd.spawn import Starter
from fleet.sim.launchd.spec import JobSpec, PlistRefused, read_spec
from fleet.sim.launchd.unified_log import UnifiedLog

SESSION = 100015


class Launchd:
    """Supervises the jobs of one node. `call` is launchctl; the other methods are the machine's own life.

    With a `board`, what launchctl prints of a job of the system is always there to be read, too.
    """

    def __init__(
        self,
        *,
        spawner: Starter,
        disabled: DisabledStore,
        log: UnifiedLog,
        conditions: Conditions | None = None,
        board: Board | None = None,
    ) -> None:
        self.conditions = conditions or Conditions()
        self.spawner = spawner
        self.desktop_uid: int | None = None
        self._disabled = disabled
        self._log = log
        self._board = board
        self._jobs: dict[tuple[str, str], Job] = {}
        self._serials = itertools.count(1100, 2)
        self._verbs: dict[str, Callable[[_Call], Awaitable[Answer]]] = {
            "bootstrap": self._bootstrap,
            "bootout": self._bootout,
            "kickstart": self._kickstart,
            "kill": self._kill,
            "enable": self._enable,
            "disable": self._disable,
            "print": self._print,
            "print-disabled": self._print_disabled,
            "list": self._list,
            "blame": self._blame,
            "managername": self._managername,
            "limit": self._limit,
            "error": self._error,
            "_privilege": self._privilege,
        }

    async def call(self, words: Sequence[str], *, privileged: bool, tty: bool = False) -> Answer:
        """One launchctl call. `privileged`: whether the caller is root on this simulated Mac."""
        verb = self._verbs.get(words[0]) if words else None
        if verb is None:
            return Answer(64, err=f"Unrecognized subcommand: {words[0] if words else ''}\n")
        return await verb(_Call(tuple(words[1:]), privileged or not self.conditions.enforce_root, tty))

    # --- the machine's life ------------------------------------------------------------------------------------------

    async def boot(self, daemons_dir: Path) -> None:
        """Load every daemon of the folder, as at boot. What is disabled or has a bad owner or mode is passed over."""
        if self._board:
            self._board.open()
            self._show_disabled()
        for path in _plists(daemons_dir):
            await self._load("system", path)

    async def shut_down(self) -> None:
        """Every job gets SIGTERM, and SIGKILL at its exit timeout; the table is empty afterwards."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.remove()
        await asyncio.gather(*(job.gone.wait() for job in jobs))

    async def lose_power(self) -> None:
        """Every process dies at once."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.crash()
        await asyncio.gather(*(job.gone.wait() for job in jobs))

    async def change(self, conditions: Conditions) -> None:
        """Put other conditions in force: what is held or crashes now dies, what is no longer held starts again."""
        before, self.conditions = self.conditions, conditions
        for job in list(self._jobs.values()):
            if conditions.holds(job.spec.label):
                job.hold()
            elif before.holds(job.spec.label):
                await job.release()
            elif conditions.crashes(job.spec.label) and not before.crashes(job.spec.label):
                job.send(signal.SIGKILL)

    def views(self) -> list[text.JobView]:
        """Every job as it is now, by label."""
        return sorted((job.view() for job in self._jobs.values()), key=lambda view: (view.domain, view.spec.label))

    def pids(self, name: str = "") -> set[int]:
        """The main processes of the services that go by this name, or of all."""
        jobs = [job for job in self._jobs.values() if not name or is_called(job.spec.label, name)]
        return {job.pid for job in jobs if job.pid}

    def root_pids(self) -> set[int]:
        """The main processes of jobs that run as root: system's without another user."""
        jobs = [job for job in self._jobs.values() if job.domain == "system"]
        return {job.pid for job in jobs if job.pid and job.spec.user_name in (None, "root")}

    # --- what jobs ask of their host ---------------------------------------------------------------------------------

    def log(self, job: Job, text: str) -> None:
        """Write to the unified log."""
        self._log.write(text, domain=job.domain, label=job.spec.label)

    def changed(self, job: Job) -> None:
        """Keep the board true."""
        if self._board and job.domain == "system" and self._jobs.get((job.domain, job.spec.label)) is job:
            self._board.put(job.spec.label, text.print_service(job.view()))

    def removed(self, job: Job) -> None:
        """The job is gone for good."""
        if self._board and job.domain == "system":
            self._board.drop(job.spec.label)
        self._log.write(f"removing service: {job.spec.label}", domain=job.domain)
        if self._jobs.get((job.domain, job.spec.label)) is job:
            del self._jobs[job.domain, job.spec.label]

    # --- verbs that change -------------------------------------------------------------------------------------------

    async def _bootstrap(self, call: _Call) -> Answer:
        if len(call.words) < 2 or not _is_domain(call.words[0]):
            return bad_target(call.words[0] if call.words else "")
        domain = call.words[0]
        if not self._allowed(domain, call):
            return bootstrap_failed(5 if domain == "system" else 1, privileged=False)
        if domain.startswith("gui/") and not self._has_desktop(domain):
            return bootstrap_failed(125, privileged=call.privileged)
        worst = 0
        for name in call.words[1:]:
            for plist in _plists(Path(name)):
                worst = await self._load(domain, plist) or worst
        return bootstrap_failed(worst, privileged=call.privileged) if worst else Answer()

    async def _load(self, domain: str, path: Path) -> int:
        """Load one plist; 0 or the code that the caller sees. The unified log has the true reason."""
        if reason := _bad_file(path):
            self._log.write(
                f"Caller specified a plist with bad ownership/permissions: path = {path}, caller=launchd[1]"
            )
            return self._refused(domain, path, 122 if reason == "mode" else 2, shown=5)
        try:
            spec = read_spec(path)
        except PlistRefused as error:
            return self._refused(domain, path, error.code, shown=error.code)
        if domain.startswith("user/") and "Background" not in spec.session_types:
            return self._refused(domain, path, 134, shown=134)
        old = self._jobs.get((domain, spec.label))
        if old and old.removing:
            return self._refused(domain, path, 37, shown=self.conditions.busy_code)
        if old:
            return self._refused(domain, path, 37, shown=5)
        if self._disabled.is_disabled(domain, spec.label, default=spec.disabled):
            self._log.write(f"Bootstrap by launchctl for {path} failed (119: Service is disabled)", domain=domain)
            return self.conditions.disabled_code
        await self._register(domain, spec)
        return 0

    async def _register(self, domain: str, spec: JobSpec) -> None:
        job = Job(spec, domain, next(self._serials), self)
        self._jobs[domain, spec.label] = job
        await job.load()
        self.changed(job)

    def _refused(self, domain: str, path: Path, code: int, *, shown: int) -> int:
        words = ERRORS.get(code, "No such file or directory")
        self._log.write(f"Failed to bootstrap path: path = {path}, error = {code}: {words}", domain=domain)
        return shown

    async def _bootout(self, call: _Call) -> Answer:
        if not call.words or call.words[0].startswith("-"):  # --wait is unknown to older releases
            return bad_target(call.words[0] if call.words else "")
        if len(call.words) > 1:
            return await self._bootout_paths(call)
        if _is_domain(call.words[0]):
            return bootout_failed(5)
        domain, label = _service_target(call.words[0])
        if not label:
            return bad_target(call.words[0])
        if not self._allowed(domain, call):
            return bootout_failed(1)
        job = self._jobs.get((domain, label))
        return bootout_failed(3) if job is None else self._remove(job)

    async def _bootout_paths(self, call: _Call) -> Answer:
        domain = call.words[0]
        if not self._allowed(domain, call):
            return bootout_failed(1)
        jobs = [job for job in self._jobs.values() if job.domain == domain and job.spec.path in call.words[1:]]
        if not jobs:
            return bootout_failed(5)
        return [self._remove(job) for job in jobs][-1]

    def _remove(self, job: Job) -> Answer:
        self.log(job, "bootout initiated by: launchctl")
        if not job.removing:
            job.remove()
        if not job.gone.is_set() and self.conditions.bootout_code:
            return bootout_failed(self.conditions.bootout_code)
        return Answer()

    async def _kickstart(self, call: _Call) -> Answer:
        flags = {letter for word in call.words if word.startswith("-") for letter in word[1:]}
        targets = [word for word in call.words if not word.startswith("-")]
        if flags - set("kps") or len(targets) != 1:
            return bad_target(targets[0] if targets else "")
        domain, label = _service_target(targets[0])
        if not label:
            return bad_target(targets[0])
        job = self._jobs.get((domain, label))
        if job is None:
            return no_service(label, domain)
        if not self._allowed(domain, call):
            return kickstart_failed(label, 1)
        if job.removing:
            return kickstart_failed(label, 37)
        old = job.pid
        await (job.restart() if "k" in flags else job.demand())
        if {"k", "p"} <= flags and old:
            await job.restarted()
        if "p" in flags and job.pid:
            return Answer(out=f"service spawned with pid: {job.pid}\n" if call.tty else f"{job.pid}\n")
        return Answer()

    async def _kill(self, call: _Call) -> Answer:
        if len(call.words) != 2:
            return bad_target(call.words[-1] if call.words else "")
        number = _signal_of(call.words[0])
        domain, label = _service_target(call.words[1])
        if number is None or not label:
            return bad_target(call.words[1])
        job = self._jobs.get((domain, label))
        if job is None:
            return no_service(label, domain)
        if not self._allowed(domain, call):
            return Answer(1, err="Not privileged to signal service.\n")
        return Answer() if job.send(number) else Answer(3, err="No process to signal.\n")

    async def _enable(self, call: _Call) -> Answer:
        return self._override(call, disabled=False)

    async def _disable(self, call: _Call) -> Answer:
        return self._override(call, disabled=True)

    def _override(self, call: _Call, *, disabled: bool) -> Answer:
        """Always a success, also of a label that nobody knows: the record stays for ever."""
        domain, label = _service_target(call.words[0]) if call.words else ("", "")
        if not label:
            return bad_target(call.words[0] if call.words else "")
        if not self._allowed(domain, call):
            verb = "disable" if disabled else "enable"
            return Answer(1, err=f"Could not {verb} service: 1: Operation not permitted\n")
        self._disabled.put(domain, label, disabled=disabled)
        self._show_disabled()
        return Answer()

    def _show_disabled(self) -> None:
        if self._board:
            self._board.put_disabled(text.print_disabled(self._disabled.entries("system")))

    # --- verbs that look ---------------------------------------------------------------------------------------------

    async def _print(self, call: _Call) -> Answer:
        target = call.words[0] if call.words else ""
        if _is_domain(target):
            if target.startswith("gui/") and not self._has_desktop(target):
                return no_domain(target)
            return Answer(out=text.print_domain(target, self._views_of(target), session=SESSION))
        domain, label = _service_target(target)
        if not label:
            return bad_target(target)
        if domain.startswith("gui/") and not self._has_desktop(domain):
            return no_domain(domain)
        job = self._jobs.get((domain, label))
        return Answer(out=text.print_service(job.view())) if job else no_service(label, domain)

    async def _print_disabled(self, call: _Call) -> Answer:
        domain = call.words[0] if call.words else ""
        if not _is_domain(domain):
            return bad_target(domain)
        return Answer(out=text.print_disabled(self._disabled.entries(domain)))

    async def _list(self, call: _Call) -> Answer:
        domain = "system" if call.privileged else f"gui/{self.desktop_uid}"
        if not call.words:
            return Answer(out=text.list_table(self._views_of(domain)))
        job = self._jobs.get((domain, call.words[0])) or self._jobs.get(("system", call.words[0]))
        if job is None:
            return Answer(113, err=f'Could not find service "{call.words[0]}" in domain for port\n')
        return Answer(out=text.list_label(job.view()))

    async def _blame(self, call: _Call) -> Answer:
        domain, label = _service_target(call.words[0]) if call.words else ("", "")
        job = self._jobs.get((domain, label))
        return Answer(out=f"{job.reason}\n") if job else no_service(label, domain or "system")

    async def _managername(self, call: _Call) -> Answer:
        return Answer(out="System\n" if call.privileged else "Background\n")

    async def _limit(self, call: _Call) -> Answer:
        rows = text.LIMITS.splitlines(keepends=True)
        return Answer(out="".join(row for row in rows if not call.words or row.split()[0] == call.words[0]))

    async def _error(self, call: _Call) -> Answer:
        code = int(call.words[0]) if call.words and call.words[0].isdigit() else 0
        return Answer(out=f"{code}: {ERRORS.get(code, 'unknown error code')}\n")

    async def _privilege(self, call: _Call) -> Answer:
        """Not a verb of Apple's: simulated commands ask here whether their caller is root."""
        return Answer(0 if call.privileged else 1)

    # --- small things ------------------------------------------------------------------------------------------------

    def _views_of(self, domain: str) -> list[text.JobView]:
        return [view for view in self.views() if view.domain == domain]

    def _allowed(self, domain: str, call: _Call) -> bool:
        return call.privileged or domain != "system"

    def _has_desktop(self, domain: str) -> bool:
        return domain == f"gui/{self.desktop_uid}"


class _Call:
    """The words after the verb, and who calls."""

    def __init__(self, words: tuple[str, ...], privileged: bool, tty: bool) -> None:  # noqa: FBT001 (private, all three always given)
        self.words = words
        self.privileged = privileged
        self.tty = tty


def _is_domain(target: str) -> bool:
    kind, slash, uid = target.partition("/")
    return target == "system" or (kind in ("gui", "user") and bool(slash) and uid.isdigit())


def _service_target(target: str) -> tuple[str, str]:
    """(domain, label) of `system/LABEL` or `gui/UID/LABEL`; an empty label when it is none."""
    kind, _, rest = target.partition("/")
    if kind == "system" and rest and "/" not in rest:
        return "system", rest
    uid, _, label = rest.partition("/")
    if kind in ("gui", "user") and uid.isdigit() and label and "/" not in label:
        return f"{kind}/{uid}", label
    return "", ""


def _signal_of(word: str) -> signal.Signals | None:
    """`SIGTERM`, `TERM`, `15`."""
    try:
        if word.isdigit():
            return signal.Signals(int(word))
        name = word.upper()
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"]
    except (KeyError, ValueError):
        return None


def _plists(path: Path) -> list[Path]:
    """The plists of a folder, or the file itself."""
    return sorted(path.glob("*.plist")) if path.is_dir() else [path]


def _bad_file(path: Path) -> str:
    """Why launchd does not even read a plist: `missing`, or `mode` for its owner or its mode."""
    try:
        found = path.lstat()
    except OSError:
        return "missing"
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        return "mode"
    return ""
