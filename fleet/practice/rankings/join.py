"""Whose rank it is: names of a ranking joined to the ids that requests ask for. Pure.

A permaslug is dated and equals the `canonical_slug` of the model list. A table has only names: those are compared by
letters and digits, without the vendor. What fits two models joins none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from fleet.practice.rankings.ranking import Catalogue, ListedModel, Ranked, Ranking

_DATED = re.compile(r"[-:@]20\d{2}-?\d{2}-?\d{2}$")


@dataclass(frozen=True, kw_only=True)
class Joined:
    """A ranking with the ids that were found, and the models of it that no list has."""

    ranking: Ranking
    unknown: tuple[str, ...]


def join(ranking: Ranking, catalogues: Sequence[Catalogue]) -> Joined:
    """Give each model its id: by the first list that knows it, the nearest first. An id that it has stays."""
    known = [_Index(one) for one in catalogues]
    models = []
    for one in ranking.models:
        found = None if one.id else next((hit for index in known if (hit := index.find(one)) is not None), None)
        models.append(one if found is None else _with(one, found))
    unknown = tuple(one.title for one in models if not one.id) if catalogues else ()
    return Joined(ranking=msgspec.structs.replace(ranking, models=tuple(models)), unknown=unknown)


def plain(name: str, *, vendor: str = "") -> str:
    """What is compared of a name: letters and digits, without its vendor, its date and its variant."""
    head, _, tail = name.rpartition("/")
    _, colon, after = tail.partition(": ")
    bare = after if colon else tail
    bare = bare.split(":", 1)[0]
    bare = _DATED.sub("", bare)
    letters = _letters(bare)
    for one in (vendor, head):
        prefix = _letters(one)
        if prefix and letters.startswith(prefix) and letters != prefix:
            shorter = letters.removeprefix(prefix)
            if any(char.isalpha() for char in shorter):
                return shorter
    return letters


def tail(asked: str) -> str:
    """The part of an id that names the model alone: `deepseek-v4-flash`. Fit for a file name."""
    text = _DATED.sub("", asked.rsplit("/", 1)[-1].lower())
    return re.sub(r"[^a-z0-9.]+", "-", text).strip("-.") or "model"


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _with(one: Ranked, found: ListedModel) -> Ranked:
    vendor, _, name = found.name.partition(": ")
    return msgspec.structs.replace(
        one,
        id=found.id,
        name=one.name or name or found.name,
        vendor=one.vendor or (vendor if name else found.id.partition("/")[0]),
    )


class _Index:
    def __init__(self, catalogue: Catalogue) -> None:
        self._slugs = _grouped((one.slug, one) for one in catalogue.models if one.slug)
        self._ids = _grouped((one.id, one) for one in catalogue.models)
        self._names = _grouped((name, one) for one in catalogue.models for name in _names(one))

    def find(self, one: Ranked) -> ListedModel | None:
        exact = _only(self._slugs.get(one.slug, ())) or _only(self._ids.get(one.slug, ()))
        if exact is not None or "/" in one.slug:
            return exact
        said = one.name or one.slug
        whole = self._names.get(_letters(said), ())
        short = self._names.get(plain(said, vendor=one.vendor), ())
        return _only(whole) or _only(_of_vendor(one.vendor, whole)) or _only(_of_vendor(one.vendor, short))


def _of_vendor(vendor: str, several: Sequence[ListedModel]) -> Sequence[ListedModel]:
    return [one for one in several if _same_vendor(vendor, one)]


def _same_vendor(vendor: str, listed: ListedModel) -> bool:
    ours, theirs = _letters(vendor), _letters(listed.id.partition("/")[0])
    return not ours or ours.startswith(theirs) or theirs.startswith(ours)


def _names(one: ListedModel) -> set[str]:
    bare = one.id.rsplit("/", 1)[-1].split(":", 1)[0]
    return {plain(one.id), _letters(_DATED.sub("", bare)), *([plain(one.name)] if one.name else [])}


def _grouped(pairs: Iterable[tuple[str, ListedModel]]) -> dict[str, list[ListedModel]]:
    found: dict[str, list[ListedModel]] = {}
    for name, one in pairs:
        found.setdefault(name, []).append(one)
    return found


def _only(several: Sequence[ListedModel]) -> ListedModel | None:
    """Of a model and its variants (`:free`) the model; of two models none."""
    if len({one.id.split(":", 1)[0] for one in several}) != 1:
        return None
    return min(several, key=lambda one: (":" in one.id, one.id))
