"""Changing launchd jobs: the safe loop of FACTS section 1.5. Exit codes are never believed; pids are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fleet.node.sync.launchd import Launchd, log_tail, why_down
from fleet.node.sync.machine import Machine, Ran
from fleet.node.sync.problem import GateFailed, Problem
from fleet.node.sync.safety import safe_place
from fleet.vocabulary.contracts.desired import Daemon
from fleet.vocabulary.launchctl import BUSY, GONE, PrintedService

_POLL_SECONDS = 0.25
_GRACE_SECONDS = 10.0
_KICK_AFTER_SECONDS = 3.0
_PID_SECONDS = 20.0
_RETRY_SECONDS = (1.0, 2.0, 4.0)
_THROTTLE_SECONDS = 10.0
_CRASHES = 3


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """The launchd jobs of one machine."""

    machine: Machine

    @property
    def launchd(self) -> Launchd:
        """Launchctl itself."""
        return Launchd(machine=self.machine)

    def bootout(self, daemon: Daemon) -> None:
        """Forget a job, and come back only when label, process and ports are gone. Raises Problem."""
        launchd, machine = self.launchd, self.machine
        known = launchd.print(daemon.label)
        if known is not None:
            ran = launchd.bootout(daemon.label)
            if ran.code not in GONE and launchd.print(daemon.label) is not None:
                raise Problem(f"launchctl bootout of {daemon.label} failed ({ran.code})", detail=ran.said)
        timeout = daemon.exit_timeout_seconds
        if known is not None and known.exit_timeout_seconds is not None:
            timeout = max(timeout, known.exit_timeout_seconds)
        within = timeout + _GRACE_SECONDS
        pid = known.pid if known else None
        if not self._until(lambda: launchd.print(daemon.label) is None, within):
            raise Problem(
                f"{daemon.label} is still registered {within:g} s after its bootout",
                hint="launchd may be stuck: look at `launchctl print`; a reboot of the node cures it",
            )
        if pid is not None and not self._until(lambda: not machine.host.alive(pid), within):
            raise Problem(
                f"process {pid} of {daemon.label} is still there {within:g} s after its bootout",
                hint="it ignores SIGKILL, or waits for a disk or the GPU: a reboot of the node cures it",
            )
        for port in daemon.ports:
            if not self._until(partial(self._is_free, port), within):
                raise Problem(f"port {port} of {daemon.label} is still taken", detail=self._port_owner(port))

    def bootstrap(self, daemon: Daemon, content: str) -> None:
        """Put the plist (a file with its content) in place, register the job and see it run.

        Raises Problem, and GateFailed when it is registered but gets no process. The caller has booted out an older
        one; a port that somebody else holds is told apart from a broken job.
        """
        launchd, machine, layout = self.launchd, self.machine, self.machine.layout
        if launchd.print(daemon.label) is None:
            for port in daemon.ports:
                if machine.host.listens(port):
                    raise Problem(
                        f"port {port}, which {daemon.label} needs, is taken by another program",
                        detail=self._port_owner(port),
                        hint="stop that program, or give the service another port in the inventory",
                    )
        plist = layout.plist(daemon.label)
        machine.disk.copy(content, plist, mode=0o644, owner=layout.admin, group=layout.admin_group)
        self._prepare_logs(daemon)
        linted = launchd.lint(plist)
        if linted.code:
            raise Problem(f"plutil refuses the plist of {daemon.label}", detail=linted.said)
        launchd.enable(daemon.label)
        self._register(daemon)
        self._remember_program(daemon)
        if not daemon.on_demand:
            self._see_it_run(daemon, fresh=True)

    def restart(self, daemon: Daemon) -> None:
        """End the process softly and let launchd start another (FACTS section 1.2: never -k but for hung ones)."""
        launchd = self.launchd
        old = launchd.print(daemon.label)
        if old is None or old.pid is None:
            self.cure(daemon)
            return
        self._prepare_logs(daemon)
        sent = launchd.signal(daemon.label, "SIGTERM")
        if sent.code not in (0, 3):
            raise Problem(f"launchctl kill SIGTERM of {daemon.label} failed ({sent.code})", detail=sent.said)
        timeout = max(daemon.exit_timeout_seconds, old.exit_timeout_seconds or 0)
        if not self._until(lambda: self._pid(daemon) != old.pid, timeout + _GRACE_SECONDS):
            launchd.kickstart(daemon.label, kill=True)
        throttle = old.minimum_runtime_seconds or _THROTTLE_SECONDS
        self._see_it_run(daemon, other_than=old.pid, more_seconds=throttle)

    def reload(self, daemon: Daemon) -> None:
        """Tell the process to read its files again."""
        sent = self.launchd.signal(daemon.label, "SIGHUP")
        if sent.code == 3:
            self.cure(daemon)
        elif sent.code:
            raise Problem(f"launchctl kill SIGHUP of {daemon.label} failed ({sent.code})", detail=sent.said)

    def cure(self, daemon: Daemon) -> None:
        """Start a job that is registered but does not run: a demand spawn ends every pend (FACTS section 1.4)."""
        self._prepare_logs(daemon)
        ran = self.launchd.kickstart(daemon.label)
        self._see_it_run(daemon, kicked=ran)

    def repair(self, daemon: Daemon) -> None:
        """Owner and mode of the plist, and the disabled override: what matters at the next boot only."""
        layout = self.machine.layout
        self.machine.disk.own(layout.plist(daemon.label), mode=0o644, owner=layout.admin, group=layout.admin_group)
        self.launchd.enable(daemon.label)
        if self.launchd.disabled().get(daemon.label):
            raise Problem(f"{daemon.label} is still disabled", hint="Login Items in System Settings may hold it off")

    def _register(self, daemon: Daemon) -> None:
        launchd, layout = self.launchd, self.machine.layout
        ran = launchd.bootstrap(daemon.label)
        for pause in _RETRY_SECONDS:
            if launchd.print(daemon.label) is not None:
                return
            if ran.code == 0:
                break  # exit 0 is no proof (FACTS section 6.10)
            if launchd.disabled().get(daemon.label):
                launchd.enable(daemon.label)
            elif ran.code not in BUSY:
                break
            self.machine.disk.own(layout.plist(daemon.label), mode=0o644, owner=layout.admin, group=layout.admin_group)
            self.machine.clock.sleep(pause)
            ran = launchd.bootstrap(daemon.label)
        if launchd.print(daemon.label) is None:
            disabled = launchd.disabled().get(daemon.label, False)
            raise Problem(
                f"launchctl bootstrap of {daemon.label} failed ({ran.code})",
                detail="\n".join(filter(None, [ran.said, "the label is disabled" if disabled else ""])),
                hint="the true reason is in the unified log: "
                "log show --last 2m --predicate 'process == \"launchd\"' --style compact",
            )

    def _see_it_run(
        self,
        daemon: Daemon,
        *,
        other_than: int | None = None,
        more_seconds: float = 0.0,
        kicked: Ran | None = None,
        fresh: bool = False,
    ) -> None:
        """Wait for a pid, with one demand spawn on the way. Raises GateFailed with launchd's reason.

        Right after a bootstrap (`fresh`) what launchd tells is of this very job: a spawn that failed, or a program
        that ended with an error several times, is nothing to wait for.
        """

        def runs() -> bool:
            return self._pid(daemon) not in (None, other_than)

        if kicked is None:
            if self._until(runs, _KICK_AFTER_SECONDS):
                return
            kicked = self.launchd.kickstart(daemon.label)
        if self._until(lambda: runs() or (fresh and self._hopeless(daemon)), _PID_SECONDS + more_seconds) and runs():
            return
        printed = self.launchd.print(daemon.label)
        said = [kicked.said if kicked.code else ""]
        if self.machine.disk.identity(daemon.program):
            said.append(log_tail(self.machine, daemon))  # without a program every line is of an older job
        raise GateFailed(
            f"{daemon.label} has no process: {why_down(printed)}",
            key=f"launchd:{daemon.label}",
            detail="\n".join(filter(None, said)),
            hint=self._advice(daemon, printed),
        )

    def _hopeless(self, daemon: Daemon) -> bool:
        """Whether nothing comes from waiting longer: launchd could not spawn it, or it ends as soon as it starts."""
        printed = self.launchd.print(daemon.label)
        if printed is None:
            return True
        if printed.pid is not None or not printed.exit_code:
            return False
        return printed.exit_code == 78 or (printed.runs or 0) >= _CRASHES

    def _advice(self, daemon: Daemon, printed: PrintedService | None) -> str:
        if printed is not None and printed.exit_code == 78:
            if not self.machine.disk.identity(daemon.program):
                return f"{daemon.program} is not on the node"
            return (
                f"check that {daemon.user} may run {daemon.program} and write to {', '.join(daemon.logs) or 'its logs'}"
            )
        return ""

    def _pid(self, daemon: Daemon) -> int | None:
        printed = self.launchd.print(daemon.label)
        return printed.pid if printed else None

    def _prepare_logs(self, daemon: Daemon) -> None:
        """Launchd would make a missing log directory root's, and the job would end as 78 (FACTS section 1.7)."""
        disk = self.machine.disk
        for path in daemon.logs:
            safe_place(self.machine, path)
            parent = path.rsplit("/", 1)[0]
            if not disk.stat(parent).exists:
                disk.directory(parent, mode=0o755, owner=daemon.user, group=daemon.group)
            disk.touch(path, mode=0o640, owner=daemon.user, group=daemon.group)

    def _remember_program(self, daemon: Daemon) -> None:
        """Which file the program is at bootstrap: launchd pins its code signature (FACTS section 1.2)."""
        identity = self.machine.disk.identity(daemon.program) or ""
        layout = self.machine.layout
        self.machine.disk.directory(layout.state("programs"))
        self.machine.disk.write(f"{layout.state('programs')}/{daemon.label}", identity.encode(), mode=0o644)

    def _is_free(self, port: int) -> bool:
        return not self.machine.host.listens(port)

    def _port_owner(self, port: int) -> str:
        ran = self.machine.command("lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN")
        return ran.out.strip()[-1000:]

    def _until(self, holds: Callable[[], bool], within_seconds: float) -> bool:
        """Whether it holds before the deadline."""
        clock = self.machine.clock
        deadline = clock.monotonic() + within_seconds
        while not holds():
            if clock.monotonic() >= deadline:
                return False
            clock.sleep(_POLL_SECONDS)
        return True
