"""The real host."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time

from fleet.node.sync.machine import Answer, Ran

_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
_BODY_LIMIT_BYTES = 1 << 20
_NEVER_SAID = (124, 127)


class SystemHost:
    """The machine's own commands, processes and ports."""

    def __init__(self) -> None:
        self._lasting: dict[tuple[str, ...], Ran] = {}

    def run(
        self,
        words: tuple[str, ...],
        *,
        timeout_seconds: float = 30.0,
        user: str | None = None,
        feed: bytes | None = None,
    ) -> Ran:
        """Run a command to its end, without a shell, with a minimal environment; `feed` is its input. Never raises.

        `user` matters to root only: anybody else runs it as themselves. At the deadline its whole process group
        is killed.
        """
        try:
            account = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
        except KeyError:
            return Ran(code=127, err=f"there is no user {user or os.geteuid()}")
        change = user is not None and os.geteuid() == 0 and account.pw_uid != 0
        try:
            child = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env={
                    "PATH": _PATH,
                    "HOME": account.pw_dir,
                    "USER": account.pw_name,
                    "LOGNAME": account.pw_name,
                    "LANG": "en_US.UTF-8",
                    "LC_ALL": "C",
                },
                start_new_session=True,
                user=account.pw_uid if change else None,
                group=account.pw_gid if change else None,
                extra_groups=os.getgrouplist(account.pw_name, account.pw_gid) if change else None,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return Ran(code=127, err=f"{words[0]}: {error}")
        try:
            out, err = child.communicate(feed, timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except OSError:
                child.kill()
            out, err = child.communicate()
            return Ran(code=124, out=_text(out), err=f"{_text(err)}\nnot done after {timeout_seconds:g} s")
        return Ran(code=child.returncode, out=_text(out), err=_text(err))

    def lasting(self, words: tuple[str, ...]) -> Ran:
        """What a command says that says the same until the machine is restarted. One that did not run is run again."""
        found = self._lasting.get(words)
        if found is None:
            found = self.run(words)
            if found.code not in _NEVER_SAID:
                self._lasting[words] = found
        return found

    def uptime_seconds(self) -> float:
        """Seconds since the machine was started, those in which it slept too.

        Python's own monotonic clock stops while a Mac sleeps; the system's CLOCK_MONOTONIC does not. On Linux it is
        the other way round, and CLOCK_BOOTTIME counts sleep.
        """
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    def alive(self, pid: int) -> bool:
        """Whether the process exists."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def listens(self, port: int) -> bool:
        """Whether something accepts connections on that port of 127.0.0.1."""
        import socket

        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2):
                return True
        except OSError:
            return False

    def request(self, url: str, *, body: bytes | None = None, timeout_seconds: float = 5.0) -> Answer:
        """GET, or POST of a JSON body. TLS is not verified: the peer is this machine. Never raises."""
        import ssl  # these are dear, and most runs ask nobody
        import urllib.error
        import urllib.request

        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        request = urllib.request.Request(url, data=body)  # noqa: S310 (validated to be http or https)
        if body is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with opener.open(request, timeout=timeout_seconds) as answer:
                return Answer(status=answer.status, body=answer.read(_BODY_LIMIT_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(status=error.code, body=error.read(_BODY_LIMIT_BYTES), error=str(error))
        except Exception as error:  # noqa: BLE001 (http.client raises many kinds, and a gate only wants to know)
            return Answer(status=None, error=f"{type(error).__name__}: {error}")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
