"""The ledger at the admin door: sums for whoever may ask, a sentence for whoever asks wrongly."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from gateway_harness import write_config

from fleet.node.gateway.admin_ledger import LedgerDoors
from fleet.node.gateway.ledger.store import LedgerFile
from fleet.node.gateway.reload import Current
from fleet.traffic.openai_error import Refused
from fleet.traffic.policy import Policy
from fleet.vocabulary.contracts.ledger import Owner, Request
from fleet.vocabulary.contracts.ledger_admin import LedgerBy, LedgerQuery, LedgerReport
from fleet.vocabulary.names import Track


async def ask(folder: Path, query: object, *, policy: bool = True) -> tuple[int, bytes]:
    """What the door says; a refusal as its status and text."""
    terms = Policy(ledger_file=str(folder / "ledger.db"), budget_tz="Europe/Berlin")
    current = Current(write_config(folder, **({"policy": terms} if policy else {})))

    @web.middleware
    async def plainly(request: web.Request, handler: object) -> web.StreamResponse:
        try:
            return await handler(request)  # type: ignore[operator,no-any-return]
        except Refused as refused:
            return web.Response(status=refused.error.status, text=refused.error.message)

    app = web.Application(middlewares=[plainly])
    LedgerDoors(current).open(app)
    async with TestClient(TestServer(app)) as client:
        answer = await client.post("/admin/ledger", data=msgspec.json.encode(query))
        return answer.status, await answer.read()


async def test_it_tells_sums_by_days_of_the_budgets_time_zone(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.db")
    row = Request(
        id="a",
        at_milliseconds=1_796_081_400_000,  # 2026-11-30T23:30Z
        owner=Owner(key="ci"),
        asked="code",
        route="code",
        track=Track.TOKEN,
        completion_tokens=5,
    )
    file.put([row])

    status, body = await ask(tmp_path, LedgerQuery(by=(LedgerBy.KEY, LedgerBy.DAY)))

    report = msgspec.json.decode(body, type=LedgerReport)
    assert (status, report.node, report.oldest_milliseconds) == (200, "mini-1", row.at_milliseconds)
    assert [(line.names, line.requests, line.completion_tokens) for line in report.lines] == [
        (("ci", "2026-12-01"), 1, 5)
    ]
    file.close()


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ({"by": []}, 400, "`by` names 1 to 4"),
        ({"by": ["key", "key"]}, 400, "`by` names 1 to 4"),
        ({"by": ["prompt"]}, 400, "not a question about the ledger"),
        ({"by": ["key"], "since": 1}, 400, "not a question about the ledger"),
        ([], 400, "not a question about the ledger"),
        ({"by": ["key"]}, 503, "the ledger cannot be read"),
    ],
)
async def test_whoever_asks_wrongly_is_told(tmp_path: Path, query: object, status: int, says: str) -> None:
    answered, body = await ask(tmp_path, query)

    assert (answered, says in body.decode()) == (status, True)
    assert str(tmp_path) not in body.decode()


async def test_a_gateway_without_a_policy_has_no_ledger(tmp_path: Path) -> None:
    assert await ask(tmp_path, {"by": ["key"]}, policy=False) == (404, b"this gateway has no policy, and so no ledger")
