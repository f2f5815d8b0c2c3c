"""Policy of one gateway process, put together: opened before it serves, following its configuration, closed with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from fleet.errors import ConfigError
from fleet.node.gateway.catalogue import ModelFacts
from fleet.node.gateway.gateway import Gateway
from fleet.node.gateway.ledger.ledger import Ledger
from fleet.node.gateway.ledger.provider import CallingProvider
from fleet.node.gateway.ledger.pursuit import Pursuit
from fleet.node.gateway.ledger.retention import Keep
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.node.gateway.policy.accounting import PolicyAccounting
from fleet.node.gateway.policy.admission import PolicyAdmission
from fleet.node.gateway.policy.alerting import Alerter
from fleet.node.gateway.policy.desk import Desk
from fleet.node.gateway.policy.graykeeper import GrayKeeper
from fleet.node.gateway.policy.me import me_doors
from fleet.node.gateway.policy.treasury import Treasury, wall_milliseconds
from fleet.node.gateway.reload import Current
from fleet.traffic.budget.calendar import BudgetCalendar
from fleet.traffic.policy import Policy

_OPENING_SECONDS = 1.0
_LOOK_SECONDS = 5.0
_LOG = logging.getLogger(__name__)


class PolicyOffice:
    """Of a gateway whose configuration has a `policy`. `admission` and `accounting` are given to the Gateway.

    `told` gets sentences for the log. Until `meet` it knows no upstream; until `open` has counted the ledger, nothing
    that costs money goes out.
    """

    def __init__(
        self,
        current: Current,
        policy: Policy,
        *,
        told: Callable[[str], None],
        wall: Callable[[], int] = wall_milliseconds,
    ) -> None:
        """Raises ConfigError."""
        self._current = current
        self._told = told
        self._gateway: Gateway | None = None
        self._pursuit: Pursuit | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.treasury = Treasury(
            Path(policy.ledger_file),
            BudgetCalendar.of(policy.budget_tz),
            told=told,
            wall=wall,
            make=partial(Ledger, keep=Keep(policy.keep_months, policy.budget_tz)),
        )
        self.desk = Desk(current.loaded, treasury=self.treasury, facts=self._facts, live=self._live)
        self.keeper = GrayKeeper(self.desk)
        self.alerter = Alerter(self.desk)
        self.admission = PolicyAdmission(self.desk, gone=self.keeper.gone)
        self.accounting = PolicyAccounting(self.desk)

    def meet(self, gateway: Gateway) -> None:
        """Know the upstreams, their catalogue, and whom to ask what an attempt cost."""
        self._gateway = gateway
        gateway.front.open(me_doors(self.desk))
        self._pursuit = Pursuit(
            self.treasury.ledger.path,
            CallingProvider(gateway.caller, lambda: self._live().values()),
            write=self.treasury.write,
            track=lambda upstream: self.desk.rules.money_of(upstream),
            told=self._told,
            now=lambda: self.treasury.now,
        )
        self.desk.till.pursue = self._pursuit.pursue

    async def open(self, *, within_seconds: float = _OPENING_SECONDS) -> None:
        """Begin to count the ledger, and wait for the end of it, so long. What costs nothing need not wait for it.

        The gateway has followed its configuration by now.
        """
        counted = asyncio.ensure_future(self._count())
        self._tasks = [counted, *(asyncio.ensure_future(one) for one in (self.treasury.keep_small(), self._look()))]
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(counted), within_seconds)

    def follow(self) -> None:
        """Take over the terms of the configuration of the moment."""
        try:
            self.desk.follow(self._current.loaded)
            self.keeper.follow()
        except ConfigError as error:
            self._current.problem = error.title
            self._told(f"the old policy stays: {error.title}")

    async def close(self) -> None:
        """Stop, and write what is queued."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.treasury.close()

    async def _count(self) -> None:
        await self.treasury.open()
        self.follow()
        self.keeper.follow(anew=True)
        if self._pursuit is None:
            self.treasury.release()
            return
        await self._pursuit.settle_sums(self.treasury.ledger.begun)
        self.treasury.release()
        self._tasks.append(asyncio.ensure_future(self._pursuit.run()))

    async def _look(self) -> None:
        """What nobody's request sets off: alerts, and the judgement of a week that is over."""
        await self.treasury.opened.wait()
        while True:
            try:
                self.alerter.look()
                self.keeper.judge_weeks()
                self.desk.new_day()
            except Exception:  # noqa: BLE001 (told; the next look may do)
                _LOG.exception("a bug ended a look at the books")
            await asyncio.sleep(_LOOK_SECONDS)

    def _facts(self, upstream: LiveUpstream) -> ModelFacts | None:
        return self._gateway.facts(upstream) if self._gateway is not None else None

    def _live(self) -> Mapping[str, LiveUpstream]:
        return self._gateway.upstreams.live if self._gateway is not None else {}
