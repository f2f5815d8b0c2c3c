"""Carries out recovery: asks the provider about attempts that nobody settled, and compares sums with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet.node.gateway.ledger.provider import Account, Provider, ProviderAway
from fleet.node.gateway.ledger.reading import open_attempts
from fleet.node.gateway.ledger.recovery import (
    COMPARED,
    SURELY_COUNTED_MILLISECONDS,
    OpenAttempt,
    disagreement,
    most_held,
    reading_before,
    retry_seconds,
)
from fleet.node.gateway.ledger.sums import Sums
from fleet.node.gateway.ledger.takeover import settle_sums
from fleet.vocabulary.contracts.ledger import CostSource, Row, Settlement
from fleet.vocabulary.money import shown
from fleet.vocabulary.names import Track

_AT_ONCE = 8
_DAY_SECONDS = 24 * 3600.0
_NEARLY_A_DAY_MILLISECONDS = 20 * 3600 * 1000


def wall_milliseconds() -> int:
    """UTC."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class _Chase:
    attempt: OpenAttempt
    tries: int = 0
    due: int = 0


class Pursuit:
    """One per ledger. `await settle_sums()` before anything may be reserved, then `run()` for as long as it is open.

    `write` takes the rows that come of it (they must reach ledger and book), `track` says on which track an upstream's
    money is. Nothing here raises but CancelledError.
    """

    def __init__(
        self,
        path: Path,
        provider: Provider,
        *,
        write: Callable[[Row], None],
        track: Callable[[str], Track],
        told: Callable[[str], None],
        now: Callable[[], int] = wall_milliseconds,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sums = Sums(path, write, told, now)
        self._provider = provider
        self._track = track
        self._now = now
        self._sleep = sleep
        self._started = now()
        self._chased: dict[str, _Chase] = {}
        self._woken = asyncio.Event()

    async def settle_sums(self, begun: str = "") -> None:
        """Return when the sums may be trusted (takeover.settle_sums). `begun`: Ledger.begun."""
        await settle_sums(self._sums, self._provider, begun=begun, track=self._track, sleep=self._sleep)

    # --- as long as the ledger is open --------------------------------------------------------------------------------

    def pursue(self, attempt: OpenAttempt) -> None:
        """Learn by and by what an attempt of this process cost: its stream was cut before it was said."""
        self._chase(attempt)
        self._woken.set()

    async def run(self) -> None:
        """Take up what earlier processes left, and ask until all is settled; once a day compare the sums."""
        found = await self._sums.read(lambda: open_attempts(self._sums.path, before_milliseconds=self._started))
        for attempt in found or ():
            self._chase(attempt)
        if found:
            self._sums.told(f"{len(found)} attempts of an earlier process are not settled: the provider is asked")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask_forever())
            tasks.create_task(self._compare_daily())

    @property
    def unsettled(self) -> int:
        """How many attempts are being asked about."""
        return len(self._chased)

    def _chase(self, attempt: OpenAttempt) -> None:
        if attempt.reservation.id not in self._chased:
            self._chased[attempt.reservation.id] = _Chase(attempt)

    async def _ask_forever(self) -> None:
        while True:
            await self.step()
            self._woken.clear()
            next_due = min((one.due for one in self._chased.values()), default=None)
            waiting = asyncio.ensure_future(self._woken.wait())
            try:
                if next_due is None:
                    await waiting
                else:
                    pause = asyncio.ensure_future(_in_time(self._sleep, (next_due - self._now()) / 1000))
                    await asyncio.wait((waiting, pause), return_when=asyncio.FIRST_COMPLETED)
                    pause.cancel()
            finally:
                waiting.cancel()

    async def step(self) -> None:
        """Ask about all that is due now, once."""
        now = self._now()
        due = [one for one in self._chased.values() if one.due <= now]
        young = [one for one in due if one.attempt.generation and (now < one.attempt.held_until or not one.tries)]
        for at in range(0, len(young), _AT_ONCE):
            await asyncio.gather(*(self._ask(one) for one in young[at : at + _AT_ONCE]))
        waiting = [one for one in due if not one.attempt.generation and now < one.attempt.held_until]
        for one in waiting:
            one.due = one.attempt.held_until
        held = [one for one in due if now >= one.attempt.held_until and one not in young]
        if held and young:  # what was learnt just now is not on the disk yet, where it is added up
            for one in held:
                one.due = self._now() + 1000
        elif held:
            await self._resolve(held)

    async def _ask(self, one: _Chase) -> None:
        attempt = one.attempt
        account = self._account(attempt.reservation.upstream)
        cost = None
        if account is not None:
            try:
                cost = await self._provider.billed(account, attempt.generation)
            except ProviderAway:
                cost = None
        if cost is not None:
            self._settle(one, cost, CostSource.GENERATION)
            return
        wait = int(retry_seconds(one.tries) * 1000)
        one.tries += 1
        one.due = min(self._now() + wait, attempt.held_until)

    async def _resolve(self, held: list[_Chase]) -> None:
        """A day is over: what all of them cost at most is what the provider's counters leave for them."""
        by_account: dict[Account | None, list[_Chase]] = {}
        for one in held:
            by_account.setdefault(self._account(one.attempt.reservation.upstream), []).append(one)
        for account, some in by_account.items():
            reserved = [one.attempt.reservation.pico for one in some]
            try:
                costs = tuple(reserved) if account is None else await self._bounds(account, some, reserved)
            except ProviderAway:
                for one in some:
                    one.due = self._now() + int(retry_seconds(20) * 1000)
                continue
            for one, cost in zip(some, costs, strict=True):
                self._settle(one, cost, CostSource.UNRESOLVED)
            freed = sum(reserved) - sum(costs)
            self._sums.told(
                f"{len(some)} attempts stay unexplained after a day: {shown(sum(costs))} USD count as spent for "
                f"them, {shown(freed)} USD that the provider did not bill are free again"
            )

    async def _bounds(self, account: Account, some: list[_Chase], reserved: list[int]) -> tuple[int, ...]:
        first = min(one.attempt.reservation.at_milliseconds for one in some)
        base = reading_before(await self._sums.notes(), account.name, first)
        if base is None:
            return tuple(reserved)
        since, reading = base
        counters = await self._provider.counters(account)
        until = self._now() - SURELY_COUNTED_MILLISECONDS
        settled = await self._sums.counted(account, since=since, until=until)
        if settled is None:
            return tuple(reserved)
        return most_held(counters.total_pico - reading.total_pico, settled, reserved)

    def _settle(self, one: _Chase, pico: int, source: CostSource) -> None:
        row = one.attempt.reservation
        self._chased.pop(row.id, None)
        self._sums.write(Settlement(id=row.id, at_milliseconds=self._now(), pico=pico, source=source))

    # --- once a day ---------------------------------------------------------------------------------------------------

    async def _compare_daily(self) -> None:
        while True:
            await self._sleep(_DAY_SECONDS)
            for account in self._provider.accounts():
                await self.compare(account)

    async def compare(self, account: Account) -> str:
        """What people must know of the last day's sums; "" = they agree, or nobody can say. Noted either way."""
        try:
            counters = await self._provider.counters(account)
        except ProviderAway as error:
            self._sums.told(str(error))
            return ""
        now = self._now()
        known = await self._sums.notes()
        base = reading_before(known, account.name, now - _NEARLY_A_DAY_MILLISECONDS)
        self._sums.note_reading(account, counters)
        if base is None:
            return ""
        since, reading = base
        sums = await self._sums.counted(account, since=since, until=now)
        if sums is None:
            return ""
        billed = counters.total_pico - reading.total_pico
        data = msgspec.json.encode({"since": since, "billed_pico": billed, "counted_pico": sums}).decode()
        self._sums.note(COMPARED, account.name, data)
        found = disagreement(billed, sums)
        if found:
            self._sums.told(f"{found}; used at {', '.join(sorted(account.upstreams))}")
        return found

    # --- small things -------------------------------------------------------------------------------------------------

    def _account(self, upstream: str) -> Account | None:
        return next((one for one in self._provider.accounts() if upstream in one.upstreams), None)


async def _in_time(sleep: Callable[[float], Awaitable[None]], seconds: float) -> None:
    await sleep(max(0.0, seconds))
