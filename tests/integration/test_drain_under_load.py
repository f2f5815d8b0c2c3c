"""A node leaves, and comes back, while 32 clients stream: none is cut, none is refused."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.integration.conftest import Room
from tests.integration.streams import Load, load, told, until

pytestmark = [pytest.mark.model, pytest.mark.timeout(300), pytest.mark.xdist_group("endless")]

CLIENTS = 32
TOKENS = (120, 160, 200) if os.environ.get("FLEET_SHOW") else (60, 80, 100)
GATEWAY = "org.fleet-macs.gateway"


def nodes_of(load: Load, *, since: float) -> Counter[str]:
    """Where those that began after `since` were answered; "" where only the end of a long wait could tell."""
    return Counter(one.upstream.partition("/")[0] for one in load.ended(since=since))


@pytest.fixture
def resumed(endless: Room) -> Iterator[Room]:
    """The room, given back with every node at work: others come after us."""
    try:
        yield endless
    finally:
        endless.fleet("resume", "mac-2", expect=None)


async def drained_at_work(room: Room, clients: Load) -> tuple[int, float]:
    """Drain mac-2 while it has requests: how many, and seconds until the last had ended.

    A drain that finds none there shows nothing: then it is done again.
    """
    async with asyncio.timeout(120):
        while True:
            began = time.monotonic()
            drained = await asyncio.to_thread(room.fleet, "drain", "mac-2", "--wait", "60s")
            seconds = time.monotonic() - began
            assert "mac-2: drained" in drained.stderr
            if waited_for := re.search(r"draining, (\d+) requests? still run", drained.stderr):
                return int(waited_for[1]), seconds
            await asyncio.to_thread(room.fleet, "resume", "mac-2")
            since = time.monotonic()
            await until(lambda since=since: nodes_of(clients, since=since)["mac-2"] > 0)  # type: ignore[misc]


async def test_a_node_drained_under_32_streams_cuts_none_and_serves_again_when_resumed(resumed: Room) -> None:
    async with load(resumed, clients=CLIENTS, model="tiny", tokens=TOKENS) as clients:
        await until(lambda: len(clients.running()) == CLIENTS)
        waited_for, seconds = await drained_at_work(resumed, clients)
        since = time.monotonic()
        await until(lambda: len(clients.ended(since=since)) >= CLIENTS, within_seconds=60)
        assert "mac-2" not in nodes_of(clients, since=since)

        await asyncio.to_thread(resumed.fleet, "resume", "mac-2")
        since = time.monotonic()
        await until(lambda: nodes_of(clients, since=since)["mac-2"] > 0, within_seconds=60)
    assert clients.troubles() == {}
    told(
        f"{len(clients.streams)} streams of {CLIENTS} clients, none cut; {waited_for} ran on the drained node, "
        f"the last of them ended {seconds:.1f} s after `fleet drain` was typed"
    )


async def test_an_edge_that_is_stopped_under_load_finishes_what_it_has_and_nobody_notices(endless: Room) -> None:
    """As launchctl stops it: SIGTERM, then SIGKILL after the ExitTimeOut. launchd starts it again."""
    before = endless.services("mac-3")[GATEWAY]["pid"]
    async with load(endless, clients=CLIENTS, model="tiny", tokens=TOKENS) as clients:
        await until(lambda: len(clients.running()) == CLIENTS)
        os.kill(int(str(before)), signal.SIGTERM)
        since = time.monotonic()
        await until(lambda: nodes_of(clients, since=since)["mac-3"] > 0, within_seconds=60)
    assert clients.troubles() == {}
    assert endless.services("mac-3")[GATEWAY]["pid"] != before
