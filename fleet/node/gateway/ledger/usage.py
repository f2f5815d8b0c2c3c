"""How a front is used, of its ledger's rows alone (contracts/usage.py). Reads only, and counts in SQL: whoever asks
takes no time of those who are being answered.

Requests count when they ended. Money counts as `fleet ledger` counts it (queries.py): when it was reserved, where the
attempt was tried; what only a request's row knows (its surface, where it went) comes from there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fleet.node.gateway.ledger.moments import lay_out_moments
from fleet.node.gateway.ledger.reading import reading
from fleet.node.gateway.ledger.spreads import lay_out_edges, statement_of
from fleet.node.gateway.ledger.usage_names import TIMES, Kind, column, join
from fleet.vocabulary.contracts.ledger import ToolVerdict
from fleet.vocabulary.contracts.usage import Measure, UsageLine, UsageQuery

MOST_LINES = 50_000
_EVER = 2**62

_REQUESTS = {
    "requests": "count(*)",
    "failed": "sum(t.outcome <> 'ok')",
    "broken": "sum(t.outcome IN ('failed', 'truncated'))",
    "untold": "sum(t.outcome = 'ok' AND t.prompt_tokens IS NULL AND t.completion_tokens IS NULL)",
    "gray": "sum(t.gray)",
    "eligible": "sum(t.eligible)",
    "streamed": "sum(t.stream)",
    "prompt_tokens": "ifnull(sum(t.prompt_tokens), 0)",
    "completion_tokens": "ifnull(sum(t.completion_tokens), 0)",
    "cached_tokens": "ifnull(sum(t.cached_tokens), 0)",
    "reasoning_tokens": "ifnull(sum(t.reasoning_tokens), 0)",
    "reasoned": "ifnull(sum(t.reasoning_tokens > 0), 0)",
    "with_tools": "sum(t.tools_offered > 0)",
    "sessions": "count(DISTINCT nullif(t.session, ''))",
    "busy_seconds": "sum(t.seconds)",
}
_KEPT = {
    name: f"sum(t.{name})"
    for name in ("requests", "failed", "untold", "prompt_tokens", "completion_tokens", "cached_tokens")
}
_ATTEMPTS = {
    "spent_pico": "ifnull(sum(s.pico), 0)",
    "reserved_pico": "ifnull(sum(CASE WHEN s.id IS NULL THEN t.pico END), 0)",
}
_COUNTS: tuple[tuple[Kind, Mapping[str, str], str, str], ...] = (
    (Kind.REQUEST, _REQUESTS, "request AS t", "1"),
    (Kind.KEPT, _KEPT, "kept AS t", "1"),
    (Kind.ATTEMPT, _ATTEMPTS, "reservation AS t LEFT JOIN settlement AS s ON s.id = t.id", "1"),
    (Kind.ATTEMPT, {"spent_pico": "sum(a.pico)"}, "adjustment AS a JOIN reservation AS t ON t.id = a.of", "1"),
    (
        *(Kind.CORRECTION, {"spent_pico": "sum(t.pico)"}, "adjustment AS t"),
        "NOT EXISTS (SELECT 1 FROM reservation AS o WHERE o.id = t.of)",
    ),
)
_VERDICTS = "request AS t", "t.tool_verdict IS NOT NULL"


class TooManyLines(Exception):
    """More combinations than anybody reads; the message says so to people."""


def usage(path: Path, query: UsageQuery, *, budget_tz: str = "UTC", most: int = MOST_LINES) -> tuple[UsageLine, ...]:
    """The lines, in the order of their names. Raises sqlite3.Error, TooManyLines."""
    lines: dict[tuple[str, ...], dict[str, Any]] = {}

    def line_of(names: tuple[str, ...]) -> dict[str, Any]:
        if names not in lines and len(lines) >= most:
            raise TooManyLines(f"more than {most:,} lines: ask for fewer names, or for a shorter time")
        return lines.setdefault(names, {"verdicts": {}, "spreads": {}})

    with reading(path) as database:
        asked = _Asked(database, query, budget_tz)
        for kind, counts, table, where in _COUNTS:
            for names, values in asked.rows(kind, tuple(counts.values()), table, where):
                line = line_of(names)
                for name, value in zip(counts, values, strict=True):
                    line[name] = line.get(name, 0) + value
        for names, (verdict, count) in asked.rows(Kind.REQUEST, ("t.tool_verdict", "count(*)"), *_VERDICTS, more=1):
            line_of(names)["verdicts"][ToolVerdict(verdict)] = count
        for measure, names, bucket, count in asked.spreads():
            line_of(names)["spreads"].setdefault(measure, {})[bucket] = count
    return tuple(UsageLine(names=names, **values) for names, values in sorted(lines.items()))


def first_request(path: Path) -> int | None:
    """The time of the first request, or of the month of the first that was let go. Raises sqlite3.Error."""
    with reading(path) as database:
        found: int | None = database.execute(
            "SELECT min(at) FROM (SELECT min(at) AS at FROM request UNION ALL SELECT min(at) FROM kept)"
        ).fetchone()[0]
    return found


class _Asked:
    """A question, put to one state of the ledger."""

    def __init__(self, database: sqlite3.Connection, query: UsageQuery, budget_tz: str) -> None:
        self._database = database
        self._query = query
        self._span = (
            -_EVER if query.since_milliseconds is None else query.since_milliseconds,
            _EVER if query.until_milliseconds is None else query.until_milliseconds,
        )
        if any(one in TIMES for one in query.by):
            lay_out_moments(database, *self._span, zone=ZoneInfo(budget_tz))
        if query.measures:
            lay_out_edges(database)

    def rows(
        self, kind: Kind, values: tuple[str, ...], table: str, where: str, *, more: int = 0
    ) -> Iterator[tuple[tuple[str, ...], tuple[Any, ...]]]:
        """Names and values of each group; the first `more` of the values are names to group by as well."""
        by = self._query.by
        columns = ", ".join((*(column(one, kind) for one in by), *values))
        groups = ", ".join(map(str, range(1, len(by) + more + 1))) or "NULL"
        statement = (
            f"SELECT {columns} FROM {table} {join(by, kind)} "  # noqa: S608 (names of ours)
            f"WHERE {where} AND t.at >= ? AND t.at < ? GROUP BY {groups}"
        )
        for row in self._database.execute(statement, self._span):
            yield row[: len(by)], row[len(by) :]

    def spreads(self) -> Iterator[tuple[Measure, tuple[str, ...], int, int]]:
        """How many requests (of turns: sessions) each bucket of each measure has."""
        by = self._query.by
        for measure in self._query.measures:
            columns = tuple(f"{column(one, Kind.REQUEST)} AS n{at}" for at, one in enumerate(by))
            for row in self._database.execute(statement_of(measure, columns, join(by, Kind.REQUEST)), self._span):
                yield measure, row[: len(by)], row[len(by)], row[len(by) + 1]
