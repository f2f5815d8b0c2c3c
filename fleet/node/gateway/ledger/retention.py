"""Old rows of requests become sums of their month. Money is never let go: reservations, settlements and notes stay."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_NAMES = "key, person, team, app, asked, track, upstream, model, ticket, incident"
_COUNTS = "requests, failed, untold, prompt_tokens, completion_tokens, cached_tokens"
_OLD = "SELECT seq, at FROM request WHERE at < ? ORDER BY at LIMIT ?"
_SUM = f"""INSERT INTO kept (at, {_NAMES}, {_COUNTS})
    SELECT :month, {_NAMES}, count(*), sum(outcome <> 'ok'),
        sum(outcome = 'ok' AND prompt_tokens IS NULL AND completion_tokens IS NULL),
        ifnull(sum(prompt_tokens), 0), ifnull(sum(completion_tokens), 0), ifnull(sum(cached_tokens), 0)
    FROM request WHERE at >= :since AND at <= :until GROUP BY {_NAMES}
    ON CONFLICT DO UPDATE SET {", ".join(f"{one} = {one} + excluded.{one}" for one in _COUNTS.split(", "))}"""  # noqa: S608 (names of ours)
_DELETE = "DELETE FROM request WHERE at >= :since AND at <= :until"


@dataclass(frozen=True)
class Keep:
    """How long single requests are kept: whole months of `budget_tz`, the current one beside."""

    months: int
    budget_tz: str = "UTC"

    def before(self, now: datetime) -> int:
        """What is older is let go, milliseconds of UTC."""
        local = now.astimezone(ZoneInfo(self.budget_tz))
        return _beginning(local.year * 12 + local.month - 1 - self.months, local.tzinfo)

    def month(self, milliseconds: int) -> int:
        """When the month of an instant began."""
        local = datetime.fromtimestamp(milliseconds / 1000, ZoneInfo(self.budget_tz))
        return _beginning(local.year * 12 + local.month - 1, local.tzinfo)


def let_go(database: sqlite3.Connection, before: int, month_of: Callable[[int], int], *, most: int = 500) -> int:
    """Turn at most about `most` of the oldest requests from before an instant into sums, in one transaction.

    How many rows went; 0 = there are none left. All rows of one moment go together. Raises sqlite3.Error.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        old = database.execute(_OLD, (before, most)).fetchall()
        gone = 0
        if old:
            month = month_of(old[0][1])
            until = max(at for _, at in old if month_of(at) == month)
            span = {"month": month, "since": old[0][1], "until": until}
            database.execute(_SUM, span)
            gone = database.execute(_DELETE, span).rowcount
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    return gone


def _beginning(months: int, zone: object) -> int:
    year, month = divmod(months, 12)
    begins = datetime(year, month + 1, 1, tzinfo=zone)  # type: ignore[arg-type]
    return int(begins.astimezone(UTC).timestamp() * 1000)
