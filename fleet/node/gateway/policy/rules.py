"""What one configuration says of money and policy, ready to decide by. Made anew with every configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import msgspec

from fleet.node.gateway.catalogue import ModelFacts
from fleet.node.gateway.config import Loaded
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.traffic.budget.admission import DollarRules
from fleet.traffic.budget.caps import Caps
from fleet.traffic.budget.limits import Limit
from fleet.traffic.budget.reserve import Rates
from fleet.traffic.budget.terms import Terms, TermsHistory
from fleet.traffic.budget.ticket import ticket_matcher
from fleet.traffic.config import Price, Route, Upstream
from fleet.traffic.keyring import HashedKey, KeyLimits
from fleet.traffic.policy import Policy, Team
from fleet.traffic.sensitivity.labels import Labelled, Labeller
from fleet.vocabulary.contracts.ledger import Note, Owner
from fleet.vocabulary.money import NotMoney
from fleet.vocabulary.names import Sensitivity, Track

ANYBODY = HashedKey(name="", sha256="")
"""Whose a request is that showed no key."""
_NO_TEAM = Team(name="")
_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 512
K = TypeVar("K")
V = TypeVar("V")
Facts = Callable[[LiveUpstream], ModelFacts | None]
Live = Callable[[], Mapping[str, LiveUpstream]]


class Rules:
    """One configuration's policy. `facts` is what an API's catalogue says of a model, for prices that nobody wrote.

    `live` are the upstreams of the moment.
    """

    def __init__(
        self, loaded: Loaded, policy: Policy, *, notes: Iterable[Note], at: int, facts: Facts, live: Live
    ) -> None:
        """Raises NotExact, NotMoney, NotAPattern for terms that cannot be used."""
        self.loaded = loaded
        self.policy = policy
        self.caps = Caps.of(policy)
        self.dollar, self.terms_note = _dollar(policy, notes, at)
        self.labeller = Labeller(policy)
        self.gray_routes: Mapping[str, Route] = {
            route.name: route for route in loaded.config.routes if route.track is Track.GRAY and route.folds_to
        }
        self.gray_of: Mapping[str, str] = {
            name: route.name for route in self.gray_routes.values() for name in route.upstreams
        }
        self._facts = facts
        self._live = live
        self._teams = {team.name: team for team in policy.teams}
        self._kinds = {spec.name: spec for spec in loaded.config.upstreams}
        self._owners: dict[str, Owner] = {}
        self._limits: dict[tuple[str, Track], tuple[Limit, ...]] = {}
        self._labels: dict[tuple[object, ...], Labelled] = {}
        self._kept: dict[tuple[str, tuple[str, ...], Sensitivity], Route] = {}
        self._rates: dict[str, Rates] = {}
        self._most: dict[Rates, Mapping[str, float]] = {}

    # --- whose --------------------------------------------------------------------------------------------------------

    def owner(self, holder: HashedKey) -> Owner:
        """Whom the ledger books a key's requests to."""
        found = self._owners.get(holder.sha256)
        if found is None:
            found = Owner(key=holder.name, person=holder.person, team=holder.team, app=holder.app)
            _remember(self._owners, holder.sha256, found)
        return found

    def metered(self, holder: HashedKey) -> tuple[tuple[str, KeyLimits], ...]:
        """The limits per minute and at once that a request of this key is under; mostly none."""
        key, team = holder.limits, self._teams.get(holder.team, _NO_TEAM)
        found: tuple[tuple[str, KeyLimits], ...] = ()
        if _metered(key):
            found = ((f"key {holder.name}", key),)
        if _metered(team.limits):
            found = (*found, (f"team {team.name}", team.limits))
        return found

    def limits(self, holder: HashedKey, track: Track) -> tuple[Limit, ...]:
        """The caps per month that an attempt of this key on a track is under: this front's part of each."""
        key = (holder.sha256, track)
        found = self._limits.get(key)
        if found is None:
            found = tuple(replace(limit, status=429) for limit in self.caps.around(holder, track))
            _remember(self._limits, key, found)
        return found

    # --- where to -----------------------------------------------------------------------------------------------------

    def label(
        self,
        holder: HashedKey,
        route: Route,
        repository: str | None,
        header: str | None,
        session: Sensitivity | None,
    ) -> Labelled:
        """What a request is, before anything looked into it. Raises Refused for a label that is none."""
        key = (holder.sensitivity, route.sensitivity, repository, header, session)
        found = self._labels.get(key)
        if found is None:
            found = self.labeller.label(
                key=holder.sensitivity, repository=repository, header=header, route=route.sensitivity, session=session
            )
            if len(repository or "") + len(header or "") <= _LONGEST_REMEMBERED:
                _remember(self._labels, key, found)
        return found

    def kept(self, route: Route, label: Sensitivity) -> Route:
        """`route` without the upstreams that a request of this label must not reach."""
        if label.rank < Sensitivity.SENSITIVE.rank and route.track is not Track.PRIVATE:
            return route
        key = (route.name, route.upstreams, label)
        found = self._kept.get(key)
        if found is None:
            found = _left(route, (name for name in route.upstreams if self._may_reach(name, route, label)))
            _remember(self._kept, key, found)
        return found

    def proven(self, route: Route) -> Route:
        """`route` without its gray upstreams."""
        return _left(route, (name for name in route.upstreams if name not in self.gray_of))

    def pool_of(self, route: Route) -> str:
        """The gray route that a request of `route` feeds; "" = none."""
        if route.track in (Track.PRIVATE, Track.DOLLAR):
            return ""
        if route.gray in self.gray_routes:
            return route.gray or ""
        if route.name in self.gray_routes:
            return route.name
        return next((self.gray_of[name] for name in route.upstreams if name in self.gray_of), "")

    def money_of(self, upstream: str) -> Track:
        """The track that money spent at an upstream is booked to, the one with the hardest cap first."""
        if upstream in self.gray_of:
            return Track.GRAY
        tracks = {route.track for route in self.loaded.config.routes if upstream in route.upstreams}
        return Track.DOLLAR if Track.DOLLAR in tracks else Track.TOKEN

    def leaves(self, route: Route) -> bool:
        """Whether a request of `route` may leave the own machines."""
        return any(self._kinds[name].kind == "api" for name in route.upstreams if name in self._kinds)

    def _may_reach(self, name: str, route: Route, label: Sensitivity) -> bool:
        spec = self._kinds.get(name)
        return spec is not None and may_reach(spec, route.track, label)

    # --- what it costs ------------------------------------------------------------------------------------------------

    def price(self, upstream: LiveUpstream) -> tuple[Price | None, Price | None]:
        """What is written of it, else what its catalogue says: the price, and the dearest that it can be."""
        spec = upstream.spec
        if spec.price is not None:
            return spec.price, spec.price_most
        known = self._facts(upstream)
        return (known.price if known is not None else None), None

    def max_price(self, rates: Rates) -> Mapping[str, float]:
        """What a provider is told that it may cost."""
        found = self._most.get(rates)
        if found is None:
            found = rates.max_price()
            _remember(self._most, rates, found)
        return found

    def rates_of(self, name: str) -> Rates | None:
        """The same of an upstream by its name; None also where it is an own machine."""
        upstream = self._live().get(name)
        return self.rates(upstream) if upstream is not None and upstream.spec.kind == "api" else None

    def rates(self, upstream: LiveUpstream) -> Rates | None:
        """The dearest that an attempt there may cost; None = nobody knows."""
        written = upstream.spec.price is not None
        found = self._rates.get(upstream.name) if written else None
        if found is None:
            price, most = self.price(upstream)
            if price is None:
                return None
            try:
                found = Rates.of(price, most)
            except NotMoney:
                return None
            if written:
                self._rates[upstream.name] = found
        return found


def may_reach(spec: Upstream, track: Track, label: Sensitivity) -> bool:
    """Whether a request of this label may go there. What is sensitive only where the provider can be bound to it."""
    if spec.kind != "api":
        return True
    if track is Track.PRIVATE or label is Sensitivity.RESTRICTED:
        return False
    return label is not Sensitivity.SENSITIVE or spec.engine == "openrouter"


def _dollar(policy: Policy, notes: Iterable[Note], at: int) -> tuple[DollarRules | None, Note | None]:
    """The dollar track's rules, and the note to write when its terms are new."""
    if policy.dollar is None:
        return None, None
    known = tuple(notes)
    current = Terms.of(policy.dollar, budget_share=policy.budget_share, since=at)
    history = TermsHistory.of(known, current)
    is_ticket = ticket_matcher(policy.dollar.ticket_pattern)
    rules = DollarRules.of(policy.dollar, history, is_ticket, budget_share=policy.budget_share)
    note = history.newest.note("configuration")
    return rules, None if any(one.id == note.id for one in known) else note


def _metered(limits: KeyLimits) -> bool:
    return not (limits.requests_per_minute is limits.tokens_per_minute is limits.concurrency is None)


def _left(route: Route, names: Iterable[str]) -> Route:
    left = tuple(names)
    return route if left == route.upstreams else msgspec.structs.replace(route, upstreams=left)


def _remember(known: dict[K, V], key: K, value: V) -> None:
    """Bounded: what clients say (labels, repositories) is among the keys."""
    if len(known) >= _MOST_REMEMBERED:
        known.clear()
    known[key] = value
