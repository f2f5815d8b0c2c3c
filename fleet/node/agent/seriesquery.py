"""`/v1/series?since=UNIX&until=UNIX&step=SECONDS&fields=a,b` as a value. Pure and total: anything odd is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from fleet.node.agent.columns import FIELDS
from fleet.node.agent.request import Refusal

MOST_VALUES = 20_000
"""Of one answer: some 300 kB."""
_DEFAULT_SECONDS = 3600.0
_LATEST_SECONDS = 1e11
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)
_KEYS = ("since", "until", "step", "fields")


@dataclass(frozen=True, kw_only=True)
class SeriesQuery:
    """What is asked for. `step_seconds` None = as fine as it goes."""

    since_seconds: float
    until_seconds: float
    step_seconds: float | None
    fields: tuple[str, ...]

    @property
    def most_points(self) -> int:
        """How many there may be of each field."""
        return MOST_VALUES // max(1, len(self.fields))


def parse_series_query(text: str, *, now_seconds: float) -> SeriesQuery | Refusal:
    """The query in `text`; without `since` the last hour, without `fields` all columns."""
    given: dict[str, str] = {}
    for part in text.split("&") if text else ():
        key, _, value = part.partition("=")
        if key not in _KEYS:
            return _bad(f"there is no parameter {key[:40]!r}: one of {', '.join(_KEYS)}")
        if key in given:
            return _bad(f"{key} is there twice")
        given[key] = unquote(value, errors="replace")
    numbers: dict[str, float] = {}
    for key in ("since", "until", "step"):
        number = given.get(key, "")
        if number and (not _NUMBER.fullmatch(number) or float(number) > _LATEST_SECONDS):
            return _bad(f"{key} is not a number of seconds: {number[:40]!r}")
        if number:
            numbers[key] = float(number)
    until = numbers.get("until", now_seconds)
    since = numbers.get("since", until - _DEFAULT_SECONDS)
    if since >= until:
        return _bad("since is not before until")
    if numbers.get("step") == 0:
        return _bad("step is 0")
    fields = tuple(dict.fromkeys(name for name in given.get("fields", "").split(",") if name))
    for name in fields:
        if name not in FIELDS:
            return _bad(f"there is no field {name[:40]!r}: some of {', '.join(FIELDS)}")
    return SeriesQuery(
        since_seconds=since,
        until_seconds=until,
        step_seconds=numbers.get("step"),
        fields=fields or tuple(name for name in FIELDS if "." not in name),
    )


def _bad(text: str) -> Refusal:
    return Refusal(status=400, text=text)
