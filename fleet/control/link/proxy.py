"""ssh_config's ProxyCommand: a process whose stdin and stdout are a socket, so that it sleeps and wakes as one does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from typing import Any

_END_SECONDS = 0.5
_WORDS_BYTES = 2000


class ProxySocket:
    """Our end of the pair. The user's shell runs the command in a process group of its own, as ssh has it."""

    def __init__(self, command: str) -> None:
        """Start it. Raises OSError."""
        self._sock, theirs = socket.socketpair()
        self._lock = threading.RLock()
        self._said = ""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        try:
            self._process = subprocess.Popen(
                [os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._errors,
                start_new_session=True,
            )
        except BaseException:
            self._sock.close()
            self._errors.close()
            raise
        finally:
            theirs.close()

    @property
    def words(self) -> str:
        """What the command said on stderr last; also after its end."""
        with self._lock:
            if not self._errors.closed:
                size = self._errors.seek(0, os.SEEK_END)
                self._errors.seek(max(0, size - _WORDS_BYTES))
                self._said = self._errors.read().decode("utf-8", "replace").strip()
            return self._said

    def close(self) -> None:
        """End the command: by the end of its input, then by signals to its group. Safe to call twice."""
        with self._lock:  # the thread that reads closes it as well
            self._sock.close()
            self._said = self.words
            self._errors.close()
            if self._process.returncode is None:
                self._end()

    def _end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
                return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
