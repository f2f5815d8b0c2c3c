"""`rankings/` of a project: one file per ISO week, written once. A model list of that week lies beside it.

    rankings/2026-W21.json          the ranking
    rankings/2026-W21.models.json   prices and ids as they were when the week was archived

A file has a line for every model, so that git shows what differs.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from fleet.errors import FleetError
from fleet.practice.rankings.ranking import Catalogue, Ranked, Ranking
from fleet.practice.rankings.week import NotAWeek, Week
from fleet.practice.written import read_written

FOLDER = "rankings"
_MODELS = ".models.json"


class Kept(StrEnum):
    """What became of a week that was to be archived."""

    NEW = "new"
    SAME = "same"


class WeekTaken(FleetError):
    """The week is archived already, and otherwise. `differences` are sentences, the largest first."""

    code = "week_taken"

    def __init__(self, week: str, path: Path, differences: tuple[str, ...]) -> None:
        shown = "\n".join(differences[:5]) + (f"\nand {len(differences) - 5} more" if len(differences) > 5 else "")
        super().__init__(
            f"{week} is archived already, and says something else",
            detail=shown,
            hint=f"an archived week is never rewritten; if {path.name} is wrong, move it away and import again",
        )
        self.differences = differences


def read_week(folder: Path, week: Week) -> Ranking | None:
    """The ranking of a week; None when it is not archived. Raises ConfigError for a file that is none."""
    return read_written(folder / f"{week}.json", Ranking)


def read_models(folder: Path, week: Week) -> Catalogue | None:
    """The list of models that was read when the week was archived. Raises ConfigError."""
    return read_written(folder / f"{week}{_MODELS}", Catalogue)


def weeks_in(folder: Path) -> tuple[Week, ...]:
    """The archived weeks, oldest first."""
    return _weeks(folder, ".json")


def model_lists(folder: Path, *, near: Week) -> tuple[Catalogue, ...]:
    """All archived lists of models, the nearest to a week first: an id that is gone now is found in an older one."""
    weeks = sorted(_weeks(folder, _MODELS), key=lambda one: (abs((one.monday - near.monday).days), one < near))
    found = (read_models(folder, week) for week in weeks)
    return tuple(one for one in found if one is not None)


def keep_week(folder: Path, ranking: Ranking) -> Kept:
    """Archive a week. Another moment (`as_of`) of the same figures is the same. Raises WeekTaken, ConfigError."""
    week = Week.named(ranking.week)
    path = folder / f"{week}.json"
    if _create(path, _encoded(ranking)):
        return Kept.NEW
    there = read_week(folder, week)
    found = ("it cannot be compared",) if there is None else differences(there, ranking)
    if found:
        raise WeekTaken(ranking.week, path, found)
    return Kept.SAME


def keep_models(folder: Path, week: Week, catalogue: Catalogue) -> Kept:
    """Archive the list of models of a week; the first reading stays."""
    return Kept.NEW if _create(folder / f"{week}{_MODELS}", _encoded(catalogue)) else Kept.SAME


def differences(old: Ranking, new: Ranking) -> tuple[str, ...]:
    """What two rankings of one week say differently, as sentences. Ids that were joined later are no difference."""
    before = {one.slug: one for one in old.models}
    after = {one.slug: one for one in new.models}
    found = []
    for slug in sorted(before.keys() | after.keys(), key=lambda one: _rank_of(before.get(one) or after[one])):
        one, other = before.get(slug), after.get(slug)
        if one is None or other is None:
            found.append(f"{slug}: only {'in the archive' if other is None else 'in the new one'}")
        elif _figures(one) != _figures(other):
            found.append(f"{slug}: {_told(one)} in the archive, {_told(other)} in the new one")
    if None not in (old.total_tokens, new.total_tokens) and old.total_tokens != new.total_tokens:
        found.append(f"in all: {old.total_tokens:,} tokens in the archive, {new.total_tokens:,} in the new one")
    return tuple(found)


def _figures(one: Ranked) -> tuple[object, ...]:
    return one.rank, one.tokens, one.printed


def _rank_of(one: Ranked) -> int:
    return one.rank


def _told(one: Ranked) -> str:
    tokens = "no tokens" if one.tokens is None else f"{one.tokens:,} tokens"
    printed = "" if one.printed is None else f", {one.printed:+} %"
    return f"rank {one.rank}, {tokens}{printed}"


def _weeks(folder: Path, ending: str) -> tuple[Week, ...]:
    found = []
    for path in folder.glob(f"*{ending}") if folder.is_dir() else ():
        try:
            found.append(Week.named(path.name.removesuffix(ending)))
        except NotAWeek:
            continue
    return tuple(sorted(found))


def _encoded(value: Ranking | Catalogue) -> bytes:
    """JSON with a line for every model."""
    built: dict[str, Any] = msgspec.to_builtins(value)
    models: Sequence[Any] = built.pop("models")
    head = msgspec.json.format(msgspec.json.encode(built), indent=1)[:-2]
    rows = b",\n".join(b"  " + msgspec.json.encode(one) for one in models)
    return head + b',\n "models": [\n' + rows + b"\n ]\n}\n"


def _create(path: Path, content: bytes) -> bool:
    """Write a file that is not there yet, whole or not at all. False: somebody was first."""
    if path.exists():  # also where nothing can be written any more
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            os.link(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except FileExistsError:
        return False
    except OSError as problem:
        raise FleetError(f"{path} cannot be written: {problem.strerror or problem}") from None
    return True
