"""What an operator looks at and touches: metrics, status page, admin door, intents, the watch of a front.

Put together around one gateway.
"""

from __future__ import annotations

import signal
import time

from aiohttp import web

from fleet.node.gateway.admin import AdminDoor
from fleet.node.gateway.admin_explain import Explainer
from fleet.node.gateway.admin_ledger import LedgerDoors
from fleet.node.gateway.admin_policy import PolicyDoors
from fleet.node.gateway.admin_reports import route_reports
from fleet.node.gateway.admin_usage import UsageDoor
from fleet.node.gateway.frontwatch.doors import WatchDoors
from fleet.node.gateway.frontwatch.watch import FrontWatch
from fleet.node.gateway.gateway import Gateway
from fleet.node.gateway.intent_store import IntentStore
from fleet.node.gateway.intents import Intents
from fleet.node.gateway.journal import Journal
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.node.gateway.metrics import Metrics
from fleet.node.gateway.page_doors import PageDoors
from fleet.node.gateway.policy.families import PolicyCounts, policy_families
from fleet.node.gateway.policy.office import PolicyOffice
from fleet.node.gateway.reload import Current


class Operation:
    """Opens its doors on the gateway's front. `follow` after the gateway has followed a configuration."""

    def __init__(
        self,
        gateway: Gateway,
        current: Current,
        *,
        metrics: Metrics,
        journal: Journal,
        office: PolicyOffice | None = None,
    ) -> None:
        self._gateway = gateway
        self._current = current
        self._metrics = metrics
        self.intents = Intents(IntentStore(current.loaded.config.state_dir), gateway.upstreams)
        if self.intents.problem:
            journal.warn("intent_lost", problem=self.intents.problem)
        if not self.intents.lasting:
            journal.event("intent_not_kept", reason="no state_dir is configured")
        self._watch = FrontWatch(current=current, book=gateway.nodebook, session=gateway.front.session, journal=journal)
        watching = WatchDoors(self._watch, current)
        counts = None
        if office is not None:
            office.alerter.tell, counts = self._watch.say, PolicyCounts(office.desk)
        doors = PageDoors(
            current=current,
            session=gateway.front.session,
            upstreams=gateway.upstreams,
            calls=gateway.calls,
            metrics=metrics,
            intents=self.intents,
            draining=lambda: gateway.front.draining,
            retries_refused=lambda: gateway.attempts.retries_refused,
            more=lambda: watching.metrics() + _of_policy(office, counts),
        )
        gateway.front.open({**doors.doors(), **watching.doors()})
        gateway.front.planned = gateway.nodebook.planned = self.intents.planned
        gateway.front.turned_away = metrics.refused_at_the_door
        gateway.upstreams.standing_changed = lambda upstream: _tell(journal, upstream)
        self._admin = AdminDoor(
            current=current,
            upstreams=gateway.upstreams,
            calls=gateway.calls,
            intents=self.intents,
            journal=journal,
            routes=lambda: route_reports(current.loaded.routes.values(), gateway.upstreams.live, now=time.monotonic()),
            explain=Explainer(lambda: current.loaded, gateway.upstreams).explain,
            door=gateway.front,
            nodes=self._watch.words,
            more=(
                LedgerDoors(current, restart=_restart).open,
                UsageDoor(current).open,
                PolicyDoors(office).open,
            ),
        )

    def follow(self) -> None:
        """Lay the operator's wishes upon the upstreams of the moment, and know their names."""
        self.intents.follow()
        self._watch.follow()
        loaded = self._current.loaded
        upstreams = loaded.config.upstreams
        self._metrics.follow(
            [
                *loaded.routes,
                *(one.name for one in upstreams),
                *(one.serves for one in upstreams),
                *(one.node for one in upstreams),
            ]
        )

    async def close(self) -> None:
        """Stop watching; what is known is kept."""
        await self._watch.close()

    def admin_runner(self) -> web.AppRunner:
        """What the admin listener serves."""
        return web.AppRunner(self._admin.application(), access_log=None, keepalive_timeout=15.0, shutdown_timeout=1.0)


def _of_policy(office: PolicyOffice | None, counts: PolicyCounts | None) -> bytes:
    return b"" if office is None or counts is None else policy_families(office, counts)


def _restart() -> None:
    """Drain and end; launchd starts us again."""
    signal.raise_signal(signal.SIGTERM)


def _tell(journal: Journal, upstream: LiveUpstream) -> None:
    """How much new work an upstream gets from now on."""
    reason = "; ".join(upstream.unwell) or None
    journal.event("standing", upstream=upstream.name, standing=upstream.standing.value, reason=reason)
