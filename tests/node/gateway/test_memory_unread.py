"""A client's connection after the last byte was written to it."""

from __future__ import annotations

import asyncio

from gateway_harness import until

from fleet.node.gateway.unread import Unread


class Client(asyncio.Transport):
    """A connection with `left` bytes that its peer has not taken."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left
        self.looks = 0
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        self.looks += 1
        return self.left

    def abort(self) -> None:
        self.aborted = True

    async def looked_at(self) -> None:
        seen = self.looks
        await until(lambda: self.looks > seen)


async def test_who_takes_nothing_is_cut() -> None:
    client = Client(1000)
    Unread().watch(client, seconds=0.1)
    await until(lambda: client.aborted)


async def test_who_takes_a_little_now_and_then_is_not_cut_and_no_longer_looked_at_when_all_is_taken() -> None:
    client = Client(100)
    unread = Unread()
    unread.watch(client, seconds=0.1)
    while client.left:
        await client.looked_at()
        client.left -= 10
    await client.looked_at()
    seen = client.looks
    await asyncio.sleep(0.1)
    assert (client.aborted, client.looks) == (False, seen)
    client.left = 5
    unread.watch(client, seconds=0.1)
    await until(lambda: client.aborted)


async def test_while_somebody_writes_it_is_his_to_judge() -> None:
    client = Client(1000)
    Unread().watch(client, seconds=0.1)
    for _ in range(20):
        await client.looked_at()
        client.left += 10
    assert not client.aborted
    client.left = 0


async def test_a_small_answer_and_one_that_is_all_taken_cost_no_timer() -> None:
    small, taken = Client(1000), Client(0)
    Unread().watch(small, seconds=0.01, size_bytes=1000)
    Unread().watch(taken, seconds=0.01)
    Unread().watch(None, seconds=0.01)
    await asyncio.sleep(0.05)
    assert (small.looks, small.aborted, taken.looks, taken.aborted) == (0, False, 1, False)


async def test_two_answers_on_one_connection_are_one_watch() -> None:
    client = Client(1000)
    unread = Unread()
    for _ in range(50):
        unread.watch(client, seconds=0.1, size_bytes=100_000)
    await until(lambda: client.aborted)
    assert client.looks < 10
