"""The monthly caps of keys, teams, tracks and the whole fleet, as far as they are this front's. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from fleet.traffic.budget.exact import exact
from fleet.traffic.budget.limits import FLEET, Kind, Limit, Scope
from fleet.traffic.keyring import HashedKey, KeyLimits
from fleet.traffic.policy import Policy, TrackTerms
from fleet.vocabulary.money import pico
from fleet.vocabulary.names import Track


@dataclass(frozen=True, slots=True)
class Caps:
    """All caps that are not of one key, ready to look up; None where there is none."""

    share: Fraction
    fleet: Limit | None
    tracks: Mapping[str, Limit]
    teams: Mapping[str, Limit]

    @classmethod
    def of(cls, policy: Policy) -> Caps:
        """Each cap of the policy, as far as it is this front's, rounded down. Raises NotExact, NotMoney."""
        share = exact(policy.budget_share, most=1)
        tracks = {name: _limit(Scope(Kind.TRACK, name), terms, share) for name, terms in policy.tracks.items()}
        teams = {team.name: _limit(Scope(Kind.TEAM, team.name), team.limits, share) for team in policy.teams}
        return cls(
            share=share,
            fleet=_limit(FLEET, policy.fleet, share),
            tracks={name: limit for name, limit in tracks.items() if limit is not None},
            teams={name: limit for name, limit in teams.items() if limit is not None},
        )

    def of_key(self, key: HashedKey) -> Limit | None:
        """A key's own cap. Raises NotMoney."""
        return _limit(Scope(Kind.KEY, key.name), key.limits, self.share)

    def around(self, key: HashedKey, track: Track) -> tuple[Limit, ...]:
        """What a request of `key` on `track` must pass, the narrowest first. Raises NotMoney."""
        found = (self.of_key(key), self.teams.get(key.team), self.tracks.get(track.value), self.fleet)
        return tuple(limit for limit in found if limit is not None)

    def all(self, keys: Iterable[HashedKey] = ()) -> tuple[Limit, ...]:
        """Every cap that there is, for alerts and screens; a key that is rotated once. Raises NotMoney."""
        own = {key.name: limit for key in keys if (limit := self.of_key(key)) is not None}
        fleet = () if self.fleet is None else (self.fleet,)
        return (*fleet, *self.tracks.values(), *self.teams.values(), *own.values())


def _limit(scope: Scope, terms: TrackTerms | KeyLimits, share: Fraction) -> Limit | None:
    if terms.monthly_usd is None and terms.monthly_tokens is None:
        return None
    return Limit(
        scope,
        pico=None if terms.monthly_usd is None else _part(pico(terms.monthly_usd), share),
        tokens=None if terms.monthly_tokens is None else _part(terms.monthly_tokens, share),
    )


def _part(whole: int, share: Fraction) -> int:
    return whole * share.numerator // share.denominator
