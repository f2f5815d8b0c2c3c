"""What an agent remembers of its node: /v1/series on loopback. Schema 1.

A field is a column of the history, or `COLUMN.min` / `COLUMN.max` of a gauge. Its unit is in its name.
"""

from __future__ import annotations

import msgspec


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Values on a grid: the one at index i is of the time from start + i * step up to the next, UNIX seconds.

    Of a gauge it is the mean, of a level the highest, of a counter the last. None is a time without a reading: it is
    never 0 and never made up. `step_seconds` may be larger than what was asked for, `start_seconds` later.
    """

    node: str
    start_seconds: int
    step_seconds: int
    values: dict[str, tuple[float | None, ...]]
    schema: int = 1
