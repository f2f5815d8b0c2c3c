"""The variables of money and policy: budgets, the dollar track, labels, teams, own costs. Typed, no rules. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from fleet.control.inventory.serving import Count, Text, Usd
from fleet.vocabulary.names import Sensitivity

Part = Annotated[float, Meta(ge=0, le=1)]
Factor = Annotated[float, Meta(ge=1)]


class CapSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What may be used in a calendar month, by all fronts together."""

    monthly_usd: Annotated[Usd | None, Meta(description="USD; no cap when absent.")] = None
    monthly_tokens: Annotated[Count | None, Meta(description="Tokens, prompts and answers; no cap when absent.")] = None


class DollarSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The terms of the dollar track."""

    monthly_usd: Annotated[Usd, Meta(description="The hard cap of a calendar month, by all fronts together.")]
    ceiling: Annotated[Factor, Meta(description="What open incidents may use, as a multiple of the cap.")] = 1.15
    overrun: Annotated[
        Factor, Meta(description="A week that costs more than this multiple of its part is followed by one that folds.")
    ] = 1.15
    ticket_pattern: Annotated[Text, Meta(description="What a ticket looks like.")] = r"^[A-Z][A-Z0-9]+-\d+$"
    ticket_usd: Annotated[Usd | None, Meta(description="What one ticket may cost; no cap when null.")] = 50
    default_max_tokens: Annotated[Count, Meta(description="Of requests that do not say it.")] = 8192
    without_ticket: Annotated[Literal["refuse", "fold"], Meta(description="403, or the route's `folds_to`.")] = "refuse"
    over_budget: Annotated[Literal["refuse", "fold"], Meta(description="402, or the route's `folds_to`.")] = "fold"


class BudgetsSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much may be spent, by track and in all."""

    dollar: Annotated[DollarSetting | None, Meta(description="The dollar track; without it no route may be one.")] = (
        None
    )
    token: CapSetting | None = None
    gray: CapSetting | None = None
    fleet: Annotated[CapSetting | None, Meta(description="All tracks together.")] = None
    timezone: Annotated[Text, Meta(description="Where a budget's month begins.")] = "UTC"
    share: Annotated[
        Part | None, Meta(description="What of each cap this front may use; an equal part for each when absent.")
    ] = None
    alerts: Annotated[
        list[Part] | None, Meta(description="Parts of a cap that are told, once a month each; 0.5, 0.8 and 1.")
    ] = None
    keep_months: Annotated[Count, Meta(description="How long rows of the ledger are kept.")] = 25


class LabelsSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who may see what: the labels of repositories, and what looks into prompts."""

    untagged: Annotated[Sensitivity, Meta(description="The label of what nobody labelled.")] = Sensitivity.INTERNAL
    repos: Annotated[
        dict[str, Sensitivity], Meta(description="Repository (`*` and `?` as in a shell) -> its least label.")
    ] = {}
    scan: Annotated[
        Literal["gray", "paid", "all"],
        Meta(description="Whose prompts are looked into: what could go gray, what may leave own machines, or all."),
    ] = "gray"
    raise_to: Annotated[Sensitivity, Meta(description="The label of what holds a secret.")] = Sensitivity.SENSITIVE
    taint_days: Annotated[
        Annotated[int, Meta(ge=0)], Meta(description="How long a find marks its session; 0 = not at all.")
    ] = 0


class OwnCostSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a node costs, for reports."""

    usd_per_month: Annotated[Usd, Meta(description="Rent or depreciation.")] = 0
    watts: Annotated[Usd, Meta(description="While it generates.")] = 0.0
    idle_watts: Annotated[Usd, Meta(description="Else.")] = 0.0
    usd_per_kwh: Usd = 0


class TeamSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A team: what its keys may use together, and where its cost is booked."""

    cost_centre: str = ""
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    concurrency: Count | None = None
    monthly_usd: Usd | None = None
    monthly_tokens: Count | None = None
