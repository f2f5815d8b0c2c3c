"""The SQL of the history. Pure: texts from names that are ours, never from a request.

Two tables of wide rows, `at` in UNIX seconds as their key: `samples`, and `minutes` with a mean, a least and a most of
every gauge and the number of samples behind them.
"""

from __future__ import annotations

from collections.abc import Sequence

from fleet.node.agent.columns import COLUMNS, FIELDS, Field, Kind

MINUTE_SECONDS = 60
SAMPLE_COLUMNS = tuple(column.name for column in COLUMNS)
MINUTE_COLUMNS = ("n", *(name.replace(".", "_") for name in FIELDS))
TABLES = (("samples", SAMPLE_COLUMNS), ("minutes", MINUTE_COLUMNS))

INSERT = (
    f"INSERT OR REPLACE INTO samples (at, {', '.join(SAMPLE_COLUMNS)}) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"  # noqa: S608 (names of ours)
)


def create(table: str, columns: Sequence[str]) -> str:
    """A table of these columns. They have no type: what is put in is what comes out."""
    return f"CREATE TABLE IF NOT EXISTS {table} (at INTEGER PRIMARY KEY, {', '.join(columns)})"


def add_column(table: str, column: str) -> str:
    """One column more."""
    return f"ALTER TABLE {table} ADD COLUMN {column}"


def prune(table: str) -> str:
    """Keep the newest `keep` rows. Those of the future (the clock was wrong) are not counted, and bounded alike."""
    return (
        f"DELETE FROM {table} WHERE at <= "  # noqa: S608 (names of ours)
        f"(SELECT at FROM {table} WHERE at <= :now ORDER BY at DESC LIMIT 1 OFFSET :keep)"
    )


def shed(table: str) -> str:
    """Let go of the oldest tenth."""
    return (
        f"DELETE FROM {table} WHERE at <= "  # noqa: S608 (names of ours)
        f"(SELECT at FROM {table} ORDER BY at LIMIT 1 OFFSET (SELECT count(*) / 10 FROM {table}))"
    )


def buckets(table: str, fields: Sequence[Field], *, counted: bool = False) -> str:
    """One row per `:step` seconds that hold readings, from `:since` up to `:until`: the bucket's number, the fields."""
    means = ["count(*) AS n"] if counted else []
    shown = ["n"] if counted else []
    for index, field in enumerate(fields):
        if field.kind is Kind.COUNTER:
            shown.append(f"(SELECT {field.column} FROM {table} WHERE at = latest)")  # noqa: S608 (names of ours)
        else:
            means.append(f"{_value(table, field)} AS v{index}")
            shown.append(f"v{index}")
    inner = (
        f"SELECT at / :step AS bucket, {', '.join(['max(at) AS latest', *means])} FROM {table} "  # noqa: S608 (names of ours)
        "WHERE at >= :since AND at < :until GROUP BY bucket"
    )
    return f"SELECT {', '.join(['bucket', *shown])} FROM ({inner})"  # noqa: S608 (names of ours)


def roll_up() -> str:
    """Make minutes of the samples from `:since` up to `:until`, anew where they are there."""
    inner = buckets("samples", tuple(FIELDS.values()), counted=True)
    names = ", ".join(("at", *MINUTE_COLUMNS))
    return f"INSERT OR REPLACE INTO minutes ({names}) SELECT bucket * :step, {inner.removeprefix('SELECT bucket, ')}"


def _value(table: str, field: Field) -> str:
    column = field.column
    if field.kind is Kind.LEVEL:
        return f"max({column})"
    if table == "samples":
        return {"mean": f"avg({column})", "min": f"min({column})", "max": f"max({column})"}[field.part]
    if field.part == "mean":
        return f"sum({column} * n) / sum(CASE WHEN {column} IS NOT NULL THEN n + 0.0 END)"
    return f"{field.part}({column}_{field.part})"
