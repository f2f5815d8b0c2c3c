"""The one thread that writes: rows of a moment are one commit, and whoever waits for one is woken once per commit."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fleet.node.gateway.ledger.store import CannotOpen, is_damage, said
from fleet.vocabulary.contracts.ledger import CostSource, Request, Reservation, Row, Settlement

_MOST_ROWS = 512
_MOST_QUEUED = 20_000
_IDLE_SECONDS = 5.0
_LINGER_SECONDS = 0.005
_LET_GO_EVERY_SECONDS = 60.0
_MOST_LINGERING = 256
_RETRY_SECONDS = 1.0

Waiting = asyncio.Future[None]
Queued = tuple[Row, Waiting | None]


class LedgerClosed(Exception):
    """The row is not in the ledger, or is taken back as soon as it can be; the message says why to people."""


class OpenFile(Protocol):
    """What the thread writes to. All but `close` raise sqlite3.Error or OSError."""

    @property
    def begun(self) -> str:
        """Why it is a new file; "" = it is not."""
        ...

    def put(self, rows: Sequence[Row]) -> None:
        """All, or none."""
        ...

    def probe(self) -> None:
        """Write something that changes nothing."""
        ...

    def checkpoint(self) -> None:
        """Tidy up."""
        ...

    def let_go(self) -> int:
        """Let some old rows go; how many went."""
        ...

    def close(self) -> None:
        """Never raises."""
        ...


@dataclass(frozen=True)
class Trouble:
    """Nothing can be written from now on; "" = it can again."""

    why: str


@dataclass(frozen=True)
class Begun:
    """The file that was opened is a new one."""

    why: str


@dataclass(frozen=True)
class Lost:
    """So many rows were lost since this was last said."""

    rows: int


Word = Trouble | Begun | Lost


class Writer:
    """Rows in, commits out. Those that somebody waits for go first and at once; the others may wait for company.

    `open_file` is called in the thread, again and again while it raises CannotOpen. Its argument says that the file was
    found damaged, and how; `tell` is called in the thread too. Rows that nobody waits for are kept while there is
    trouble, and written after it; only Request rows beyond `most_queued` are lost: the money of attempts that are in
    flight is bounded by itself.
    """

    def __init__(
        self,
        open_file: Callable[[str], OpenFile],
        tell: Callable[[Word], None],
        *,
        retry_seconds: float = _RETRY_SECONDS,
        most_queued: int = _MOST_QUEUED,
    ) -> None:
        self._open_file = open_file
        self._tell_word = tell
        self._retry_seconds = retry_seconds
        self._most_queued = most_queued
        self._file: OpenFile | None = None
        self._urgent: deque[Queued] = deque()
        self._lazy: deque[Queued] = deque()
        self._kept: list[Row] = []
        self._damage = ""
        self._trouble = self._told = ""
        self._lost = 0
        self._let_go_at = time.monotonic() - _LET_GO_EVERY_SECONDS
        self._wake = threading.Lock()
        self._wake.acquire()
        self._asleep = False
        self._lingering = False
        self._closing = False
        self.tried = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        """Open the file, in the thread. `tried` is set after the first attempt."""
        self._thread.start()

    def put(self, row: Row, waiting: Waiting | None = None) -> None:
        """Queue a row. Never waits; of one thread."""
        if waiting is not None:
            self._urgent.append((row, waiting))
        elif len(self._lazy) < self._most_queued or not isinstance(row, Request):
            self._lazy.append((row, None))
            if self._lingering:
                return  # it looks at what lingers by itself
        else:
            self._lost += 1
            return
        if self._asleep:
            self._rouse()

    def stop(self) -> None:
        """Write what is queued, close the file, end the thread. Blocks until it has."""
        self._closing = True
        self._rouse()
        self._thread.join()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._reopen()
        self.tried.set()
        dirty = False
        while not self._closing or self._urgent or self._lazy:
            if self._trouble:
                self._sit_out()
                self._reopen()
            elif self._urgent or (self._lazy and self._due()):
                self._commit(self._take())
                dirty = True
                if time.monotonic() - self._let_go_at > _LET_GO_EVERY_SECONDS:
                    self._guarded(self._let_go)
            elif not self._lazy and not self._sleep(_IDLE_SECONDS) and dirty:
                dirty = False
                self._guarded(self._tidy)
        if self._trouble:
            self._reopen()
        if self._file is not None:
            self._file.close()
        self._lost += len(self._kept)
        self._tell()

    def _due(self) -> bool:
        """Whether rows that nobody waits for have waited long enough; false when somebody came to wait."""
        if self._closing or len(self._lazy) >= _MOST_LINGERING:
            return True
        self._lingering = True
        woken = self._sleep(_LINGER_SECONDS)
        self._lingering = False
        return not woken

    def _take(self) -> list[Queued]:
        """All who wait, and then those who do not, unless they would keep few waiting."""
        batch = _up_to(_MOST_ROWS, self._urgent)
        if not batch or len(self._lazy) >= _MOST_LINGERING:
            batch += _up_to(_MOST_ROWS - len(batch), self._lazy)
        return batch

    def _commit(self, batch: Sequence[Queued]) -> None:
        assert self._file is not None
        try:
            self._file.put([row for row, _ in batch])
        except Exception as error:  # noqa: BLE001 (no row may end the thread)
            if _of_the_disk(error):
                self._fail(batch, error)
            elif len(batch) == 1:
                self._refuse(batch[0], f"the row cannot be kept: {error}")
            else:  # one of them is at fault, and the others are not
                for at, one in enumerate(batch):
                    if self._trouble:
                        self._fail(batch[at:], error)
                        break
                    self._commit([one])
        else:
            _wake([waiting for _, waiting in batch if waiting is not None])

    def _fail(self, batch: Sequence[Queued], error: Exception) -> None:
        """The disk did not take them, or it did and could not say so: then a reservation is settled as never sent."""
        self._trouble = self._trouble or said(error)
        self._tell()  # who is refused finds the ledger closed
        for row, waiting in batch:
            if waiting is None:
                self._kept.append(row)
                continue
            _wake([waiting], self._trouble)
            if isinstance(row, Reservation):
                self._kept.append(
                    Settlement(id=row.id, at_milliseconds=row.at_milliseconds, pico=0, source=CostSource.UNSENT)
                )
        if is_damage(error) and self._file is not None:
            self._damage = str(error)
            self._file.close()
            self._file = None

    def _refuse(self, one: Queued, why: str) -> None:
        if one[1] is None:
            self._lost += 1
        else:
            _wake([one[1]], why)

    def _sit_out(self) -> None:
        """Until the next try. Who comes meanwhile waits for nothing."""
        until = time.monotonic() + self._retry_seconds
        while True:
            for row, waiting in [*_up_to(_MOST_ROWS, self._urgent), *_up_to(_MOST_ROWS, self._lazy)]:
                if waiting is not None:
                    _wake([waiting], self._trouble)
                elif isinstance(row, Request) and len(self._kept) >= self._most_queued:
                    self._lost += 1
                else:
                    self._kept.append(row)
            left = until - time.monotonic()
            if left <= 0 or self._closing:
                return
            self._sleep(left)

    def _reopen(self) -> None:
        """Open the file if there is none, and write what was kept: then the trouble is over."""
        self._trouble = ""
        try:
            if self._file is None:
                self._file = self._open_file(self._damage)
                self._damage = ""
                if self._file.begun:
                    self._tell_word(Begun(self._file.begun))
            self._file.probe()
        except CannotOpen as error:
            self._trouble = str(error)
        except (sqlite3.Error, OSError) as error:
            self._fail([], error)
            return
        kept, self._kept = self._kept, []
        for at in range(0, len(kept), _MOST_ROWS):
            part = [(row, None) for row in kept[at : at + _MOST_ROWS]]
            if self._trouble:
                self._kept += [row for row, _ in part]
            else:
                self._commit(part)
        self._tell()

    def _tidy(self) -> None:
        """Nobody is here."""
        assert self._file is not None
        self._file.checkpoint()
        self._let_go()

    def _let_go(self) -> None:
        assert self._file is not None
        gone = self._file.let_go()
        self._let_go_at = time.monotonic() - (
            _LET_GO_EVERY_SECONDS - 1 if gone else 0
        )  # soon again while there are more

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            if self._file is not None:
                work()
        except (sqlite3.Error, OSError) as error:
            self._fail([], error)

    def _sleep(self, seconds: float) -> bool:
        """Whether somebody woke us."""
        self._asleep = True
        if self._urgent or self._closing or (self._lazy and not self._lingering):  # it came since we looked
            self._asleep = False
            return True
        return self._wake.acquire(timeout=seconds)

    def _rouse(self) -> None:
        self._asleep = False
        try:
            self._wake.release()
        except RuntimeError:
            pass  # it was roused twice

    def _tell(self) -> None:
        if self._trouble != self._told:
            self._told = self._trouble
            self._tell_word(Trouble(self._trouble))
        if self._lost and (not self._trouble or self._closing):
            lost, self._lost = self._lost, 0
            self._tell_word(Lost(lost))


def _up_to(most: int, queue: deque[Queued]) -> list[Queued]:
    """The first of them, taken out. Others may append meanwhile."""
    return [queue.popleft() for _ in range(min(most, len(queue)))]


def _of_the_disk(error: Exception) -> bool:
    """Whether no other row would fare better. A row may be at fault: a value of a wrong type, a number too large."""
    if isinstance(
        error, sqlite3.IntegrityError | sqlite3.InterfaceError | sqlite3.DataError | sqlite3.ProgrammingError
    ):
        return False
    return isinstance(error, sqlite3.Error | OSError)


def _wake(waiting: Sequence[Waiting], refused: str = "") -> None:
    """Once per commit: to wake a loop costs more than to write a row."""
    if waiting:
        try:
            waiting[0].get_loop().call_soon_threadsafe(_resolve, waiting, refused)
        except RuntimeError:
            pass  # the loop is gone, and with it everybody who waited


def _resolve(waiting: Sequence[Waiting], refused: str) -> None:
    for one in waiting:
        if one.done():
            continue
        if refused:
            one.set_exception(LedgerClosed(refused))
        else:
            one.set_result(None)
