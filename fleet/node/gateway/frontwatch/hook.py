"""Running the power hook: words, no shell, a deadline, and what it says in the journal, bounded."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from fleet.node.gateway.frontwatch.power import PowerBook, Signs, argv_for, decide
from fleet.node.gateway.frontwatch.store import WatchStore
from fleet.node.gateway.journal import Journal
from fleet.traffic.config import Power

HOOK_SECONDS = 60.0
_SAID_BYTES = 2048


class Switch:
    """Decides, remembers, runs: the run is on disk before it begins, so that a crash does not make it two."""

    def __init__(self, store: WatchStore, journal: Journal, *, now: Callable[[], float], seconds: float = HOOK_SECONDS):
        self._store = store
        self._journal = journal
        self._now = now
        self._seconds = seconds
        self._book = store.power()
        self._running: set[asyncio.Task[None]] = set()
        self.runs = 0

    def saw_ssh(self, node: str) -> None:
        """Its SSH port answered this front: its silence can mean something from now on."""
        if node not in self._book.ssh_answered:
            self._keep(msgspec.structs.replace(self._book, ssh_answered=self._book.ssh_answered | {node}))

    def consider(self, power: Power, signs: Mapping[str, Signs], *, peer_answers: bool) -> None:
        """Begin to run the hook for every node that needs it. One whose run cannot be remembered is left alone."""
        now = self._now()
        for node in decide(power, signs, self._book, now, peer_answers=peer_answers):
            if self._keep(msgspec.structs.replace(self._book, ran_seconds={**self._book.ran_seconds, node: now})):
                self.runs += 1
                task = asyncio.ensure_future(self._run(argv_for(power, node), node))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def done(self) -> None:
        """Wait until what was begun is done."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def close(self) -> None:
        """End what still runs."""
        for task in self._running:
            task.cancel()
        await self.done()

    async def _run(self, argv: tuple[str, ...], node: str) -> None:
        self._journal.warn("power_hook", node=node, argv=" ".join(argv))
        try:
            process = await asyncio.create_subprocess_exec(*argv, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
        except (OSError, ValueError) as error:
            problem = getattr(error, "strerror", None) or "it is no command"
            self._journal.warn("power_hook_failed", node=node, problem=problem)
            return
        said = b""
        try:
            async with asyncio.timeout(self._seconds):
                said = await _bounded(process)
                code = await process.wait()
        except TimeoutError:
            self._journal.warn("power_hook_failed", node=node, problem=f"not done after {self._seconds:g} s: ended")
            return
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())
        tell = self._journal.event if code == 0 else self._journal.warn
        tell("power_hook_done", node=node, code=code, said=said.decode("utf-8", "replace").strip() or None)

    def _keep(self, book: PowerBook) -> bool:
        self._book = book
        try:
            self._store.save_power(book)
        except OSError as error:
            self._journal.warn("watch_not_kept", problem=error.strerror or type(error).__name__)
            return False
        return True


async def _bounded(process: asyncio.subprocess.Process) -> bytes:
    """The beginning of what it says; the rest is read and forgotten, so that it never waits for us."""
    said, stream = b"", process.stdout
    while stream is not None and (part := await stream.read(_SAID_BYTES)):
        said += part[: max(0, _SAID_BYTES - len(said))]
    return said
