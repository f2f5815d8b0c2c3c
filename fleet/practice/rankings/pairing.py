"""One model in two weeks. Pure.

First by the source's own name, then by id, then by letters and digits: a week from a table meets one from the API.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from fleet.practice.rankings.amounts import change
from fleet.practice.rankings.finding import Subject, WowFrom
from fleet.practice.rankings.join import plain, tail
from fleet.practice.rankings.ours import OurModel, Ours
from fleet.practice.rankings.ranking import TOP, Ranked, Ranking

_PERCENT = 100


@dataclass(frozen=True, kw_only=True)
class Move:
    """A model in a week and in the one before; one of the two may be missing. `ours` are our names of it."""

    now: Ranked | None
    before: Ranked | None
    ours: tuple[OurModel, ...] = ()

    @property
    def model(self) -> Ranked:
        """Either; this week's where it is in it."""
        found = self.now or self.before
        assert found is not None
        return found

    @property
    def key(self) -> str:
        """The same over weeks and sources."""
        return tail(self.model.id or self.model.slug)

    @property
    def computed(self) -> Fraction | None:
        """The change on the week before, in percent, from both weeks' tokens."""
        if self.now is None or self.before is None or self.now.tokens is None or self.before.tokens is None:
            return None
        found = change(self.before.tokens, self.now.tokens)
        return None if found is None else found * _PERCENT

    @property
    def printed(self) -> Decimal | None:
        """What this week's source prints of it."""
        return None if self.now is None else self.now.printed

    @property
    def wow(self) -> Fraction | None:
        """Computed where it can be, else printed; in percent."""
        if self.computed is not None:
            return self.computed
        return None if self.printed is None else Fraction(self.printed)

    @property
    def wow_from(self) -> WowFrom:
        """Which of the two it is."""
        if self.computed is not None:
            return WowFrom.COMPUTED
        return WowFrom.UNKNOWN if self.printed is None else WowFrom.PRINTED

    @property
    def in_top(self) -> bool:
        """Whether it is among the first ten of this week."""
        return self.now is not None and self.now.rank <= TOP

    @property
    def was_in_top(self) -> bool:
        """Whether it was among the first ten of the week before."""
        return self.before is not None and self.before.rank <= TOP

    def subject(self, ours: Ours) -> Subject:
        """The model, and where our routes name it."""
        model, served = self.model, tuple(dict.fromkeys(one.served for one in self.ours))
        routes = dict.fromkeys(route.name for name in served for route in ours.naming(name))
        return Subject(
            key=self.key, title=model.title, id=model.id, vendor=model.vendor, served=served, routes=tuple(routes)
        )


def moves_of(before: Ranking | None, after: Ranking, ours: Ours) -> tuple[Move, ...]:
    """Every model of either week: this week's in order of rank, then those that are gone."""
    left = list(before.models) if before is not None else []
    found: dict[int, Ranked] = {}
    for name_of in _NAMES:
        names: dict[str, list[Ranked]] = {}
        for one in left:
            names.setdefault(name_of(one), []).append(one)
        for at, one in enumerate(after.models):
            same = names.get(name_of(one), []) if at not in found and name_of(one) else []
            if len(same) == 1 and same[0] in left:
                found[at] = same[0]
                left.remove(same[0])
    here = [Move(now=one, before=found.get(at), ours=ours.of(one)) for at, one in enumerate(after.models)]
    return (*here, *(Move(now=None, before=one, ours=ours.of(one)) for one in left))


def _by_slug(one: Ranked) -> str:
    return one.slug.lower()


def _by_id(one: Ranked) -> str:
    return one.id


def _by_name(one: Ranked) -> str:
    return plain(one.name or one.slug, vendor=one.vendor)


_NAMES: tuple[Callable[[Ranked], str], ...] = (_by_slug, _by_id, _by_name)
