"""A Mac of a whole simulated fleet falls ill under load: new work goes to the other one, and comes back. None fails.

As deployed: agent, edge and front are processes of the simulated Macs, and the front reads both over TLS.
`make show-routing` leaves the agents at their own pace and shows more faults (FLEET_SHOW).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.integration.conftest import Room
from tests.integration.story import front_url, gateway_key, trust
from tests.integration.streams import Load, load, told, until

pytestmark = [pytest.mark.model, pytest.mark.timeout(300), pytest.mark.xdist_group("endless")]

SHOW = bool(os.environ.get("FLEET_SHOW"))
FAULTS = ("headroom=100MiB", "swap-rate=400MiB", "thermal=3") if SHOW else ("headroom=100MiB",)
CLIENTS = 8
TOKENS = (20, 30, 40)
AGENT = "org.fleet-macs.agent"
HASTE_SECONDS = 1.0
ILL = "mac-2"


@pytest.fixture
def hasty(endless: Room) -> Iterator[Room]:
    """The room, with an agent on the Mac that falls ill which looks more often, unless this is a show."""
    file = endless.root(ILL) / "etc" / "agent.json"
    before = file.read_bytes()
    if not SHOW:
        _give(endless, json.dumps({**json.loads(before), "fast_seconds": HASTE_SECONDS}).encode())
    try:
        yield endless
    finally:
        endless.sim("fault", ILL, "--clear")
        _give(endless, before)


def _give(room: Room, text: bytes) -> None:
    (room.root(ILL) / "etc" / "agent.json").write_bytes(text)
    os.kill(int(str(room.services(ILL)[AGENT]["pid"])), signal.SIGHUP)


async def standing(room: Room) -> tuple[str, str]:
    """What the front says of the Mac that falls ill: its standing, and why."""
    headers = {"Authorization": f"Bearer {gateway_key(room)}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.get(f"{front_url(room)}/v1/status", ssl=trust(room)) as answer:
            status: dict[str, Any] = await answer.json()
    (found,) = {
        (one["standing"], one["reason"])
        for route in status["routes"]
        for one in route["upstreams"]
        if one["name"] == f"{ILL}/tiny"
    }
    return found


async def stands(room: Room, wanted: str) -> str:
    """Wait for a standing; why it is that."""
    async with asyncio.timeout(60):
        while (found := await standing(room))[0] != wanted:
            await asyncio.sleep(0.1)
    return found[1]


def nodes(clients: Load, *, since: float) -> list[str]:
    return [one.upstream.partition("/")[0] for one in clients.ended(since=since)]


@pytest.mark.parametrize("fault", FAULTS)
async def test_new_work_leaves_a_mac_that_falls_ill_and_comes_back_and_no_stream_fails(hasty: Room, fault: str) -> None:
    await stands(hasty, "full")
    async with load(hasty, clients=CLIENTS, model="tiny", tokens=TOKENS) as clients:
        await until(lambda: ILL in nodes(clients, since=0.0), within_seconds=60)
        await asyncio.to_thread(hasty.sim, "fault", ILL, fault)
        planted = time.monotonic()
        why = await stands(hasty, "none")
        away = since = time.monotonic()
        await until(lambda: len(nodes(clients, since=since)) >= CLIENTS, within_seconds=60)
        assert ILL not in nodes(clients, since=since)

        await asyncio.to_thread(hasty.sim, "fault", ILL, "--clear")
        cleared = time.monotonic()
        await stands(hasty, "full")
        back = since = time.monotonic()
        await until(lambda: ILL in nodes(clients, since=since), within_seconds=60)
    assert clients.troubles() == {}
    told(
        f"{fault}: {why}; new work went elsewhere {away - planted:.1f} s after the fault was there, and came back "
        f"{back - cleared:.1f} s after it was gone; {len(clients.streams)} streams, none failed"
    )
