"""How a job ended, and what follows from it: pure decisions of FACTS section 1.3."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from fleet.sim.launchd.spec import KeepAlive

BACKOFF_GRACE = 10
BACKOFF_CAP_SECONDS = 1200
EX_CONFIG = 78

_CRASH_SIGNALS = frozenset({"SIGILL", "SIGTRAP", "SIGABRT", "SIGFPE", "SIGBUS", "SIGSEGV", "SIGSYS"})
_MAC_SIGNALS = {
    "SIGHUP": (1, "Hangup"), "SIGINT": (2, "Interrupt"), "SIGQUIT": (3, "Quit"), "SIGILL": (4, "Illegal instruction"),
    "SIGTRAP": (5, "Trace/BPT trap"), "SIGABRT": (6, "Abort trap"), "SIGFPE": (8, "Floating point exception"),
    "SIGKILL": (9, "Killed"), "SIGBUS": (10, "Bus error"), "SIGSEGV": (11, "Segmentation fault"),
    "SIGSYS": (12, "Bad system call"), "SIGPIPE": (13, "Broken pipe"), "SIGALRM": (14, "Alarm clock"),
    "SIGTERM": (15, "Terminated"), "SIGXCPU": (24, "Cputime limit exceeded"),
    "SIGXFSZ": (25, "Filesize limit exceeded"), "SIGUSR1": (30, "User defined signal 1"),
    "SIGUSR2": (31, "User defined signal 2"),
}  # fmt: skip
_SYSEXITS = {
    64: "EX_USAGE", 65: "EX_DATAERR", 66: "EX_NOINPUT", 67: "EX_NOUSER", 68: "EX_NOHOST", 69: "EX_UNAVAILABLE",
    70: "EX_SOFTWARE", 71: "EX_OSERR", 72: "EX_OSFILE", 73: "EX_CANTCREAT", 74: "EX_IOERR", 75: "EX_TEMPFAIL",
    76: "EX_PROTOCOL", 77: "EX_NOPERM", 78: "EX_CONFIG",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Ending:
    """One end of a job: an exit code, a signal by its name, or a kernel's reason."""

    code: int | None = None
    signal: str | None = None
    reason: str | None = None

    @classmethod
    def of_return_code(cls, return_code: int) -> Ending:
        """The end that `Popen.returncode` tells."""
        if return_code >= 0:
            return cls(code=return_code)
        try:
            return cls(signal=signal.Signals(-return_code).name)
        except ValueError:
            return cls(signal="SIGKILL")

    @property
    def crashed(self) -> bool:
        """Whether it was a crash signal: not exit(1), not SIGTERM, not a code-signing kill."""
        return self.signal in _CRASH_SIGNALS

    @property
    def failed(self) -> bool:
        """Whether it was anything but exit(0)."""
        return self.code != 0

    @property
    def line(self) -> str:
        """The line of `launchctl print`: after a signal or a kernel's reason it is another one (FACTS section 1.1)."""
        if self.reason:
            return f"last exit reason = {self.reason}"
        if self.signal:
            number, text = _MAC_SIGNALS.get(self.signal, (9, "Killed"))
            return f"last terminating signal = {text}: {number}"
        return f"last exit code = {exit_text(self.code or 0)}"

    @property
    def wait_status(self) -> int:
        """`LastExitStatus` of `launchctl list LABEL`: a raw wait status."""
        if self.code is not None:
            return self.code << 8
        return _MAC_SIGNALS.get(self.signal or "SIGKILL", (9, ""))[0]

    @property
    def list_status(self) -> int:
        """The second column of `launchctl list`: negative for a signal."""
        return self.code if self.code is not None else -self.wait_status


def exit_text(code: int) -> str:
    """`0`, `78: EX_CONFIG`, `134: Abort trap`."""
    if code in _SYSEXITS:
        return f"{code}: {_SYSEXITS[code]}"
    for number, text in _MAC_SIGNALS.values():
        if code == 128 + number:
            return f"{code}: {text}"
    return str(code)


def wants_restart(keep_alive: KeepAlive, ending: Ending) -> bool:
    """Whether KeepAlive asks for another spawn after this end. The keys of a dict are OR-ed."""
    if keep_alive.always:
        return True
    if keep_alive.successful_exit is not None and keep_alive.successful_exit != ending.failed:
        return True
    return keep_alive.crashed is not None and keep_alive.crashed == ending.crashed


def grown_throttle_seconds(base_seconds: float, successive_crashes: int) -> float:
    """The minimum time between launches: `base << (crashes - grace)`, capped; launchd never gives up."""
    steps = min(max(successive_crashes - BACKOFF_GRACE, 0), 12)
    return max(base_seconds, min(base_seconds * (1 << steps), BACKOFF_CAP_SECONDS))
