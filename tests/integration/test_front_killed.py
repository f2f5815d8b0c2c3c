"""`kill -9` of the front under load: its clients see a cut, launchd starts it again, and it serves."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Room
from tests.integration.streams import End, load, told, until

pytestmark = [pytest.mark.model, pytest.mark.timeout(300), pytest.mark.xdist_group("endless")]

CLIENTS = 32
TOKENS = (120, 160, 200)
GATEWAY = "org.fleet-macs.gateway"
DEMANDED_SECONDS = 2.0
"""From the kill to the first whole answer: what `make show-front-killed` holds it to; other runs measure nothing."""
LIMIT_SECONDS = DEMANDED_SECONDS if os.environ.get("FLEET_SHOW") else math.inf


def gateway(room: Room, node: str) -> dict[str, object]:
    """launchd's word about the gateway of a node."""
    return room.services(node)[GATEWAY]


def in_flight(room: Room) -> Any:
    """What `fleet ps` lists."""
    return room.json("ps")["requests"]


async def test_clients_of_a_killed_front_see_a_cut_and_it_serves_again_at_once(endless: Room) -> None:
    """A job that ran for longer than its ThrottleInterval is started again at once (launchd.plist(5))."""
    before = gateway(endless, "mac-1")
    async with load(endless, clients=CLIENTS, model="tiny", tokens=TOKENS) as clients:
        await until(lambda: len(clients.running()) == CLIENTS)
        running = clients.running()
        os.kill(int(str(before["pid"])), signal.SIGKILL)
        killed = time.monotonic()
        await until(lambda: any(one.end is End.DONE for one in clients.ended(since=killed)))
        seconds = min(one.ended for one in clients.ended(since=killed) if one.end is End.DONE) - killed
        await until(lambda: sum(one.end is End.DONE for one in clients.ended(since=killed)) >= CLIENTS)
    told(f"{CLIENTS} streams cut by kill -9 of the front; {seconds:.2f} s later the first whole answer was there")

    assert [one.end for one in running] == [End.CUT] * CLIENTS
    assert {one.end for one in clients.streams} == {End.CUT, End.DONE}
    assert seconds < LIMIT_SECONDS
    after = gateway(endless, "mac-1")
    assert after["pid"] != before["pid"]
    assert int(str(after["runs"])) == int(str(before["runs"])) + 1
    await until(lambda: in_flight(endless) == [], within_seconds=60)


@contextmanager
def held(port: int) -> Iterator[None]:
    """Somebody else listens there: a process that is slow to die, or a sibling."""
    deadline = time.monotonic() + 10
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        while True:
            try:
                one.bind(("127.0.0.1", port))
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.002)
        one.listen()
        yield


async def test_a_front_whose_port_is_still_held_waits_for_it_says_so_once_and_does_not_crash(endless: Room) -> None:
    port = int(str(endless.variables("mac-1")["gateway_port"]))
    log = Path(endless.root("mac-1") / "log" / "gateway.log")
    before, said = gateway(endless, "mac-1"), log.read_text().count("port_taken")

    def waits() -> bool:
        return log.read_text().count("port_taken") > said

    os.kill(int(str(before["pid"])), signal.SIGKILL)
    with held(port):
        await until(waits)
        waiting = await asyncio.to_thread(gateway, endless, "mac-1")
    async with load(endless, clients=1, model="tiny", tokens=(5,)) as clients:
        await until(lambda: any(one.end is End.DONE for one in clients.streams))
    after = gateway(endless, "mac-1")
    assert after["pid"] == waiting["pid"] != before["pid"]
    assert int(str(after["runs"])) == int(str(before["runs"])) + 1
    assert log.read_text().count("port_taken") == said + 1
