"""Before anything is paid for: a ledger that is new, or was restored, takes over what the provider counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from fleet.node.gateway.ledger.cost import Counters
from fleet.node.gateway.ledger.provider import Account, Provider, ProviderAway
from fleet.node.gateway.ledger.recovery import BEGUN, RECONCILED, missing, must_reconcile, retry_seconds
from fleet.node.gateway.ledger.sums import Sums
from fleet.vocabulary.contracts.ledger import Adjustment, Note
from fleet.vocabulary.money import shown
from fleet.vocabulary.names import Track


async def settle_sums(
    sums: Sums,
    provider: Provider,
    *,
    begun: str,
    track: Callable[[str], Track],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Return when the sums may be trusted. `begun`: why the file is a new one (Ledger.begun).

    What was billed this month and is not known here counts as spent. While a provider is away this waits: a lost disk
    is never a fresh budget. A reading of every account's counters is noted: recovery compares with it later.
    """
    known = await sums.notes()
    if begun and (not known or known[-1].kind != BEGUN):
        sums.note(BEGUN, begun)
        known.append(Note(id="", kind=BEGUN, subject=begun, at_milliseconds=sums.now()))
    why = must_reconcile(known)
    if why:
        for account in provider.accounts():
            counters = await _patiently(sums, provider, account, why=why, sleep=sleep)
            if counters is not None:
                await _take_over(sums, account, counters, why=why, track=_dearest(account, track))
        sums.note(RECONCILED, why)
    for account in provider.accounts():
        try:
            sums.note_reading(account, await provider.counters(account))
        except ProviderAway as error:
            sums.told(f"{error}; attempts that nobody settles are held until it can be")


async def _patiently(
    sums: Sums, provider: Provider, account: Account, *, why: str, sleep: Callable[[float], Awaitable[None]]
) -> Counters | None:
    """An account's counters, however long it takes; None when no upstream has its key any more."""
    tries = 0
    while account.name in {one.name for one in provider.accounts()}:
        try:
            return await provider.counters(account)
        except ProviderAway as error:
            if tries in (0, 5):
                sums.told(f"the ledger waits ({why}): {error}")
        await sleep(retry_seconds(tries))
        tries += 1
    return None


async def _take_over(sums: Sums, account: Account, counters: Counters, *, why: str, track: Track) -> None:
    now = sums.now()
    month = datetime.fromtimestamp(now / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    known = await sums.counted(account, since=int(month.timestamp() * 1000), until=now)
    gap = missing(counters.month_pico, known or 0)
    if not gap:
        return
    sums.write(
        Adjustment(
            id=f"reconcile/{account.name}/{month:%Y-%m}/{now}",
            of="",
            at_milliseconds=now,
            pico=gap,
            track=track,
            note=f"billed this month and not in this ledger: {why}",
        )
    )
    sums.told(f"{shown(gap)} USD that the provider billed this month are counted as spent: {why}")


def _dearest(account: Account, track: Callable[[str], Track]) -> Track:
    """The track whose cap is the hardest, where a key is used for several."""
    tracks = {track(upstream) for upstream in account.upstreams}
    return next((one for one in (Track.DOLLAR, Track.TOKEN, Track.GRAY) if one in tracks), Track.TOKEN)
