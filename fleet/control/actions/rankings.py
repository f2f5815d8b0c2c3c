"""`fleet rankings` on a project: a Monday's fetch, and the diff of a week with its tickets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from fleet.control.actions.ourroutes import ours_of, rankings_upstream
from fleet.control.actions.routefile import RouteFile
from fleet.control.inventory import Inventory
from fleet.control.inventory.project import Project
from fleet.control.supply.secrets import SecretStore
from fleet.errors import UsageError
from fleet.practice.rankings.archive import diff_of_week
from fleet.practice.rankings.diff import RankingDiff
from fleet.practice.rankings.fetch import fetch
from fleet.practice.rankings.finding import Finding
from fleet.practice.rankings.monday import Monday, archive_fetched
from fleet.practice.rankings.store import FOLDER
from fleet.practice.rankings.web import HttpsApi
from fleet.practice.rankings.week import Week
from fleet.practice.tickets import store
from fleet.practice.tickets.store import Outcome
from fleet.practice.tickets.ticket import tickets_for
from fleet.practice.tickets.vanishedgray import vanished_gray
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.policy_admin import GrayReports


def fetch_rankings(project: Project, inventory: Inventory, *, clock: Clock, upstream: str | None = None) -> Monday:
    """Ask OpenRouter with the key of an upstream, and archive what is new.

    Raises UsageError without a key, SupplyError for one that cannot be had, NotFetched.
    """
    name, setting = rankings_upstream(inventory, upstream)
    if setting.key is None:
        hint = f"key: file:secrets/{name}.key; any key of an account may read rankings"
        raise UsageError(f"upstreams.{name} has no key", hint=hint)
    key = SecretStore(project)[setting.key]
    return archive_fetched(project.root / FOLDER, fetch(HttpsApi(setting.base_url(name) or ""), key=key, clock=clock))


def compared(project: Project, inventory: Inventory, week: Week, *, today: date) -> RankingDiff:
    """An archived week against the one before, as our routes see it. Raises UsageError, ConfigError."""
    found = diff_of_week(project.root / FOLDER, week, ours=ours_of(inventory), today=today)
    if found is None:
        raise UsageError(f"{week} is not archived", hint="fleet rankings fetch, or fleet rankings import FILE")
    return found


def file_findings(
    project: Project, inventory: Inventory, findings: Sequence[Finding], *, keep: bool = True
) -> tuple[Outcome, ...]:
    """Open or update a ticket for each, with the diff of the inventory file. Without `keep`: only say so.

    Raises ConfigError for a ticket that somebody broke, FleetError when the disk does not take it.
    """
    tickets = tickets_for(findings, ours=ours_of(inventory))
    return store.file_tickets(project.root / store.FOLDER, tickets, proposer=RouteFile(project=project), keep=keep)


def gone_gray(inventory: Inventory, reports: Sequence[GrayReports]) -> tuple[Finding, ...]:
    """What fronts say of gray models that their providers have no more."""
    return vanished_gray(reports, ours=ours_of(inventory))
