"""Where the rows of a ledger have the names that usage is added up by, as SQL says it. Pure.

The row itself is `t`, its moment `m` (moments.py), and the request of an attempt `r`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from fleet.node.gateway.ledger.moments import STEP_OF_ROW
from fleet.vocabulary.contracts.usage import UsageBy

TIMES = (UsageBy.HOUR, UsageBy.DAY, UsageBy.WEEK, UsageBy.MONTH)
_OF_THE_REQUEST = (UsageBy.ROUTE, UsageBy.SURFACE, UsageBy.REASONING)
_NOTHING = "''"


class Kind(StrEnum):
    """What a row is: an ended request, a sum of old ones, an attempt at an API, a correction of a whole track."""

    REQUEST = "request"
    KEPT = "kept"
    ATTEMPT = "attempt"
    CORRECTION = "correction"


_OF_ALL = (UsageBy.KEY, UsageBy.PERSON, UsageBy.TEAM, UsageBy.APP, UsageBy.TRACK, UsageBy.MODEL, UsageBy.UPSTREAM)
_SHARED = {one: f"t.{one.value}" for one in (*_OF_ALL, UsageBy.TICKET, UsageBy.INCIDENT)}


def _reasoning(row: str) -> str:
    tokens = f"{row}.reasoning_tokens"
    return f"CASE WHEN {tokens} IS NULL THEN '' WHEN {tokens} > 0 THEN 'yes' ELSE 'no' END"


_COLUMNS: dict[Kind, dict[UsageBy, str]] = {
    Kind.REQUEST: {
        **_SHARED,
        UsageBy.ASKED: "t.asked",
        UsageBy.ROUTE: "t.route",
        UsageBy.NODE: "t.node",
        UsageBy.TIER: "CASE WHEN t.node <> '' THEN 'fleet' WHEN t.upstream <> '' THEN 'api' ELSE '' END",
        UsageBy.SURFACE: "t.surface",
        UsageBy.REASONING: _reasoning("t"),
        UsageBy.GRAY: "CASE WHEN t.gray THEN 'yes' ELSE 'no' END",
    },
    Kind.KEPT: {**_SHARED, UsageBy.ASKED: "t.asked"},
    Kind.ATTEMPT: {
        **_SHARED,
        UsageBy.ASKED: "t.route",
        UsageBy.ROUTE: "ifnull(r.route, '')",
        UsageBy.TIER: "'api'",
        UsageBy.SURFACE: "ifnull(r.surface, '')",
        UsageBy.REASONING: _reasoning("r"),
        UsageBy.GRAY: "CASE WHEN t.gray THEN 'yes' ELSE 'no' END",
    },
    Kind.CORRECTION: {UsageBy.TRACK: "t.track"},
}


def column(by: UsageBy, kind: Kind) -> str:
    """The name as an expression; "" for what rows of the kind have none of."""
    return f"m.{by.value}" if by in TIMES else _COLUMNS[kind].get(by, _NOTHING)


def join(by: Sequence[UsageBy], kind: Kind) -> str:
    """What else must be looked at for these names."""
    parts = []
    if kind is Kind.ATTEMPT and any(one in _OF_THE_REQUEST for one in by):
        parts.append("LEFT JOIN request AS r ON r.id = t.request")
    if any(one in TIMES for one in by):
        parts.append(f"JOIN moment AS m ON m.step = {STEP_OF_ROW}")
    return " ".join(parts)
