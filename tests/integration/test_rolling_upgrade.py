"""Every sidecar and gateway is replaced while clients stream longer than launchd would wait: none failed, none cut.

`make show-rolling` does it with more clients and longer streams.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.sim.ports import free_port
from tests.integration.conftest import Room
from tests.integration.rolling import EXIT_SCALE, FRONTS, NODES, clients_of, longest_seconds, release, two_fronts
from tests.integration.streams import told, until

pytestmark = [pytest.mark.model, pytest.mark.long, pytest.mark.timeout(900)]

CLIENTS, TOKENS = 12, (900, 1200, 1500)
GATEWAY_EXIT_SECONDS = 30 * EXIT_SCALE
_REPLACED = ("gateway", "sidecar.chat")


@pytest.fixture
def rolling(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    try:
        yield two_fronts(tmp_path)
    finally:
        room.sim("down")


def journals(room: Room) -> list[dict[str, str]]:
    """What every node wrote of its last run."""
    events: list[dict[str, str]] = []
    for node in NODES:
        last = max((room.root(node) / "runs").glob("*/journal.jsonl"), key=lambda path: path.stat().st_mtime)
        events += [json.loads(line) for line in last.read_text().splitlines()]
    return events


async def test_no_client_notices_a_rolling_upgrade_of_everything_that_serves_it(rolling: Room) -> None:
    before = rolling.pids()
    async with clients_of(rolling, clients=CLIENTS, model="tiny", tokens=TOKENS) as (load, people):
        await until(lambda: len(load.running()) == CLIENTS)
        release(rolling, "two")
        await asyncio.to_thread(rolling.fleet, "deploy", "--yes", timeout=600)
        after = rolling.pids()
    assert load.troubles() == {}
    for node in NODES:
        for service in _REPLACED:
            assert after[node, f"org.fleet-macs.{service}"] != before[node, f"org.fleet-macs.{service}"]
    assert longest_seconds(load) > GATEWAY_EXIT_SECONDS, "the streams were too short to show anything"
    said = [event for event in journals(rolling) if event["phase"] == "drain"]
    emptied = [event for event in said if event["status"] == "ok"]
    assert len(emptied) == len(_REPLACED) * len(NODES), said
    assert any("still run" in event["text"] for event in said), "nothing ran where something was stopped"
    told(
        f"{len(load.streams)} streams of {CLIENTS} clients through {len(FRONTS)} fronts, the longest "
        f"{longest_seconds(load):.1f} s; {len(emptied)} services replaced; {sum(one.again for one in people)} times a "
        "client asked the other front; 0 failed, 0 cut"
    )


async def test_a_model_with_a_single_copy_is_left_serving_until_it_may_go(tmp_path: Path) -> None:
    port = free_port()
    room = Room(tmp_path)
    try:
        two_fronts(tmp_path, solo_port=port)
        before = room.pids()
        async with clients_of(room, clients=CLIENTS, model="tiny", tokens=TOKENS) as (load, _):
            async with clients_of(room, clients=2, model="solo", tokens=TOKENS) as (only, _):
                await until(lambda: len(load.running()) == CLIENTS and len(only.running()) == 2)
                release(room, "two", solo_port=port, last_copy="refuse")
                refused = await asyncio.to_thread(room.fleet, "deploy", "--yes", timeout=600, expect=3)
                assert "mac-3: · skipped" in refused.stdout, refused.stdout
            assert only.troubles() == {}
            assert {key: pid for key, pid in room.pids().items() if key[0] == "mac-3"} == {
                key: pid for key, pid in before.items() if key[0] == "mac-3"
            }
            release(room, "three", solo_port=port)
            await asyncio.to_thread(room.fleet, "deploy", "--yes", timeout=600)
        assert load.troubles() == {}
        assert not set(before.values()) & {
            pid for (_, label), pid in room.pids().items() if not label.endswith("agent")
        }
        told(
            f"{len(only.streams)} streams from the single copy and {len(load.streams)} from the others: 0 failed, 0 cut"
        )
    finally:
        room.sim("down")
