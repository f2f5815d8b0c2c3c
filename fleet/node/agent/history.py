"""What the agent remembers: a SQLite file of samples for a day and of minutes for a week.

Nothing here takes the agent down. A file that is broken is put aside and begun anew; a disk that is full, or a folder
that is not there, pauses the writing and says so. Rows are written some at a time, in one transaction without an fsync
(WAL, synchronous=NORMAL): the end of the process costs nothing that was written, a power cut some minutes at most.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fleet.node.agent import historysql as sql
from fleet.node.agent.columns import FIELDS, Value, row_of
from fleet.node.agent.historyfile import is_broken, is_full, open_history, put_aside
from fleet.node.agent.seriesquery import SeriesQuery
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.series import Series
from fleet.vocabulary.contracts.snapshot import HistoryReading, Snapshot
from fleet.vocabulary.units import MIB

T = TypeVar("T")

KEPT_SAMPLES = 24 * 3600 // 5
KEPT_MINUTES = 7 * 24 * 60
MOST_BYTES = 48 * MIB
_MOST_WAITING_ROWS = 60
_RETRY_SECONDS = 60.0
_EARLIEST_SECONDS = 1_700_000_000
"""A clock before this was never set: nothing is written by it."""


class HistoryProblem(Exception):
    """The history cannot be read now; the text says why."""


class History:
    """The history in `path`. `append` writes nothing while somebody calls `flush`; `series` and `close` do it too."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        node: str,
        pace_seconds: float,
        most_bytes: int = MOST_BYTES,
        kept_samples: int = KEPT_SAMPLES,
        kept_minutes: int = KEPT_MINUTES,
    ) -> None:
        self._path, self._clock, self._node = path, clock, node
        self._pace = max(1, round(pace_seconds))
        self._most_bytes = most_bytes
        self._keep = {"samples": kept_samples, "minutes": kept_minutes}
        self._db: sqlite3.Connection | None = None
        self._waiting: list[tuple[Value, ...]] = []
        self._before: tuple[int, float] | None = None
        self._paused: str | None = None
        self._retry_at = -math.inf
        self._resets = self._lost = 0
        self._rows: dict[str, int] = {}
        self._file_bytes: int | None = None

    @property
    def reading(self) -> HistoryReading:
        """How it is."""
        return HistoryReading(
            samples=self._rows.get("samples"),
            minutes=self._rows.get("minutes"),
            file_bytes=self._file_bytes,
            paused=self._paused,
            resets_total=self._resets,
            lost_total=self._lost,
        )

    def append(self, snapshot: Snapshot) -> None:
        """Remember a sample."""
        at = snapshot.at_seconds
        if at < _EARLIEST_SECONDS:
            self._lost += 1
            return
        slot = slot_of(at, self._before, pace_seconds=self._pace)
        self._before = (slot, at)
        self._waiting.append((slot, *row_of(snapshot)))
        if len(self._waiting) >= _MOST_WAITING_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what waits. While the history pauses it is tried again once a minute, and what waits is lost."""
        rows, self._waiting = self._waiting, []
        if not rows:
            return
        if self._clock.monotonic() < self._retry_at or not self._guarded(lambda db: self._write(db, rows)):
            self._lost += len(rows)

    def series(self, query: SeriesQuery) -> Series:
        """The values that are asked for. Raises HistoryProblem."""
        self.flush()
        found = self._guarded(lambda db: self._read(db, query))
        if found is None:
            raise HistoryProblem(self._paused or "it was broken, and begins anew")
        return found

    def within(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` gives with the history's file, as one that keeps a table of its own there; None while it pauses.

        `work` raises sqlite3.Error only for what is wrong with the whole file.
        """
        return None if self._clock.monotonic() < self._retry_at else self._guarded(work)

    def close(self) -> None:
        """Write what waits, and close the file."""
        self.flush()
        self._close()

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except sqlite3.Error:  # the last checkpoint found no room: the rows lie in the WAL
                pass

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` gives; None when the file did not allow it."""
        try:
            if self._db is None:
                self._db = open_history(self._path, most_bytes=self._most_bytes)
            return work(self._db)
        except (sqlite3.Error, OSError) as error:
            if is_broken(error):
                self._begin_anew()
            else:
                self._pause(str(error))
            return None

    def _begin_anew(self) -> None:
        self._close()
        self._resets += 1
        try:
            put_aside(self._path)
        except OSError as error:
            self._pause(f"a broken history cannot be put aside: {error.strerror}")

    def _pause(self, problem: str) -> None:
        self._close()
        self._paused = problem
        self._retry_at = self._clock.monotonic() + _RETRY_SECONDS

    def _write(self, db: sqlite3.Connection, rows: list[tuple[Value, ...]]) -> bool:
        try:
            self._commit(db, rows)
        except sqlite3.DatabaseError as error:
            if not is_full(error):
                raise
            with db:
                for table, _ in sql.TABLES:
                    db.execute(sql.shed(table))
            self._commit(db, rows)
        self._paused = None
        for table, _ in sql.TABLES:
            (self._rows[table],) = db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 (names of ours)
        wal = self._path.with_name(f"{self._path.name}-wal")
        self._file_bytes = self._path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
        return True

    def _commit(self, db: sqlite3.Connection, rows: list[tuple[Value, ...]]) -> None:
        """The rows, their minutes anew, and nothing beyond what is kept: all or nothing."""
        slots = [int(row[0] or 0) for row in rows]
        minute = sql.MINUTE_SECONDS
        with db:
            db.executemany(sql.INSERT, rows)
            for first in sorted({slot // minute * minute for slot in slots}):
                db.execute(sql.roll_up(), {"since": first, "until": first + minute, "step": minute})
            for table, keep in self._keep.items():
                db.execute(sql.prune(table), {"now": max(slots), "keep": keep})

    def _read(self, db: sqlite3.Connection, query: SeriesQuery) -> Series:
        oldest = {table: _oldest(db, table) for table in self._keep}
        samples, minutes = oldest["samples"], oldest["minutes"]
        if samples is not None and minutes is not None and samples - minutes < sql.MINUTE_SECONDS:
            minutes = samples  # the first minute began before its first sample
        first = min((at for at in (samples, minutes) if at is not None), default=math.inf)
        since = max(query.since_seconds, first)
        now = self._clock.now().timestamp()
        newest = _newest(db, before_seconds=now + self._pace)
        until = min(query.until_seconds, max(now, newest + 1))
        if since >= until:
            return Series(
                node=self._node,
                start_seconds=int(query.since_seconds),
                step_seconds=math.ceil(query.step_seconds or self._pace),
                values=dict.fromkeys(query.fields, ()),
            )
        step = max(self._pace, math.ceil(query.step_seconds or 0), math.ceil((until - since) / query.most_points))
        table = "samples"
        if step >= sql.MINUTE_SECONDS or samples is None or since < samples - sql.MINUTE_SECONDS:
            table, step = "minutes", math.ceil(step / sql.MINUTE_SECONDS) * sql.MINUTE_SECONDS
        start = int(since // step)
        points = math.ceil(until / step) - start
        columns: list[list[float | None]] = [[None] * points for _ in query.fields]
        text = sql.buckets(table, [FIELDS[name] for name in query.fields])
        bounds = {"since": start * step, "until": (start + points) * step, "step": step}
        for bucket, *values in db.execute(text, bounds):
            for column, value in zip(columns, values, strict=True):
                column[bucket - start] = value
        return Series(
            node=self._node,
            start_seconds=start * step,
            step_seconds=step,
            values={name: tuple(column) for name, column in zip(query.fields, columns, strict=True)},
        )


def slot_of(at_seconds: float, before: tuple[int, float] | None, *, pace_seconds: int) -> int:
    """The place of a sample on the grid of the pace, UNIX seconds; `before` is the last one's place and its time.

    A sample that comes a pace after another is put into the next place, even where the clock drifted over the edge of
    one: otherwise a place would now and then be empty, as if a sample were missing.
    """
    if before is not None:
        place, at = before
        following = place + pace_seconds
        on_pace = 0.5 < (at_seconds - at) / pace_seconds < 1.5
        if on_pace and following - pace_seconds / 2 <= at_seconds < following + 1.5 * pace_seconds:
            return following
    return int(at_seconds // pace_seconds) * pace_seconds


def _oldest(db: sqlite3.Connection, table: str) -> int | None:
    (at,) = db.execute(f"SELECT min(at) FROM {table}").fetchone()  # noqa: S608 (names of ours)
    return None if at is None else int(at)


def _newest(db: sqlite3.Connection, *, before_seconds: float) -> int:
    (at,) = db.execute("SELECT max(at) FROM samples WHERE at < ?", (before_seconds,)).fetchone()
    return int(at or 0)
