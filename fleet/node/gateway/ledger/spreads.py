"""Spreads of what a ledger measured, in the buckets of vocabulary/quantiles.py, counted by SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from fleet.vocabulary.contracts.usage import Measure
from fleet.vocabulary.quantiles import NOTHING, RATIO, bucket_of

_LEAST, _MOST = 1e-6, 1e12
_WHERE = "t.at >= ? AND t.at < ?"


def lay_out_edges(database: sqlite3.Connection) -> None:
    """A temporary table `edge`: the largest value of each bucket that a measure may fall into. Raises sqlite3.Error."""
    database.execute("CREATE TEMP TABLE edge (upper REAL PRIMARY KEY, bucket INTEGER NOT NULL) WITHOUT ROWID")
    buckets = range(bucket_of(_LEAST), bucket_of(_MOST) + 1)
    database.executemany("INSERT INTO edge VALUES (?, ?)", ((RATIO ** (one + 1e-9), one) for one in buckets))


def statement_of(measure: Measure, columns: Sequence[str], join: str) -> str:
    """The names, a bucket, how many there are. `columns` are the names, called n0, n1, ...; two values: the span."""
    names = "".join(f"n{at}, " for at in range(len(columns)))
    if measure is Measure.TURNS:
        grouped = ", ".join((*(str(at + 1) for at in range(len(columns))), "t.session"))
        values = (
            f"SELECT {', '.join((*columns, 'count(*) AS value'))} FROM request AS t {join} "  # noqa: S608 (names of ours)
            f"WHERE t.session <> '' AND {_WHERE} GROUP BY {grouped}"
        )
    else:
        values = (
            f"SELECT {', '.join((*columns, f't.{measure.value} AS value'))} FROM request AS t {join} "  # noqa: S608 (names of ours)
            f"WHERE t.{measure.value} IS NOT NULL AND {_WHERE}"
        )
    groups = ", ".join(str(at + 1) for at in range(len(columns) + 1))
    return f"SELECT {names}{_BUCKET} AS bucket, count(*) FROM ({values}) GROUP BY {groups}"  # noqa: S608 (names of ours)


_BUCKET = f"""CASE WHEN value <= 0 THEN {NOTHING} ELSE ifnull(
    (SELECT edge.bucket FROM edge WHERE edge.upper >= value ORDER BY edge.upper LIMIT 1), {bucket_of(_MOST)}) END"""  # noqa: S608 (numbers of ours)
