"""What may be thrown away: pure. Nothing that a kept release or a run under way refers to is ever named."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from fleet.vocabulary.contracts.desired import Keep

_DAY_SECONDS = 86400.0
_PART_DAYS = 7.0
PULLED_DAYS = 7.0
"""Weights that were brought ahead of a deploy are spared for so long."""
_KEPT_OF = {"run": 20, "sync": 3, "mark": 20}
"""Of these the newest stay."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A release on the node. `refers` are the paths that it stands on, None when the record cannot be read.

    `sizes` are those of its trees. `saved_at_seconds` is when it was staged last.
    """

    state_id: str
    path: str
    saved_at_seconds: float
    bad: bool = False
    refers: frozenset[str] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something that fleet put there.

    `kind`: tree, content, blob, run, sync, mark, pulled, or rubbish (half-removed).
    """

    path: str
    kind: str
    changed_at_seconds: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """All that could go. `under_way` are states, `in_use` paths that stay whatever the records say."""

    records: tuple[Record, ...] = ()
    entries: tuple[Entry, ...] = ()
    current: str | None = None
    under_way: frozenset[str] = frozenset()
    in_use: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """State ids of the kept releases, the live one first; what goes, by path, with the reason."""

    kept: tuple[str, ...] = ()
    doomed: Mapping[str, str] = field(default_factory=dict)


def decide(found: Found, now_seconds: float, keep: Keep) -> Verdict:
    """What stays and what goes. The live release, the best one before it and a run's always stay.

    A failed release is worth less than any that worked. While a kept record cannot be read, nobody knows what it
    stands on: then only what counts or ages by itself goes.
    """
    kept: list[Record] = []
    doomed: dict[str, str] = {}
    for record in sorted(found.records, key=lambda one: _worth(one, found), reverse=True):
        sure = record.state_id in found.under_way or record.state_id == found.current
        if why := "" if sure else _why_record(record, kept, found, now_seconds, keep):
            doomed[record.path] = why
        else:
            kept.append(record)
    referred = {path for record in kept for path in record.refers or ()}
    readable = all(record.refers is not None for record in kept)
    for entry, why in _by_themselves(found.entries, now_seconds):
        doomed[entry.path] = why
    if readable:
        orphans = (entry for entry in found.entries if entry.kind in ("tree", "content"))
        doomed |= {entry.path: "no kept release refers to it" for entry in orphans if entry.path not in referred}
    stays = found.in_use | referred
    return Verdict(
        kept=tuple(record.state_id for record in kept),
        doomed={path: why for path, why in doomed.items() if path not in stays},
    )


def _worth(record: Record, found: Found) -> tuple[bool, bool, bool, float, str]:
    live, busy = record.state_id == found.current, record.state_id in found.under_way
    return live, busy, not record.bad, record.saved_at_seconds, record.state_id


def _why_record(record: Record, kept: Collection[Record], found: Found, now_seconds: float, keep: Keep) -> str:
    """Why a release goes; empty = it stays. The first one behind the live one is what a revert goes back to."""
    before = [one for one in kept if one.state_id != found.current and one.state_id not in found.under_way]
    if not before:
        return ""
    if keep.releases and len(kept) >= max(2, keep.releases):
        return f"the last {max(2, keep.releases)} releases are kept"
    if keep.days and now_seconds - record.saved_at_seconds > keep.days * _DAY_SECONDS:
        return f"it was deployed more than {keep.days:g} days ago"
    if keep.bytes_limit and _bytes([*kept, record]) > keep.bytes_limit:
        return f"the kept releases would take more than {keep.bytes_limit / 1e9:g} GB"
    return ""


def _bytes(records: Collection[Record]) -> int:
    """What their trees take together; what two share counts once."""
    sizes: dict[str, int] = {}
    for record in records:
        sizes |= record.sizes
    return sum(sizes.values())


def _by_themselves(entries: Collection[Entry], now_seconds: float) -> Iterator[tuple[Entry, str]]:
    """What goes by its kind, age or number alone."""
    for entry in entries:
        if entry.kind == "rubbish":
            yield entry, "its removal was cut off"
        elif entry.kind == "pulled" and now_seconds - entry.changed_at_seconds > PULLED_DAYS * _DAY_SECONDS:
            yield entry, f"the pull was more than {PULLED_DAYS:g} days ago"
        elif entry.kind == "blob" and now_seconds - entry.changed_at_seconds > _PART_DAYS * _DAY_SECONDS:
            yield entry, f"it arrived more than {_PART_DAYS:g} days ago and was never used"
    for kind, count in _KEPT_OF.items():
        same = [entry for entry in entries if entry.kind == kind]
        for entry in sorted(same, key=lambda one: (one.changed_at_seconds, one.path), reverse=True)[count:]:
            yield entry, f"the last {count} are kept"
