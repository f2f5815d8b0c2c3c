"""The node's snapshot is served to many, and fetched for one."""

from __future__ import annotations

import asyncio

import pytest

from fleet.node.gateway.own_snapshot import FRESH_SECONDS, OwnSnapshot


class Agent:
    """What is fetched: the next of `says` when `gate` is open, an exception is raised."""

    def __init__(self, *says: bytes | Exception) -> None:
        self.says = list(says)
        self.asked = 0
        self.now = 100.0
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self) -> bytes:
        self.asked += 1
        await self.gate.wait()
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    @property
    def snapshot(self) -> OwnSnapshot:
        return OwnSnapshot(self.fetch, now=lambda: self.now)


async def test_many_that_ask_at_once_get_what_one_question_brought() -> None:
    agent = Agent(b"1", b"2")
    agent.gate.clear()
    own = agent.snapshot
    asking = [asyncio.ensure_future(own.get()) for _ in range(20)]
    await asyncio.sleep(0)
    agent.gate.set()
    assert await asyncio.gather(*asking) == [b"1"] * 20
    assert agent.asked == 1


async def test_it_is_held_for_a_moment_and_then_asked_for_again() -> None:
    agent = Agent(b"1", b"2")
    own = agent.snapshot
    assert await own.get() == b"1"
    agent.now += FRESH_SECONDS / 2
    assert await own.get() == b"1"
    agent.now += FRESH_SECONDS
    assert await own.get() == b"2"


async def test_a_failure_is_told_and_not_kept() -> None:
    agent = Agent(OSError("no agent"), b"1")
    own = agent.snapshot
    with pytest.raises(OSError, match="no agent"):
        await own.get()
    assert await own.get() == b"1"


async def test_one_that_leaves_takes_nothing_from_the_others() -> None:
    agent = Agent(b"1")
    agent.gate.clear()
    own = agent.snapshot
    leaves, stays = asyncio.ensure_future(own.get()), asyncio.ensure_future(own.get())
    await asyncio.sleep(0)
    leaves.cancel()
    agent.gate.set()
    assert await stays == b"1"
    assert leaves.cancelled()
