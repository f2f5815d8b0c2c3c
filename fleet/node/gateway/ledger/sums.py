"""What recovery reads from the ledger and writes into it, with the time and the words for the log."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from fleet.node.gateway.ledger.cost import Counters
from fleet.node.gateway.ledger.provider import Account
from fleet.node.gateway.ledger.reading import counted, notes
from fleet.node.gateway.ledger.recovery import READING, Reading
from fleet.node.gateway.ledger.store import said
from fleet.vocabulary.contracts.ledger import Note, Row

T = TypeVar("T")


@dataclass(frozen=True)
class Sums:
    """`write` takes rows that must reach ledger and book, `told` sentences; `now` is in milliseconds of UTC."""

    path: Path
    write: Callable[[Row], None]
    told: Callable[[str], None]
    now: Callable[[], int]

    async def notes(self) -> list[Note]:
        """All of the ledger; none when it cannot be read."""
        return await self.read(lambda: notes(self.path)) or []

    async def counted(self, account: Account, *, since: int, until: int) -> int | None:
        """What attempts of an account are known to have cost; None when nobody can say."""
        return await self.read(lambda: counted(self.path, account.upstreams, account.name, since=since, until=until))

    def note(self, kind: str, subject: str, data: str = "{}") -> None:
        """Write a note of now."""
        now = self.now()
        self.write(Note(id=f"{kind}/{subject[:40]}/{now}", kind=kind, subject=subject, at_milliseconds=now, data=data))

    def note_reading(self, account: Account, counters: Counters) -> None:
        """Remember what the provider's counters said."""
        reading = Reading(total_pico=counters.total_pico, month_pico=counters.month_pico)
        self.note(READING, account.name, msgspec.json.encode(reading).decode())

    async def read(self, work: Callable[[], T]) -> T | None:
        """What a look into the ledger finds; None and a word in the log when it cannot be read."""
        try:
            return await asyncio.to_thread(work)
        except sqlite3.Error as error:
            self.told(f"the ledger cannot be read: {said(error)}")
            return None
