"""What pace is usual on this node. Pure.

Learned from windows while the node is well, and from nothing else: a state that is slow never becomes the usual one.
Compared is like with like: one model, one OS, one engine version, as many answers at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fleet.vocabulary.contracts.gateway_admin import PaceRow
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.units import GIB, MIB
from fleet.vocabulary.wired import headroom_bytes

FIRST_WINDOWS = 5
"""So many windows make the first estimate: their median."""
LEAST_TOKENS = 64
"""A window with fewer says nothing of a pace."""
LEARN_FROM_RATIO = 0.8
"""A window that is slower than this is no example of what is usual."""
MOST_LOSS_A_DAY = 0.02
LEAST_OF_BEST = 0.8
"""However many days it takes: what is usual never falls further below what it once was. A new version begins anew."""
_STEP = 0.05
_MOST_SPEED = 1e6
_SHORTEST_SECONDS = 1e-6
_MOST_JUMP = 1.25
_DAY_SECONDS = 86_400
_WELL_HEADROOM_BYTES = 2 * GIB
_WELL_SWAPOUT_BYTES_PER_SECOND = 10 * MIB


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What a pace is usual for. `engine` is the version of the engine, `at_once` the bucket of PaceRow."""

    model: str
    os: str
    engine: str
    at_once: int


class Usual(msgspec.Struct, frozen=True, kw_only=True):
    """The estimate for one key. `first` holds the first windows until there are enough of them."""

    tokens_per_second: float = 0.0
    first_token_seconds: float | None = None
    first: tuple[float, ...] = ()
    best: float = 0.0
    day: int = 0
    day_began_with: float = 0.0
    at_seconds: float = 0.0

    @property
    def speaks(self) -> bool:
        """Whether enough was learned to compare with."""
        return self.tokens_per_second > 0


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """A window against what is usual. `ratio` 1 = as usual; None = nothing to compare with."""

    tokens_per_second: float | None = None
    first_token_seconds: float | None = None
    usual_tokens_per_second: float | None = None
    usual_first_token_seconds: float | None = None
    ratio: float | None = None


def is_well(snapshot: Snapshot) -> bool:
    """Whether the node shows none of the signs that make answers slow. What is unknown is no sign."""
    swapout, headroom = snapshot.swap.swapout_bytes_per_second, headroom_bytes(snapshot.memory)
    return (
        (snapshot.memory.pressure_level or 1) <= 1
        and (snapshot.thermal.pressure_level or 0) < 1
        and (swapout or 0.0) < _WELL_SWAPOUT_BYTES_PER_SECOND
        and (headroom is None or headroom >= _WELL_HEADROOM_BYTES)
    )


def speed_of(row: PaceRow) -> float | None:
    """Tokens a second of one answer; None when there are too few to say so."""
    speed = row.tokens / max(row.seconds, _SHORTEST_SECONDS)
    return speed if row.tokens >= LEAST_TOKENS and row.seconds > 0 and speed <= _MOST_SPEED else None


def learned(before: Usual, row: PaceRow, *, now: float) -> Usual:
    """The estimate after one more window of a node that is well; `now` is Unix time.

    It follows the windows slowly. Downwards it goes 2 % a day at most, and not at all by a window that is slow.
    """
    speed = speed_of(row)
    if speed is None:
        return before
    if not before.speaks:
        first = (*before.first, speed)
        if len(first) < FIRST_WINDOWS:
            return msgspec.structs.replace(before, first=first, at_seconds=now)
        usual = sorted(first)[len(first) // 2]
        return Usual(
            tokens_per_second=usual,
            first_token_seconds=row.first_token_seconds,
            best=usual,
            day=int(now // _DAY_SECONDS),
            day_began_with=usual,
            at_seconds=now,
        )
    usual, day = before.tokens_per_second, int(now // _DAY_SECONDS)
    if speed < usual * LEARN_FROM_RATIO:
        return before
    began_with = before.day_began_with if day <= before.day else usual
    floor = max(began_with * (1 - MOST_LOSS_A_DAY), before.best * LEAST_OF_BEST)
    moved = max(usual + _STEP * (min(speed, usual * _MOST_JUMP) - usual), min(usual, floor))
    return Usual(
        tokens_per_second=moved,
        first_token_seconds=_followed(before.first_token_seconds, row.first_token_seconds),
        best=max(before.best, moved),
        day=max(day, before.day),
        day_began_with=began_with,
        at_seconds=now,
    )


def compared(rows: Iterable[tuple[PaceRow, Usual | None]]) -> Pace:
    """How the rows of a window compare with what is usual for each of them, every one by its tokens.

    Rows that nothing is known of are left out where others are known: both numbers are of the same answers.
    """
    all_rows = [(row, usual) for row, usual in rows if row.tokens > 0 and row.seconds > 0]
    known = [(row, usual) for row, usual in all_rows if usual is not None and usual.speaks]
    enough = sum(row.tokens for row, _ in known) >= LEAST_TOKENS
    counted = known if enough else all_rows
    tokens, seconds = sum(row.tokens for row, _ in counted), sum(row.seconds for row, _ in counted)
    if tokens < LEAST_TOKENS:
        return Pace()
    first_token = _weighted((row.answers, row.first_token_seconds) for row, _ in counted)
    if not enough:
        return Pace(tokens_per_second=tokens / seconds, first_token_seconds=first_token)
    expected = sum(row.tokens / usual.tokens_per_second for row, usual in known)
    return Pace(
        tokens_per_second=tokens / seconds,
        first_token_seconds=first_token,
        usual_tokens_per_second=tokens / expected,
        usual_first_token_seconds=_weighted((row.answers, usual.first_token_seconds) for row, usual in known),
        ratio=expected / seconds,
    )


def newest(usuals: Mapping[Key, Usual], *, most: int) -> dict[Key, Usual]:
    """Those that were learned last."""
    kept = sorted(usuals, key=lambda key: usuals[key].at_seconds, reverse=True)[:most]
    return {key: usuals[key] for key in kept}


def _followed(before: float | None, now: float | None) -> float | None:
    if before is None or now is None:
        return now if before is None else before
    return before + _STEP * (now - before)


def _weighted(values: Iterable[tuple[int, float | None]]) -> float | None:
    """The mean by weight of those that are known."""
    known = [(weight, value) for weight, value in values if value is not None and weight > 0]
    total = sum(weight for weight, _ in known)
    return sum(weight * value for weight, value in known) / total if total else None
