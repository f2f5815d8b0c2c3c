"""All that policy works with in one process: the rules of the moment, the books, pools, meters, the scanner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from fleet.errors import ConfigError
from fleet.node.gateway.config import Loaded
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.node.gateway.policy.graypools import GrayPools
from fleet.node.gateway.policy.rules import Facts, Rules
from fleet.node.gateway.policy.till import Till
from fleet.node.gateway.policy.treasury import Treasury
from fleet.traffic.budget.exact import NotExact
from fleet.traffic.budget.ticket import NotAPattern
from fleet.traffic.limits import Meters
from fleet.traffic.policy import Policy
from fleet.traffic.sensitivity.matcher import matcher_of
from fleet.traffic.sensitivity.rules import FLEET_RULES, Rule, RulesError, rules_of
from fleet.traffic.sensitivity.scanner import Scanner
from fleet.traffic.tools.offered import Schemas
from fleet.vocabulary.money import NotMoney


class Desk:
    """`follow` takes new terms over, and must be called when the ledger has been counted: terms are in its notes.

    What was reserved under older terms stays reserved.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        treasury: Treasury,
        facts: Facts,
        live: Callable[[], Mapping[str, LiveUpstream]],
    ) -> None:
        """Raises ConfigError for terms that cannot be used."""
        self.treasury = treasury
        self.till = Till(treasury)
        self.meters = Meters()
        self.pools = GrayPools()
        self.schemas = Schemas()
        self._facts = facts
        self._live = live
        self.rules, self.scanner = self._made(loaded)
        self._take_over()

    def new_day(self) -> None:
        """Pools that grow by the day have more of their share."""
        self.pools.follow(self.rules, self.treasury.notes, self.treasury.now)

    def follow(self, loaded: Loaded) -> None:
        """The terms of another configuration. Raises ConfigError; then the old ones stay."""
        self.rules, self.scanner = self._made(loaded)
        self._take_over()

    def _made(self, loaded: Loaded) -> tuple[Rules, Scanner]:
        policy = loaded.config.policy
        if policy is None:
            raise ConfigError("the configuration has no policy any more: that needs a restart")
        treasury = self.treasury
        try:
            rules = Rules(loaded, policy, notes=treasury.notes, at=treasury.now, facts=self._facts, live=self._live)
        except (NotExact, NotMoney, NotAPattern) as error:
            raise ConfigError(f"policy: {error}") from None
        return rules, Scanner(matcher_of(scanning_rules(policy)), policy.scanning)

    def _take_over(self) -> None:
        self.pools.follow(self.rules, self.treasury.notes, self.treasury.now)
        note = self.rules.terms_note
        if note is not None and self.treasury.opened.is_set():
            self.treasury.write(note)


def scanning_rules(policy: Policy) -> tuple[Rule, ...]:
    """The rules of fleet, and the operator's own. Raises ConfigError."""
    path = policy.scanning.rules_file
    if path is None:
        return FLEET_RULES
    try:
        return rules_of(msgspec.json.decode(Path(path).read_bytes()))
    except (OSError, msgspec.DecodeError, RulesError) as error:
        raise ConfigError(f"the rules of scanning cannot be used: {error}", place=path) from None
