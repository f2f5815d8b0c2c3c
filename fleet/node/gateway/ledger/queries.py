"""Sums over a ledger by whatever its rows have a name for. Reads only.

Requests that were let go (retention.py) count at the beginning of their month.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fleet.node.gateway.ledger.reading import reading
from fleet.vocabulary.contracts.ledger_admin import LedgerBy, LedgerLine, LedgerQuery

_TIMES = (LedgerBy.DAY, LedgerBy.WEEK, LedgerBy.MONTH)
_STEP_MILLISECONDS = 15 * 60 * 1000
"""Days of every time zone begin with a quarter of an hour."""
_EVER = 2**62

_REQUESTS = """SELECT {names}, {step}, count(*), sum(outcome <> 'ok'),
    sum(outcome = 'ok' AND prompt_tokens IS NULL AND completion_tokens IS NULL),
    ifnull(sum(prompt_tokens), 0), ifnull(sum(completion_tokens), 0), ifnull(sum(cached_tokens), 0), 0, 0, 0
    FROM request AS t WHERE t.at >= ? AND t.at < ? GROUP BY {groups}"""
_KEPT = """SELECT {names}, {step}, sum(requests), sum(failed), sum(untold),
    sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), 0, 0, 0
    FROM kept AS t WHERE t.at >= ? AND t.at < ? GROUP BY {groups}"""
_ATTEMPTS = """SELECT {names}, {step}, 0, 0, 0, 0, 0, 0, count(*), ifnull(sum(s.pico), 0),
    ifnull(sum(CASE WHEN s.id IS NULL THEN t.pico END), 0)
    FROM reservation AS t LEFT JOIN settlement AS s ON s.id = t.id WHERE t.at >= ? AND t.at < ? GROUP BY {groups}"""
_CORRECTED = """SELECT {names}, {step}, 0, 0, 0, 0, 0, 0, 0, sum(a.pico), 0
    FROM adjustment AS a JOIN reservation AS t ON t.id = a.of WHERE t.at >= ? AND t.at < ? GROUP BY {groups}"""
_OF_TRACKS = """SELECT {names}, {step}, 0, 0, 0, 0, 0, 0, 0, sum(t.pico), 0
    FROM adjustment AS t WHERE NOT EXISTS (SELECT 1 FROM reservation AS r WHERE r.id = t.of)
    AND t.at >= ? AND t.at < ? GROUP BY {groups}"""


def summed(path: Path, query: LedgerQuery, *, budget_tz: str = "UTC") -> tuple[LedgerLine, ...]:
    """The lines, in the order of their names. Raises sqlite3.Error."""
    names_of = _times(query.by, ZoneInfo(budget_tz))
    sums: dict[tuple[str, ...], list[int]] = {}
    with reading(path) as database:
        for values in _found(database, query):
            names = names_of(values)
            numbers = values[len(query.by) + 1 :]
            known = sums.setdefault(names, [0] * len(numbers))
            for at, number in enumerate(numbers):
                known[at] += number
    return tuple(_line(names, numbers) for names, numbers in sorted(sums.items()))


def oldest(path: Path) -> int | None:
    """The time of the first row of any request or attempt. Raises sqlite3.Error."""
    with reading(path) as database:
        found: int | None = database.execute(
            "SELECT min(at) FROM (SELECT min(at) AS at FROM request UNION ALL SELECT min(at) FROM reservation)"
        ).fetchone()[0]
    return found


def newest(path: Path) -> int | None:
    """The time of the last row of any request or attempt. Raises sqlite3.Error."""
    with reading(path) as database:
        found: int | None = database.execute(
            "SELECT max(at) FROM (SELECT max(at) AS at FROM request UNION ALL SELECT max(at) FROM reservation)"
        ).fetchone()[0]
    return found


def tickets_before(path: Path, milliseconds: int) -> dict[str, int]:
    """What each ticket spent, or holds, by attempts of before then, pico-dollars. Raises sqlite3.Error."""
    with reading(path) as database:
        found = database.execute(
            "SELECT t.ticket, sum(ifnull(s.pico, t.pico)) FROM reservation AS t "
            "LEFT JOIN settlement AS s ON s.id = t.id WHERE t.ticket <> '' AND t.at < ? GROUP BY t.ticket",
            (milliseconds,),
        ).fetchall()
        corrected = database.execute(
            "SELECT t.ticket, sum(a.pico) FROM adjustment AS a JOIN reservation AS t ON t.id = a.of "
            "WHERE t.ticket <> '' AND t.at < ? GROUP BY t.ticket",
            (milliseconds,),
        ).fetchall()
    sums = dict(found)
    for ticket, pico in corrected:
        sums[ticket] = sums.get(ticket, 0) + pico
    return sums


def _found(database: sqlite3.Connection, query: LedgerQuery) -> Iterator[tuple[Any, ...]]:
    since = -_EVER if query.since_milliseconds is None else query.since_milliseconds
    until = _EVER if query.until_milliseconds is None else query.until_milliseconds
    timed = any(one in _TIMES for one in query.by)
    step = f"(t.at - ((t.at % {_STEP_MILLISECONDS}) + {_STEP_MILLISECONDS}) % {_STEP_MILLISECONDS})" if timed else "0"
    for statement, kind in (
        *((_REQUESTS, "request"), (_KEPT, "request")),
        *((_ATTEMPTS, ""), (_CORRECTED, ""), (_OF_TRACKS, "track")),
    ):
        names = ", ".join(_column(by, kind) for by in query.by)
        groups = ", ".join(str(at + 1) for at in range(len(query.by) + 1))
        yield from database.execute(statement.format(names=names, step=step, groups=groups), (since, until))


def _column(by: LedgerBy, kind: str) -> str:
    """Where a row has a name; "" for what it has none of. A request's route is the one that was asked for."""
    if by in _TIMES or (kind == "track" and by is not LedgerBy.TRACK):
        return "''"
    return "t.asked" if kind == "request" and by is LedgerBy.ROUTE else f"t.{by.value}"


def _times(by: tuple[LedgerBy, ...], zone: ZoneInfo) -> Callable[[tuple[Any, ...]], tuple[str, ...]]:
    """What a row is called: its columns, and the day, week or month of its quarter of an hour."""
    known: dict[int, dict[LedgerBy, str]] = {}

    def names_of(values: tuple[Any, ...]) -> tuple[str, ...]:
        step = int(values[len(by)])
        if step not in known:
            known[step] = _names_of_time(step, zone)
        return tuple(known[step][one] if one in _TIMES else str(values[at]) for at, one in enumerate(by))

    return names_of


def _names_of_time(milliseconds: int, zone: ZoneInfo) -> dict[LedgerBy, str]:
    utc = datetime.fromtimestamp(milliseconds / 1000, UTC)
    local = utc.astimezone(zone)
    year, week, _ = utc.isocalendar()
    return {
        LedgerBy.DAY: f"{local:%Y-%m-%d}",
        LedgerBy.WEEK: f"{year:04d}-W{week:02d}",
        LedgerBy.MONTH: f"{local:%Y-%m}",
    }


def _line(names: tuple[str, ...], numbers: list[int]) -> LedgerLine:
    requests, failed, untold, prompt, completion, cached, attempts, spent, reserved = numbers
    return LedgerLine(
        names=names,
        requests=requests,
        failed=failed,
        untold=untold,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        attempts=attempts,
        spent_pico=spent,
        reserved_pico=reserved,
    )
