"""What nobody settled is settled by the provider's word, or held; a lost disk is never a fresh budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path

import pytest
from ledger_rows import NOON, dispatch, reservation, settlement

from fleet.engines import engine
from fleet.node.gateway.caller import HttpCaller
from fleet.node.gateway.ledger.cost import Counters
from fleet.node.gateway.ledger.ledger import Ledger
from fleet.node.gateway.ledger.provider import Account, CallingProvider, ProviderAway
from fleet.node.gateway.ledger.pursuit import Pursuit
from fleet.node.gateway.ledger.reading import notes
from fleet.node.gateway.ledger.recovery import BEGUN, COMPARED, READING, RECONCILED, RESTORED, OpenAttempt
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.sim.upstreams.openrouter.server import KEY, SimulatedOpenRouter
from fleet.traffic.config import Upstream
from fleet.vocabulary.contracts.ledger import Adjustment, CostSource, Note, Row, Settlement
from fleet.vocabulary.money import PICO_PER_USD
from fleet.vocabulary.names import Track
from fleet.vocabulary.secret import Secret

_HOUR = 3600 * 1000
_DAY = 24 * _HOUR
_ACCOUNT = Account("acct", frozenset({"openrouter.kimi"}))


class FakeProvider:
    """Knows what it is told; `away` says why it does not answer."""

    def __init__(self) -> None:
        self.bill: dict[str, int] = {}
        self.usage = Decimal(0)
        self.monthly = Decimal(0)
        self.away = ""
        self.asked: list[str] = []
        self.known = (_ACCOUNT,)

    def accounts(self) -> tuple[Account, ...]:
        return self.known

    async def billed(self, account: Account, generation: str) -> int | None:
        self.asked.append(generation)
        if self.away:
            raise ProviderAway(self.away)
        return self.bill.get(generation)

    async def counters(self, account: Account) -> Counters:
        self.asked.append("key")
        if self.away:
            raise ProviderAway(self.away)
        return Counters(usage=self.usage, usage_monthly=self.monthly)


class Scene:
    """A ledger, a provider and a clock that only moves when somebody sleeps or says so."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.provider = FakeProvider()
        self.now = NOON
        self.told: list[str] = []
        self.slept: list[float] = []
        self.flushes = 0
        self.sleeping: Callable[[], None] = lambda: None

    def pursuit(self) -> Pursuit:
        return Pursuit(
            self.ledger.path,
            self.provider,
            write=self.ledger.write,
            track=lambda _: Track.DOLLAR,
            told=self.told.append,
            now=lambda: self.now,
            sleep=self._sleep,
        )

    async def put(self, *rows: Row) -> None:
        for row in rows:
            await self.ledger.commit(row)

    async def on_disk(self, kind: str) -> None:
        """Until a note of that kind is."""
        async with asyncio.timeout(20):
            while not any(note.kind == kind for note in notes(self.ledger.path)):
                await asyncio.sleep(0.005)

    async def rows(self, kind: type) -> list[Row]:
        """Those on the disk, when all that was written so far is."""
        self.flushes += 1
        self.ledger.write(Note(id=f"flush/{self.flushes}", kind=f"flush{self.flushes}", subject="", at_milliseconds=1))
        await self.on_disk(f"flush{self.flushes}")
        return [row for row in self.ledger.rows() if isinstance(row, kind)]

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += int(seconds * 1000)
        self.sleeping()
        await asyncio.sleep(0)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    ledger = Ledger(tmp_path / "ledger.db", told=lambda _: None)
    await ledger.open()
    ledger.release()
    yield Scene(ledger)
    await ledger.close()


async def test_a_lost_disk_takes_over_what_the_provider_counted_this_month(scene: Scene) -> None:
    scene.provider.monthly = Decimal("12.5")
    pursuit = scene.pursuit()

    await pursuit.settle_sums("there was none")
    await scene.on_disk(RECONCILED)
    await pursuit.settle_sums("")

    found = await scene.rows(Adjustment)
    assert [(row.pico, row.track, row.of) for row in found] == [(12_500_000_000_000, Track.DOLLAR, "")]
    assert [note.kind for note in notes(scene.ledger.path)][:3] == [BEGUN, RECONCILED, READING]
    assert "12.50 USD that the provider billed this month are counted as spent: there was none" in scene.told


async def test_a_lost_disk_waits_for_a_provider_that_is_away(scene: Scene) -> None:
    scene.provider.away = "no connection"

    def back_at_last() -> None:
        if len(scene.slept) == 7:
            scene.provider.away = ""

    scene.sleeping = back_at_last
    await scene.pursuit().settle_sums("there was none")

    assert scene.slept == [1, 2, 4, 8, 16, 32, 64]
    assert scene.told[0] == "the ledger waits (there was none): no connection"


async def test_a_restored_ledger_takes_over_only_what_it_does_not_know_of(scene: Scene) -> None:
    await scene.put(Note(id="1", kind=RECONCILED, subject="", at_milliseconds=1))
    await scene.put(reservation("a", 9 * PICO_PER_USD), settlement("a", 3 * PICO_PER_USD))
    await scene.put(Note(id="2", kind=RESTORED, subject="restored from a backup", at_milliseconds=2))
    scene.provider.monthly = Decimal(5)

    await scene.pursuit().settle_sums()

    assert [row.pico for row in await scene.rows(Adjustment)] == [2 * PICO_PER_USD]


async def test_a_ledger_that_was_reconciled_opens_though_its_provider_is_away(scene: Scene) -> None:
    await scene.put(Note(id="1", kind=RECONCILED, subject="", at_milliseconds=1))
    scene.provider.away = "no connection"

    await scene.pursuit().settle_sums()

    assert scene.slept == []
    assert await scene.rows(Adjustment) == []


async def _reconciled(scene: Scene) -> Pursuit:
    await scene.put(Note(id="1", kind=RECONCILED, subject="", at_milliseconds=1))
    pursuit = scene.pursuit()
    await pursuit.settle_sums()
    await scene.on_disk(READING)
    return pursuit


async def test_an_attempt_with_a_generation_is_settled_by_the_providers_word_however_late(scene: Scene) -> None:
    pursuit = await _reconciled(scene)
    await scene.put(reservation("a", 900), dispatch("a"))
    pursuit.pursue(OpenAttempt(reservation("a", 900), "gen-a"))
    for _ in range(4):
        await pursuit.step()
        scene.now += 600_000
    scene.provider.bill["gen-a"] = 77
    await pursuit.step()

    found = await scene.rows(Settlement)
    assert [(row.id, row.pico, row.source) for row in found] == [("a/1", 77, CostSource.GENERATION)]
    assert pursuit.unsettled == 0


async def test_the_provider_is_asked_rarely_about_what_it_does_not_know(scene: Scene) -> None:
    pursuit = await _reconciled(scene)
    pursuit.pursue(OpenAttempt(reservation("a", 900), "gen-a"))
    scene.provider.asked.clear()
    until = scene.now + 2 * _HOUR
    while scene.now < until:
        await pursuit.step()
        scene.now += 1000

    assert scene.provider.asked.count("gen-a") < 25


async def test_an_attempt_that_nobody_knows_is_held_for_a_day_and_then_costs_what_the_counters_leave(
    scene: Scene,
) -> None:
    scene.provider.usage = Decimal(100)
    pursuit = await _reconciled(scene)
    scene.now += _HOUR
    lost = reservation("lost", 9 * PICO_PER_USD, at=scene.now)
    await scene.put(lost, reservation("b", PICO_PER_USD, at=scene.now), settlement("b", PICO_PER_USD, at=scene.now))
    pursuit.pursue(OpenAttempt(lost))
    await pursuit.step()
    scene.now += _DAY - 1
    await pursuit.step()
    assert len(await scene.rows(Settlement)) == 1

    scene.provider.usage = Decimal(103)  # one of b's, so at most two are the lost one's
    scene.now += 1
    await pursuit.step()

    found = {row.id: row for row in await scene.rows(Settlement)}
    assert found["lost/1"].pico == 2 * PICO_PER_USD
    assert found["lost/1"].source is CostSource.UNRESOLVED
    assert "2.00 USD count as spent for them, 7.00 USD that the provider did not bill are free again" in scene.told[-1]


async def test_what_was_settled_a_moment_ago_releases_nothing_since_counters_lag(scene: Scene) -> None:
    pursuit = await _reconciled(scene)
    scene.now += _HOUR
    lost = reservation("lost", 9 * PICO_PER_USD, at=scene.now)
    pursuit.pursue(OpenAttempt(lost))
    scene.now += _DAY
    await scene.put(lost, reservation("b", at=scene.now), settlement("b", 4 * PICO_PER_USD, at=scene.now))
    scene.provider.usage = Decimal(5)
    await pursuit.step()

    assert {row.id: row.pico for row in await scene.rows(Settlement)}["lost/1"] == 5 * PICO_PER_USD


@pytest.mark.parametrize("how", ["a provider without counters", "a key without a reading"])
async def test_without_counters_what_was_reserved_counts_as_spent_for_ever(scene: Scene, how: str) -> None:
    pursuit = await _reconciled(scene)
    scene.provider.known = () if "provider" in how else (Account("newkey", frozenset({"openrouter.kimi"})),)
    await scene.put(reservation("a", 900))
    pursuit.pursue(OpenAttempt(reservation("a", 900)))
    scene.now += _DAY
    await pursuit.step()

    found = await scene.rows(Settlement)
    assert [(row.pico, row.source) for row in found] == [(900, CostSource.UNRESOLVED)]


async def test_a_provider_that_is_away_releases_nothing(scene: Scene) -> None:
    pursuit = await _reconciled(scene)
    scene.now += 1
    pursuit.pursue(OpenAttempt(reservation("a", 900, at=scene.now), "gen-a"))
    scene.provider.away = "no connection"
    for _ in range(30):
        scene.now += _HOUR
        await pursuit.step()

    assert await scene.rows(Settlement) == []
    assert pursuit.unsettled == 1


async def test_once_a_day_sums_that_differ_are_told_and_noted(scene: Scene) -> None:
    pursuit = await _reconciled(scene)
    await scene.put(reservation("a", PICO_PER_USD, at=scene.now + 1), settlement("a", PICO_PER_USD, at=scene.now + 1))
    scene.now += _DAY
    scene.provider.usage = Decimal("3.00")

    found = await pursuit.compare(_ACCOUNT)
    await scene.on_disk(COMPARED)

    assert found == "the provider billed 2.00 USD more than the ledger knows of (3.00 against 1.00)"
    scene.now += _DAY
    assert await pursuit.compare(_ACCOUNT) == ""


async def test_a_new_process_takes_up_what_the_old_one_left_and_not_its_own(scene: Scene) -> None:
    await scene.put(Note(id="1", kind=RECONCILED, subject="", at_milliseconds=1))
    await scene.put(reservation("old", 900, at=scene.now - 5000), dispatch("old"))
    scene.provider.bill["gen-old"] = 55
    pursuit = scene.pursuit()
    scene.now += 10
    await scene.put(reservation("own", 900, at=scene.now))
    running = asyncio.ensure_future(pursuit.run())
    async with asyncio.timeout(20):
        while not [row for row in scene.ledger.rows() if isinstance(row, Settlement)]:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert [(row.id, row.pico) for row in await scene.rows(Settlement)] == [("old/1", 55)]


async def test_the_simulated_openrouter_tells_bills_and_counters_through_the_gateways_own_client() -> None:
    async with SimulatedOpenRouter() as openrouter:
        model = next(iter(openrouter.models))
        spec = Upstream(name="a", kind="api", url=openrouter.url, engine="openrouter", serves="big", model=model)
        live = LiveUpstream(spec, engine("openrouter"), Secret(KEY))
        foreign = LiveUpstream(spec, engine("openrouter"), Secret("sk-wrong"))
        caller = HttpCaller()
        provider = CallingProvider(caller, lambda: [live])
        (account,) = provider.accounts()
        body = b'{"model":"%s","messages":[{"role":"user","content":"hello there"}]}' % model.encode()
        reply = await caller.ask(live, "/v1/chat/completions", body, headers={}, connect_seconds=5)
        generation = reply.headers["x-generation-id"]
        await reply.whole(longest_bytes=100_000)

        billed = await provider.billed(account, generation)
        counters = await provider.counters(account)
        unknown = await provider.billed(account, "gen-nobody&id=x")
        wrong = CallingProvider(caller, lambda: [foreign])
        with pytest.raises(ProviderAway, match="401"):
            await wrong.counters(wrong.accounts()[0])
        caller.close()

    assert billed == openrouter.bill.total_pico > 0
    assert counters.month_pico == counters.total_pico == billed
    assert unknown is None
    assert wrong.accounts()[0].name != account.name
    assert KEY not in repr(account)


async def test_a_key_that_is_taken_out_while_its_provider_is_away_holds_nothing_up(scene: Scene) -> None:
    scene.provider.away = "no connection"

    def taken_out() -> None:
        scene.provider.known = ()

    scene.sleeping = taken_out
    await scene.pursuit().settle_sums("there was none")
    await scene.on_disk(RECONCILED)

    assert scene.slept == [1]
    assert await scene.rows(Adjustment) == []
