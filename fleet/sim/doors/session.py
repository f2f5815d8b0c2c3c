"""One exec or shell request on a simulated node: a real process behind an asyncssh channel.

The process leads its own session. When the channel goes away it sees the end of its input at once, a hang-up after a
moment, and is killed when it is still there: what launchd started is in other sessions and lives on.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal as signals
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import asyncssh

HANGUP_AFTER_SECONDS = 1.0
KILL_AFTER_SECONDS = 5.0
PIPE_BYTES = 1024 * 1024
STDIN_BUFFER_BYTES = 8 * 1024 * 1024

_PASSED = ("LANG", "LC_ALL")


class ExecSession(asyncssh.SSHServerSession):  # type: ignore[misc] # asyncssh is not imported by mypy
    """Runs the wrapper with the requested command, with pipes or on a pseudo terminal."""

    def __init__(self, wrapper: Path, peer: str, live: set[ExecSession]) -> None:
        self._wrapper = wrapper
        self._peer = peer
        self._live = live
        self._command = ""
        self._terminal: str | None = None
        self._size = (80, 24)
        self._channel: Any = None
        self._running: _Running | None = None
        self._start: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        self._early_eof = False
        self._ended = False

    def connection_made(self, chan: Any) -> None:
        """The channel is open."""
        self._channel = chan
        self._live.add(self)

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: object) -> bool:  # noqa: ARG002 (asyncssh's signature)
        """The client wants a terminal."""
        self._terminal = term_type or "vt100"
        self._size = (term_size[0] or 80, term_size[1] or 24)
        return True

    def exec_requested(self, command: str) -> bool:
        """A command."""
        self._command = command
        return True

    def shell_requested(self) -> bool:
        """A shell."""
        return True

    def session_started(self) -> None:
        """Start the process. asyncssh resumes reading after this call: what comes too early is kept."""
        self._start = asyncio.get_running_loop().create_task(self._launch())

    async def _launch(self) -> None:
        self._channel.pause_reading()
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "SSH_ORIGINAL_COMMAND": self._command}
        environment |= {"SSH_CONNECTION": self._peer, "SSH_CLIENT": self._peer}
        sent = self._channel.get_environment()
        environment |= {key: sent[key] for key in _PASSED if key in sent}
        try:
            if self._terminal:
                environment["TERM"] = self._terminal
                self._running = await _OnTerminal.start(self._wrapper, environment, self._channel, self._size)
            else:
                self._running = await _OnPipes.start(self._wrapper, environment, self._channel)
        except OSError as error:
            self._channel.write_stderr(f"simulated node: {error}\n".encode())
            self._channel.exit(255)
            self._live.discard(self)
            return
        for data in self._early:
            self._running.feed(data)
        self._early.clear()
        if self._early_eof:
            self._running.feed_eof()
        if self._ended:
            self._running.abandon()
        else:
            self._channel.resume_reading()
        await self._running.ended.wait()
        self._live.discard(self)

    async def kill(self) -> None:
        """The machine goes off: the process dies now, and one that is just being started as soon as it is there."""
        while self._start and self in self._live:
            if self._running:
                self._running.signal("SIGKILL")
            await asyncio.sleep(0.01)

    def data_received(self, data: bytes, datatype: object) -> None:  # noqa: ARG002 (asyncssh's signature)
        """Input for the process."""
        if self._running:
            self._running.feed(data)
        else:
            self._early.append(data)

    def eof_received(self) -> bool:
        """The input has ended; the output goes on."""
        if self._running:
            self._running.feed_eof()
        else:
            self._early_eof = True
        return True

    def pause_writing(self) -> None:
        """The client is slow: read no more from the process."""
        if self._running:
            self._running.pause_output()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._running:
            self._running.resume_output()

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:  # noqa: ARG002 (asyncssh's signature)
        """The client's window has another size."""
        if isinstance(self._running, _OnTerminal):
            self._running.resize(width, height)

    def signal_received(self, signal: str) -> None:
        """A signal for the process group."""
        if self._running:
            self._running.signal(f"SIG{signal}")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncssh's signature)
        """The channel is closed."""
        self._ended = True
        if self._running:
            self._running.abandon()


class _Running:
    """A process behind a channel. It answers the channel with the exit status when process and output have ended."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.pid = 0
        self.return_code: int | None = None
        self.ended = asyncio.Event()

    def feed(self, data: bytes) -> None:
        raise NotImplementedError

    def feed_eof(self) -> None:
        raise NotImplementedError

    def pause_output(self) -> None:
        raise NotImplementedError

    def resume_output(self) -> None:
        raise NotImplementedError

    def signal(self, name: str) -> None:
        number = getattr(signals, name, None)
        if number is not None:
            _signal_group(self.pid, number)

    def abandon(self) -> None:
        """Nobody listens any more: end of input, then a hang-up, then death."""
        self.feed_eof()
        if self.return_code is not None:
            return
        loop = asyncio.get_running_loop()
        loop.call_later(HANGUP_AFTER_SECONDS, self._unless_ended, signals.SIGHUP)
        loop.call_later(KILL_AFTER_SECONDS, self._unless_ended, signals.SIGKILL)

    def _unless_ended(self, number: signals.Signals) -> None:
        if self.return_code is None:
            _signal_group(self.pid, number)

    def report(self) -> None:
        code = self.return_code or 0
        if code >= 0:
            self.channel.exit(code)
        else:
            self.channel.exit_with_signal(signals.Signals(-code).name.removeprefix("SIG"))


class _OnPipes(_Running, asyncio.SubprocessProtocol):
    """Three pipes, read and written by the event loop without a copy in between."""

    def __init__(self, channel: Any) -> None:
        super().__init__(channel)
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._open_outputs = {1, 2}

    @classmethod
    async def start(cls, wrapper: Path, environment: dict[str, str], channel: Any) -> _OnPipes:
        """Run the wrapper. Raises OSError."""
        _, running = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(channel), str(wrapper), env=environment, start_new_session=True
        )
        return running

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The process runs. A quick one may be over before `start` returns."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()
        self._stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
        self._stdin.set_write_buffer_limits(high=STDIN_BUFFER_BYTES)
        _widen(self._stdin)

    def feed(self, data: bytes) -> None:
        if self._stdin and not self._stdin.is_closing():
            self._stdin.write(data)

    def feed_eof(self) -> None:
        if self._stdin and not self._stdin.is_closing():
            self._stdin.close()

    def pause_writing(self) -> None:
        """The process reads slower than the client sends."""
        self.channel.pause_reading()

    def resume_writing(self) -> None:
        """The process has caught up.

        Not at once: asyncio calls this in the middle of a write, and an end of input that comes through here would make
        it drop what was written last.
        """
        asyncio.get_running_loop().call_soon(self.channel.resume_reading)

    def pause_output(self) -> None:
        for pipe in self._outputs():
            pipe.pause_reading()

    def resume_output(self) -> None:
        for pipe in self._outputs():
            pipe.resume_reading()

    def _outputs(self) -> list[asyncio.ReadTransport]:
        if not self._transport:
            return []
        pipes = [self._transport.get_pipe_transport(fd) for fd in sorted(self._open_outputs)]
        return [cast("asyncio.ReadTransport", pipe) for pipe in pipes if pipe and not pipe.is_closing()]

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Output of the process."""
        if not self.channel.is_closing():
            self.channel.write(data, asyncssh.EXTENDED_DATA_STDERR if fd == 2 else None)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """A pipe is closed; when stdin is, nobody takes input any more, which must not stop the client's sending."""
        if fd == 0:
            self.channel.resume_reading()
        self._open_outputs.discard(fd)
        self._maybe_report()

    def process_exited(self) -> None:
        """The process has ended."""
        if self._transport:
            self.return_code = self._transport.get_returncode()
        self.ended.set()
        self._maybe_report()

    def _maybe_report(self) -> None:
        if self.return_code is not None and not self._open_outputs and not self.channel.is_closing():
            self.report()


class _OnTerminal(_Running):
    """A pseudo terminal whose other end is the process's controlling terminal."""

    def __init__(self, channel: Any, master: int) -> None:
        super().__init__(channel)
        self._master: int | None = master
        self._waiter: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, wrapper: Path, environment: dict[str, str], channel: Any, size: tuple[int, int]
    ) -> _OnTerminal:
        """Run the wrapper on a new terminal. Raises OSError."""
        master, slave = os.openpty()
        running = cls(channel, master)
        running.resize(*size)
        environment = {**environment, "SSH_TTY": os.ttyname(slave)}
        login_tty: Callable[[], None] = lambda: os.login_tty(slave)  # noqa: E731 (a child hook, one call)
        try:
            process = await asyncio.create_subprocess_exec(str(wrapper), env=environment, preexec_fn=login_tty)
        finally:
            os.close(slave)
        running.attach(process, master)
        return running

    def attach(self, process: asyncio.subprocess.Process, master: int) -> None:
        """Take the started process over."""
        loop = asyncio.get_running_loop()
        self.pid = process.pid
        os.set_blocking(master, False)
        loop.add_reader(master, self._readable)
        self._waiter = loop.create_task(self._wait(process))

    def feed(self, data: bytes) -> None:
        if self._master is not None:
            try:
                os.write(self._master, data)
            except OSError:
                pass

    def feed_eof(self) -> None:
        self.feed(b"\x04")

    def pause_output(self) -> None:
        if self._master is not None:
            asyncio.get_running_loop().remove_reader(self._master)

    def resume_output(self) -> None:
        if self._master is not None:
            asyncio.get_running_loop().add_reader(self._master, self._readable)

    def resize(self, width: int, height: int) -> None:
        if self._master is not None:
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def _readable(self) -> None:
        if self._master is None:
            return
        try:
            data = os.read(self._master, 65536)
        except BlockingIOError:
            return
        except OSError:  # EIO: the other end is closed
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
        elif not self.channel.is_closing():
            self.channel.write(data)

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        self.return_code = await process.wait()
        self.ended.set()
        self._readable()
        if self._master is not None:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
        self._master = None
        if not self.channel.is_closing():
            self.report()


def _widen(pipe: asyncio.WriteTransport) -> None:
    """A wider pipe saves wake-ups on large uploads. Linux only; elsewhere the pipe stays as it is."""
    size = getattr(fcntl, "F_SETPIPE_SZ", None)
    file = pipe.get_extra_info("pipe")
    if size is not None and file is not None:
        try:
            fcntl.fcntl(file.fileno(), size, PIPE_BYTES)
        except OSError:
            pass


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass
