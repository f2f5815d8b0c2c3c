"""A copy on the laptop of what agents remember: PROJECT/.fleet/series/NODE.db, minutes of a week, about 1 MB a node.

So that a plot is there at once, also of a node that is away. It is a copy: whatever is wrong with a file, it is put
aside and begun anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from fleet.vocabulary.contracts.series import Series
from fleet.vocabulary.names import NodeName

KEPT_SECONDS = 7 * 86400
KEPT_FIELDS = (
    "cpu_ratio",
    "gpu_ratio",
    "memory_wired_bytes",
    "memory_compressed_bytes",
    "wired_headroom_bytes",
    "memory_pressure_level",
    "thermal_pressure_level",
    "swap_used_bytes",
    "swapout_bytes_per_second",
    "disk_free_bytes",
    "services_footprint_bytes",
    "services_down",
    "sidecars_ready",
    "boot_timestamp_seconds",
)
"""What is worth a plot. Others that an agent says are passed over; a field that is new here gets its column."""
_MOST_VALUE = 2.0**63
_WAIT_SECONDS = 1.0

Row = Mapping[str, float]
"""Field -> value; what was not known is not in it."""


class SeriesFiles:
    """A folder of files, one a node. A disk that cannot be written costs only the copy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def last_seconds(self, node: NodeName) -> int | None:
        """The newest time that is kept, by the node's own clock."""
        with suppress(sqlite3.Error, OSError):
            if self._path(node).exists():
                with self._opened(node) as db:
                    found = db.execute("SELECT max(at) FROM minutes").fetchone()[0]
                    return None if found is None else int(found)
        return None

    def add(self, node: NodeName, series: Series) -> None:
        """Keep it. A time that is there already is replaced: a minute that was not over yet."""
        rows = [(at, *(row.get(name) for name in KEPT_FIELDS)) for at, row in rows_of(series)]
        if not rows:
            return
        places = ",".join("?" * len(rows[0]))
        with suppress(sqlite3.Error, OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._opened(node) as db, db:
                db.executemany(f"INSERT OR REPLACE INTO minutes (at, {_NAMES}) VALUES ({places})", rows)  # noqa: S608 (our own names)
                newest = db.execute("SELECT max(at) FROM minutes").fetchone()[0]
                db.execute("DELETE FROM minutes WHERE at < ?", (newest - KEPT_SECONDS,))

    def read(self, node: NodeName, *, since_seconds: float, until_seconds: float) -> Iterator[tuple[int, Row]]:
        """The times from `since` up to `until` with what was known, the oldest first."""
        found: list[tuple[int | float | None, ...]] = []
        with suppress(sqlite3.Error, OSError):
            if self._path(node).exists():
                with self._opened(node) as db:
                    span = (since_seconds, until_seconds)
                    asked = f"SELECT at, {_NAMES} FROM minutes WHERE at >= ? AND at < ? ORDER BY at"  # noqa: S608 (our own names)
                    found = db.execute(asked, span).fetchall()
        for at, *values in found:
            known = zip(KEPT_FIELDS, values, strict=True)
            yield int(at or 0), {name: value for name, value in known if value is not None}

    @contextmanager
    def _opened(self, node: NodeName) -> Iterator[sqlite3.Connection]:
        path = self._path(node)
        try:
            db = _connected(path)
        except sqlite3.OperationalError:  # somebody else writes, or there is no room: the file itself may be well
            raise
        except sqlite3.DatabaseError:
            path.replace(path.with_suffix(".broken"))
            db = _connected(path)
        with closing(db):
            yield db

    def _path(self, node: NodeName) -> Path:
        return self._folder / f"{quote(node, safe='')}.db"


_NAMES = ", ".join(KEPT_FIELDS)


def rows_of(series: Series) -> Iterator[tuple[int, Row]]:
    """The times of a series with what was known then; one of which nothing was known is left out. Pure."""
    step = max(1, series.step_seconds)
    for index in range(max((len(values) for values in series.values.values()), default=0)):
        row = {
            name: float(value)
            for name in KEPT_FIELDS
            if index < len(series.values.get(name, ()))
            and (value := series.values[name][index]) is not None
            and abs(value) < _MOST_VALUE
        }
        if row:
            yield series.start_seconds + index * step, row


def _connected(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_WAIT_SECONDS)
    try:
        db.execute("PRAGMA synchronous = OFF")  # a copy: what a crash breaks is asked for again
        columns = {row[1] for row in db.execute("PRAGMA table_info(minutes)")}
        if not columns:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute(f"CREATE TABLE IF NOT EXISTS minutes (at INTEGER PRIMARY KEY, {_NAMES})")
            return db
        for name in KEPT_FIELDS:
            if name not in columns:
                db.execute(f"ALTER TABLE minutes ADD COLUMN {name}")
    except BaseException:
        db.close()
        raise
    return db
