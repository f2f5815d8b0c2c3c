"""Money and policy of a front, as deploy writes them: part of gateway.json (traffic/config.py).

Amounts are decimal text in USD, shares exact decimal text ("0.10"); a float never says how much may be spent.
"""

from __future__ import annotations

import msgspec

from fleet.traffic.keyring import KeyLimits
from fleet.vocabulary.names import Sensitivity

ALERTS = ("0.5", "0.8", "1")
"""Parts of a cap that are told where nobody says others."""


class GrayTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms of a gray route: at most `share` of the requests of each route that feeds it (SPEC section 5.1).

    `token_share`: the same in tokens, as a second cap; None = requests only. `burst` bounds the credit. `unlabelled`
    waives the tag of a repository that eligible requests need. `least_calls`: how many scored tool calls a verdict of
    a week needs; below it there is none. `suspend_seconds`: how long five failures in a row keep it out.
    """

    share: str = "0.10"
    token_share: str | None = None
    burst: int = 8
    unlabelled: bool = False
    least_calls: int = 200
    suspend_seconds: float = 3600.0


class DollarTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The dollar track (SPEC section 5.5). `monthly_usd` is the hard cap of all fronts together.

    Incidents may use up to `ceiling` times the cap; a week that spends over `overrun` times its allotment is followed
    by a week on the route that it folds to. `ticket_usd` caps one ticket; None = no such cap. `without_ticket` and
    `over_budget`: `refuse` (403, 402) or `fold` (to the route's `folds_to`).
    """

    monthly_usd: str
    ceiling: str = "1.15"
    overrun: str = "1.15"
    ticket_pattern: str = r"^[A-Z][A-Z0-9]+-\d+$"
    ticket_usd: str | None = "50"
    default_max_tokens: int = 8192
    without_ticket: str = "refuse"
    over_budget: str = "fold"


class TrackTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caps per calendar month of one track or of the whole fleet, all fronts together; None = no cap."""

    monthly_usd: str | None = None
    monthly_tokens: int | None = None


class Scanning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What looks into prompts (SPEC section 5.2). What could not be scanned is not clean.

    `scan`: `gray` (only what could go gray), `paid` (all that may leave the own machines) or `all`. A `raise_to` label
    is what a hit makes of a request. `rules_file`: the operator's own rules beside fleet's. `taint_days`: how long a
    hit marks its session; 0 = not at all.
    """

    scan: str = "gray"
    raise_to: Sensitivity = Sensitivity.SENSITIVE
    longest_bytes: int = 8 * 1024 * 1024
    longest_seconds: float = 0.02
    rules_file: str | None = None
    taint_days: int = 0


class Repo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Repositories by name (`*` and `?` as in a shell), and the least label of what is asked from them."""

    pattern: str
    sensitivity: Sensitivity


class OwnCost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What own tokens cost, from stated inputs: `usd_per_month` of a node whether it works or not (depreciation, rent),
    and its power: `watts` while it generates, `idle_watts` else, at `usd_per_kwh`.
    """

    usd_per_month: str = "0"
    watts: float = 0.0
    idle_watts: float = 0.0
    usd_per_kwh: str = "0"


class Team(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team: what its keys may use together, and where its cost is booked."""

    name: str
    cost_centre: str = ""
    limits: KeyLimits = KeyLimits()


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a front counts, caps and keeps at home.

    `ledger_file` is the SQLite file. Months begin in `budget_tz`; weeks are ISO weeks in UTC. Caps are of the whole
    fleet: this front admits its `budget_share` of each and no more, so fronts need not ask each other. `tracks` by
    track. `untagged`: the label of what nobody labelled. `alerts`: parts of a cap that are told once a month, each.
    """

    ledger_file: str
    budget_tz: str = "UTC"
    budget_share: str = "1"
    dollar: DollarTerms | None = None
    tracks: dict[str, TrackTerms] = {}
    fleet: TrackTerms = TrackTerms()
    teams: tuple[Team, ...] = ()
    untagged: Sensitivity = Sensitivity.INTERNAL
    repos: tuple[Repo, ...] = ()
    scanning: Scanning = Scanning()
    alerts: tuple[str, ...] = ALERTS
    own_costs: dict[str, OwnCost] = {}
    keep_months: int = 25
