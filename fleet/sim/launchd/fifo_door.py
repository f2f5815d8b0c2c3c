"""How launchctl reaches launchd: request lines through one FIFO, replies as files.

A request is `PID TAB tty|pipe TAB WORD...`, shorter than 512 bytes, so that concurrent writers never mix (PIPE_BUF).
The FIFO is opened for reading and writing: no end of file when the last writer goes, and nobody waits to open it. A
reply is RUN/reply.PID (the exit status), renamed into place after RUN/reply.PID.out and .err.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from fleet.sim.launchd.answer import Answer
from fleet.sim.launchd.launchd import Launchd

READ_BYTES = 64 * 1024


class FifoDoor:
    """Serves one launchd's FIFO on the running event loop.

    `restart` is called for `reboot`, once it was answered; whether past FileVault's lock is its argument.
    """

    def __init__(
        self,
        run_dir: Path,
        launchd: Launchd,
        *,
        is_root: Callable[[int], bool],
        restart: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._dir = run_dir
        self._launchd = launchd
        self._is_root = is_root
        self._restart = restart
        self._descriptor: int | None = None
        self._rest = b""
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Make the FIFO anew and begin to serve."""
        fifo = self._dir / "launchd"
        fifo.unlink(missing_ok=True)
        for stale in self._dir.glob("reply.*"):
            stale.unlink(missing_ok=True)
        os.mkfifo(fifo, 0o600)
        self._descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        asyncio.get_running_loop().add_reader(self._descriptor, self._readable)
        (self._dir / "launchd.pid").write_text(f"{os.getpid()}\n")

    def close(self) -> None:
        """Stop serving: launchctl then says that launchd is not running."""
        (self._dir / "launchd.pid").unlink(missing_ok=True)
        (self._dir / "launchd").unlink(missing_ok=True)
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = None

    def _readable(self) -> None:
        if self._descriptor is None:
            return
        try:
            self._rest += os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            task = asyncio.get_running_loop().create_task(self._serve(line.decode(errors="replace")))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, line: str) -> None:
        pid, tty, *words = line.split("\t")
        if not pid.isdigit():
            return
        if words[:1] == ["reboot"]:
            allowed = self._is_root(int(pid))
            self._reply(self._dir / f"reply.{pid}", Answer(0) if allowed else Answer(1, err="reboot: Not privileged\n"))
            if allowed:
                self._restart(words[1:] == ["unlocked"])
            return
        try:
            answer = await self._launchd.call(words, privileged=self._is_root(int(pid)), tty=tty == "tty")
        except Exception as error:  # noqa: BLE001 (the caller waits: whatever happens here, it gets an answer)
            answer = Answer(5, err=f"launchctl: the simulated launchd failed: {error!r}\n")
        self._reply(self._dir / f"reply.{pid}", answer)

    def _reply(self, path: Path, answer: Answer) -> None:
        for suffix, text in ((".out", answer.out), (".err", answer.err)):
            if text:
                path.with_name(path.name + suffix).write_text(text)
        part = path.with_name(path.name + ".part")
        part.write_text(f"{answer.code}\n")
        part.replace(path)
