"""The gray pools of a process: whose request may go gray, and the credit for it."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from fleet.node.gateway.policy.rules import Rules
from fleet.traffic.gray.pool import Pool, Turn
from fleet.traffic.gray.reasons import NotGray, Traits, ineligible
from fleet.traffic.gray.share import Share
from fleet.traffic.policy import GrayTerms
from fleet.traffic.rearm import share_now
from fleet.vocabulary.contracts.ledger import Note
from fleet.vocabulary.names import Sensitivity

_DIGITS = 10**11


class GrayPools:
    """One pool for every gray route. Credit is the process's own, and lost with it: that only means fewer gray ones."""

    def __init__(self) -> None:
        self._pools: dict[str, Pool] = {}
        self._terms: dict[str, GrayTerms] = {}

    def follow(self, rules: Rules, notes: Collection[Note] = (), at: int = 0) -> None:
        """Pools of the routes of the moment. The same terms keep the credit, others begin at 0. Raises NotExact.

        A model that took the place of one that was rolled back begins with a part of the share (`notes`, `at`).
        """
        self._terms = {
            name: _ramped(name, route.gray_terms or GrayTerms(), notes, at) for name, route in rules.gray_routes.items()
        }
        pools = {name: self._pools.get(name) or Pool(terms) for name, terms in self._terms.items()}
        for name, pool in pools.items():
            pool.under(self._terms[name])
        self._pools = pools

    def turn(self, route: str, feeder: str) -> Turn | None:
        """For one request of `feeder`; None where there is no such pool."""
        pool = self._pools.get(route)
        return pool.turn(feeder) if pool is not None else None

    def terms(self, route: str) -> GrayTerms:
        """Of one gray route."""
        return self._terms.get(route) or GrayTerms(share="0")

    def pool(self, route: str) -> Pool | None:
        """For screens."""
        return self._pools.get(route)

    def never(self, route: str, *, label: Sensitivity, key_gray: bool, tagged: bool) -> NotGray | None:
        """Why a request is not for this pool whatever it says; None = what it says decides."""
        traits = Traits(label=label, key_gray=key_gray, tagged=tagged, only_text=True, clean=True)
        return ineligible(traits, unlabelled=self.terms(route).unlabelled)


def _ramped(name: str, terms: GrayTerms, notes: Collection[Note], at: int) -> GrayTerms:
    """The terms with what of their share the pool may have by now; a part is rounded down to what text can say."""
    share = Share.parse(terms.share)
    now = share_now(share, notes, name, at)
    if now == share:
        return terms
    return msgspec.structs.replace(terms, share=f"0.{now.part * _DIGITS // now.whole:011d}")
