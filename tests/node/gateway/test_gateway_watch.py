"""Deadlines by one ticker: they end what they watch, and nothing else."""

from __future__ import annotations

import asyncio

import pytest
from gateway_harness import until

from fleet.node.gateway.watch import Watch, Watches, reader_stalled


class LateError(Exception):
    pass


class SilentError(Exception):
    pass


async def work(watches: Watches, *, seconds: float, within: float | None, started: list[Watch]) -> None:
    task = asyncio.current_task()
    assert task is not None
    watch = watches.start(task, seconds=seconds, late=LateError)
    started.append(watch)
    if within is not None:
        watch.within(within, SilentError)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as cancelled:
        raise watch.meant(cancelled) from None
    finally:
        watches.stop(watch)


async def test_the_whole_has_its_deadline_and_what_is_waited_for_its_own() -> None:
    watches = Watches()
    with pytest.raises(LateError):
        await work(watches, seconds=0.05, within=None, started=[])
    with pytest.raises(SilentError):
        await work(watches, seconds=60, within=0.05, started=[])
    with pytest.raises(LateError):
        await work(watches, seconds=0.05, within=60, started=[])


async def test_progress_moves_a_deadline_and_never_brings_it_nearer() -> None:
    watches, started = Watches(), list[Watch]()
    task = asyncio.create_task(work(watches, seconds=60, within=0.2, started=started))
    await asyncio.sleep(0.05)
    started[0].extend(30)
    started[0].extend(0.01)
    await asyncio.sleep(0.4)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_outside_stays_one() -> None:
    watches, started = Watches(), list[Watch]()
    task = asyncio.create_task(work(watches, seconds=60, within=None, started=started))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_client_that_leaves_as_the_deadline_passes_has_left() -> None:
    watches, started = Watches(), list[Watch]()
    task = asyncio.create_task(work(watches, seconds=60, within=None, started=started))
    await asyncio.sleep(0)
    started[0].fire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("within", [None, 0.01])
async def test_a_passed_deadline_does_not_end_what_its_task_does_about_it(within: float | None) -> None:
    watches = Watches()
    task = asyncio.current_task()
    assert task is not None
    watch = watches.start(task, seconds=60 if within else 0.01, late=LateError)
    if within is not None:
        watch.within(within, SilentError)
    try:
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await asyncio.Event().wait()
        assert isinstance(watch.meant(cancelled.value), SilentError if within else LateError)
        await asyncio.sleep(0.15)  # its last words, or a wait for another place
        watch.within(0.01, SilentError)
        with pytest.raises(asyncio.CancelledError) as again:
            await asyncio.Event().wait()
        assert isinstance(watch.meant(again.value), SilentError if within else LateError)
    finally:
        watches.stop(watch)


async def test_nothing_ticks_when_nothing_is_watched() -> None:
    watches = Watches()
    with pytest.raises(LateError):
        await work(watches, seconds=0.02, within=None, started=[])
    await asyncio.sleep(0.12)
    assert watches._ticker is None


async def test_the_time_in_which_its_client_does_not_read_is_seen_and_is_no_wait_for_the_upstream() -> None:
    watches, started = Watches(), list[Watch]()
    task = asyncio.create_task(work(watches, seconds=60, within=30, started=started))
    await asyncio.sleep(0)
    (watch,) = started
    since = watch.since(30)
    assert since is not None
    assert since <= asyncio.get_running_loop().time()
    watch.within(60, reader_stalled)
    assert watch.since(60) is None
    await until(lambda: watch.unread_seconds > 0.1)
    watch.within(30, SilentError)
    seen, later = watch.unread_seconds, watch.since(30)
    assert later is not None
    assert later > since
    await asyncio.sleep(0.2)
    assert watch.unread_seconds == seen
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
