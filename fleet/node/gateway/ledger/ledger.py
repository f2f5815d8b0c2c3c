"""The ledger as the gateway has it: reserve before the first byte, write what became of it, know when it is closed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from fleet.node.gateway.ledger.reading import rows_since
from fleet.node.gateway.ledger.retention import Keep
from fleet.node.gateway.ledger.store import LedgerFile, said
from fleet.node.gateway.ledger.writer import Begun, LedgerClosed, Lost, OpenFile, Trouble, Word, Writer
from fleet.vocabulary.contracts.ledger import CostSource, Reservation, Row, Settlement

_UNREAD = "its rows have not been counted yet"


class Ledger:
    """One file and its writer, used from one event loop.

    `await open()`, count `rows()`, then `release()`: until then it is held, and nobody can reserve. A file that was
    begun anew is told of in `begun` (recovery decides when it may be released). `told` gets sentences for the log.
    `keep`: how long single requests are kept; None = for ever.
    """

    def __init__(
        self,
        path: Path,
        *,
        told: Callable[[str], None],
        keep: Keep | None = None,
        open_file: Callable[[Path, str], OpenFile] | None = None,
        retry_seconds: float = 1.0,
    ) -> None:
        self.path = path
        self.begun = ""
        self._told = told
        self._held = _UNREAD
        self._trouble = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        opener = open_file or (lambda path, damaged: LedgerFile(path, damaged=damaged, keep=keep))
        self._writer = Writer(lambda damaged: opener(path, damaged), self._heard, retry_seconds=retry_seconds)

    @property
    def closed(self) -> str:
        """Why nothing can be reserved; "" = it is open."""
        return self._trouble or self._held

    async def open(self) -> None:
        """Try to open the file, once; the writer goes on trying. `closed` says what came of it. Never raises."""
        self._loop = asyncio.get_running_loop()
        self._writer.start()
        await asyncio.to_thread(self._writer.tried.wait)
        await asyncio.sleep(0)  # what the thread told is heard first

    def hold(self, why: str) -> None:
        """Let nobody reserve, for a reason."""
        self._held = why

    def release(self) -> None:
        """The rows are counted, and the sums are those of the provider: reserve."""
        self._held = ""

    async def reserve(self, row: Reservation) -> None:
        """The row is durable when this returns. Raises LedgerClosed; then, and when the caller is cancelled while it
        waits, the row is not there, or is settled as never sent.
        """
        if self._trouble or self._held:
            raise LedgerClosed(self.closed)
        try:
            await self._durable(row)
        except asyncio.CancelledError:
            self.write(Settlement(id=row.id, at_milliseconds=row.at_milliseconds, pico=0, source=CostSource.UNSENT))
            raise

    def write(self, row: Row) -> None:
        """Queue a row for the next commit. Never raises, never waits. In trouble it is kept, and written after it."""
        self._writer.put(row)

    async def commit(self, row: Row) -> None:
        """The row is durable when this returns, even while the ledger is held. Raises LedgerClosed: perhaps it is."""
        if self._trouble:
            raise LedgerClosed(self._trouble)
        await self._durable(row)

    def rows(self, *, since_milliseconds: int = 0) -> Iterator[Row]:
        """What is on the disk (`reading.rows_since`). Raises LedgerClosed when it cannot be read."""
        try:
            yield from rows_since(self.path, since_milliseconds)
        except (sqlite3.Error, ValueError) as error:
            raise LedgerClosed(f"the ledger cannot be read: {said(error)}") from error

    async def close(self) -> None:
        """Write what is queued and close the file."""
        self._held = "it is closed"
        await asyncio.to_thread(self._writer.stop)

    async def _durable(self, row: Row) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._writer.put(row, waiting)
        await waiting

    def _heard(self, word: Word) -> None:
        """In the writer's thread."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._hear, word)
        except RuntimeError:
            pass  # the loop is gone

    def _hear(self, word: Word) -> None:
        match word:
            case Trouble(why):
                self._trouble = why
                self._told(f"the ledger is closed: {why}; paid routes wait" if why else "the ledger is written again")
            case Begun(why):
                self.begun = why
                self._held = (
                    self._held or f"it was begun anew ({why}): restart this gateway, which asks the provider first"
                )
                self._told(f"a new ledger was begun: {why}")
            case Lost(rows):
                self._told(f"the ledger lost {rows} rows that could not be written")
