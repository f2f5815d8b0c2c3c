"""The calendar of a ledger: what the hours, days, weeks and months of its rows are called, as a table beside it.

Days and months are those of the policy's time zone, hours and ISO weeks those of UTC. Days of every time zone begin
with a quarter of an hour.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_STEP_MILLISECONDS = 15 * 60 * 1000
STEP_OF_ROW = f"(t.at - ((t.at % {_STEP_MILLISECONDS}) + {_STEP_MILLISECONDS}) % {_STEP_MILLISECONDS})"
"""The quarter of an hour of a row `t`."""

_TABLE = "CREATE TEMP TABLE moment (step INTEGER PRIMARY KEY, hour TEXT, day TEXT, week TEXT, month TEXT)"
_STEPS = " UNION ".join(
    f"SELECT {STEP_OF_ROW} FROM {table} AS t WHERE t.at >= :since AND t.at < :until"  # noqa: S608 (names of ours)
    for table in ("request", "kept", "reservation", "adjustment")
)


def lay_out_moments(database: sqlite3.Connection, since: int, until: int, *, zone: ZoneInfo) -> None:
    """A temporary table `moment` with every quarter of an hour that has rows. Raises sqlite3.Error."""
    database.execute(_TABLE)
    steps = database.execute(_STEPS, {"since": since, "until": until}).fetchall()
    database.executemany("INSERT INTO moment VALUES (?, ?, ?, ?, ?)", ((step, *names(step, zone)) for (step,) in steps))


def names(milliseconds: int, zone: ZoneInfo) -> tuple[str, str, str, str]:
    """Its hour, day, week and month: `2026-11-22T14`, `2026-11-22`, `2026-W47`, `2026-11`."""
    utc = datetime.fromtimestamp(milliseconds / 1000, UTC)
    local = utc.astimezone(zone)
    year, week, _ = utc.isocalendar()
    return f"{utc:%Y-%m-%dT%H}", f"{local:%Y-%m-%d}", f"{year:04d}-W{week:02d}", f"{local:%Y-%m}"
