"""A front makes the reports of its weeks by itself, at its own door, with a key that changes nothing."""

from __future__ import annotations

import asyncio
import http.client
import time
from pathlib import Path

import msgspec
from gateway_harness import hashed, write_config
from test_ledger_of_a_front import front

from fleet.node.gateway.auth import CARE
from fleet.practice.weekly.__main__ import main
from fleet.practice.weekly.loopback import OwnFront
from fleet.practice.weekly.recheck import recheck
from fleet.practice.weekly.store import is_whole, read_report, weeks_there
from fleet.practice.weekly.weeks import last_whole_week
from fleet.sim.ports import free_port
from fleet.traffic.config import Listen
from fleet.traffic.keyring import KeyRing
from fleet.traffic.policy import Policy
from fleet.vocabulary.names import GatewayRole
from tests.practice.weekly.ground import FLASH, OPUS, rows, write

_TOKEN = "agent-token-0123456789"


async def test_a_front_makes_up_for_its_missed_weeks_and_every_figure_is_found_again(tmp_path: Path) -> None:
    state, port = tmp_path / "state", free_port()
    config = write_config(
        tmp_path,
        role=GatewayRole.FRONT,
        listen=Listen(host="127.0.0.1", port=free_port()),
        admin_port=port,
        state_dir=str(state),
        policy=Policy(ledger_file=str(state / "ledger.db")),
    )
    (tmp_path / "keys.json").write_bytes(msgspec.json.encode(KeyRing(keys=(hashed("agent", _TOKEN, CARE),))))
    token = tmp_path / "agent.token"
    token.write_text(f"{_TOKEN}\n")
    week = last_whole_week(int(time.time() * 1000))
    write(state / "ledger.db", [*rows(week.previous, {FLASH: 60, OPUS: 8}), *rows(week, {FLASH: 80, OPUS: 9})])
    reports = tmp_path / "reports"
    words = ["--config", str(config), "--key-file", str(token), "--out", str(reports), "--wait", "0"]

    assert await asyncio.to_thread(main, words) == 1  # the gateway is not up: the next run makes up for it
    assert weeks_there(reports) == ()
    async with front(tmp_path, config):
        own = OwnFront("front-1", port=port, key_file=token)
        async with asyncio.timeout(30):
            while (await asyncio.to_thread(own.budget)).away:
                await asyncio.sleep(0.05)
        assert await asyncio.to_thread(main, words) == 0
        assert weeks_there(reports) == (str(week), str(week.previous))
        assert all(is_whole(reports / name) for name in weeks_there(reports))
        report = read_report(reports / str(week))
        assert report is not None
        assert next(one.value for one in report.figures() if one.id == "usage.all.requests") == 89
        found = await asyncio.to_thread(recheck, report, own)
        assert found.differing == ()
        assert found.asked > 100

        before = (reports / str(week) / "report.json").stat().st_mtime_ns
        assert await asyncio.to_thread(main, words) == 0
        assert (reports / str(week) / "report.json").stat().st_mtime_ns == before
        for path in ("/admin/gray", "/admin/incidents", "/admin/ledger"):
            assert await asyncio.to_thread(posted, port, path) == 403


def posted(port: int, path: str) -> int:
    """What the key may not do."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", path, body=b"{}", headers={"Authorization": f"Bearer {_TOKEN}"})
    status = connection.getresponse().status
    connection.close()
    return status
