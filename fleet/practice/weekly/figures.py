"""A figure: a value with its unit, the same of the week before, and the question whose answer it is. Pure.

No figure is without its question: whoever doubts one asks again (recheck.py) and must get the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from fleet.vocabulary.contracts.policy_admin import BudgetKind
from fleet.vocabulary.contracts.usage import UsageQuery

Value: TypeAlias = int | float | str | None
"""Counts are int, times and shares float, amounts exact decimal text in USD, words text. None = nobody knows."""


class Unit(StrEnum):
    """What a value is counted in. `ratio` is a share from 0 on; `word` is one of a closed set."""

    USD = "usd"
    TOKENS = "tokens"
    REQUESTS = "requests"
    CALLS = "calls"
    SECONDS = "seconds"
    RATIO = "ratio"
    USD_PER_MILLION = "usd_per_million_tokens"
    COUNT = "count"
    RANK = "rank"
    WORD = "word"


class Read(StrEnum):
    """What is read from the lines of usage that are meant, added up.

    `calls` are scored tool calls, `failure_*` the share of them that failed with its 95 % interval (Wilson);
    `*_part` is the part of these lines in all lines of the same answer.
    """

    REQUESTS = "requests"
    FAILED = "failed"
    PROMPT_TOKENS = "prompt_tokens"
    COMPLETION_TOKENS = "completion_tokens"
    TOKENS = "tokens"
    SPENT = "spent"
    USD_PER_MILLION = "usd_per_million"
    TOKENS_PART = "tokens_part"
    SPENT_PART = "spent_part"
    GRAY = "gray"
    GRAY_PART = "gray_part"
    ELIGIBLE = "eligible"
    CALLS = "calls"
    FAILURES = "failures"
    FAILURE_RATIO = "failure_ratio"
    FAILURE_LOW = "failure_low"
    FAILURE_HIGH = "failure_high"
    P50_SECONDS = "p50_seconds"
    P95_SECONDS = "p95_seconds"
    P50_FIRST_TOKEN = "p50_first_token"
    P95_FIRST_TOKEN = "p95_first_token"
    P95_TOOL_CALL = "p95_tool_call"


class BudgetRead(StrEnum):
    """What is read from a line of the month, all fronts together. `month_end*`: where it will be when it ends."""

    SPENT = "spent"
    HELD = "held"
    CAP = "cap"
    USED_PART = "used_part"
    MONTH_END = "month_end"
    MONTH_END_LOW = "month_end_low"
    MONTH_END_HIGH = "month_end_high"
    DAY = "day"
    ALLOTMENT = "allotment"
    STATE = "state"


class GrayRead(StrEnum):
    """What is read of a gray route, all fronts together: as it is now."""

    STATE = "state"
    SHARE_CAP = "share_cap"
    REQUESTS = "requests"
    GRAY = "gray"
    OBSERVED = "observed"
    ELIGIBLE = "eligible"


class UsageAsked(msgspec.Struct, frozen=True, kw_only=True, tag_field="door", tag="usage"):
    """POST /admin/usage at every front. `lines`: those with one of these names, in the order of `by`; None = all."""

    query: UsageQuery
    read: Read
    lines: tuple[tuple[str, ...], ...] | None = None


class BudgetAsked(msgspec.Struct, frozen=True, kw_only=True, tag_field="door", tag="budget"):
    """GET /admin/budget at every front. `day` for what one day of the month cost, `week` for an allotment."""

    kind: BudgetKind
    name: str
    read: BudgetRead
    day: int | None = None
    week: str | None = None


class GrayAsked(msgspec.Struct, frozen=True, kw_only=True, tag_field="door", tag="gray"):
    """GET /admin/gray at every front."""

    route: str
    read: GrayRead


class FileAsked(msgspec.Struct, frozen=True, kw_only=True, tag_field="door", tag="file"):
    """A file of the project that the figure was read from, and where in it."""

    file: str
    where: str


Asked: TypeAlias = UsageAsked | BudgetAsked | GrayAsked | FileAsked


class Better(StrEnum):
    """Which way is good news."""

    LESS = "less"
    MORE = "more"
    NEITHER = "neither"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is the same every week. `before`: of the week before; None with `asked_before` = there is no comparison."""

    id: str
    label: str
    unit: Unit
    value: Value
    asked: Asked
    before: Value = None
    asked_before: Asked | None = None
    better: Better = Better.NEITHER
    note: str = ""


def number(value: Value) -> float | None:
    """For a picture: amounts as well. None for words and what is unknown."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return None if value is None else float(value)


def change(figure: Figure) -> float | None:
    """How much more than the week before, as a share of it. None where that says nothing."""
    now, before = number(figure.value), number(figure.before)
    return (now - before) / before if now is not None and before else None
