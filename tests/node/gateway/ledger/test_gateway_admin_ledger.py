"""The ledger at the admin door: sums for whoever may ask, a sentence for whoever asks wrongly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from gateway_harness import until, write_config
from ledger_rows import reservation

from fleet.node.gateway.admin import Handler
from fleet.node.gateway.admin_ledger import LedgerDoors
from fleet.node.gateway.ledger.reading import notes, rows_since
from fleet.node.gateway.ledger.recovery import must_reconcile
from fleet.node.gateway.ledger.store import LedgerFile
from fleet.node.gateway.reload import Current
from fleet.traffic.openai_error import Refused
from fleet.traffic.policy import Policy
from fleet.vocabulary.contracts.ledger import Owner, Request
from fleet.vocabulary.contracts.ledger_admin import LedgerBy, LedgerQuery, LedgerReport
from fleet.vocabulary.names import Track


@asynccontextmanager
async def door(
    folder: Path, *, policy: bool = True, restart: Callable[[], None] = lambda: None
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """The doors alone; a refusal is its status and text."""
    terms = Policy(ledger_file=str(folder / "ledger.db"), budget_tz="Europe/Berlin")
    current = Current(write_config(folder, policy=terms if policy else None))

    @web.middleware
    async def plainly(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return web.Response(status=refused.error.status, text=refused.error.message)

    app = web.Application(middlewares=[plainly])
    LedgerDoors(current, restart=restart).open(app)
    async with TestClient(TestServer(app)) as client:
        yield client


async def ask(folder: Path, query: object, *, policy: bool = True) -> tuple[int, bytes]:
    """What the door says of sums."""
    async with door(folder, policy=policy) as client:
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


async def test_a_time_that_no_ledger_can_have_is_refused(tmp_path: Path) -> None:
    LedgerFile(tmp_path / "ledger.db").close()

    status, body = await ask(tmp_path, {"by": ["day"], "since_milliseconds": 2**63})

    assert (status, b"at most 63 bits" in body) == (400, True)


async def test_a_gateway_without_a_policy_has_no_ledger(tmp_path: Path) -> None:
    assert await ask(tmp_path, {"by": ["key"]}, policy=False) == (404, b"this gateway has no policy, and so no ledger")


async def test_a_copy_of_one_front_becomes_the_ledger_of_another(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    row = reservation("a")
    file = LedgerFile(old / "ledger.db")
    file.put([row])
    restarts: list[str] = []

    async with door(old) as mine, door(new, restart=lambda: restarts.append("now")) as theirs:
        answer = await mine.get("/admin/ledger/copy")
        packed = await answer.read()
        refused = await theirs.post("/admin/ledger/restore?told=from+old", data=packed[:-20])
        taken = await theirs.post("/admin/ledger/restore?told=from+old", data=packed)
        await until(lambda: restarts)
    file.close()
    LedgerFile(new / "ledger.db").close()

    assert (answer.status, refused.status, taken.status) == (200, 409, 200)
    assert restarts == ["now"]
    assert [found.id for found in rows_since(new / "ledger.db")] == [notes(new / "ledger.db")[0].id, row.id]
    assert must_reconcile(notes(new / "ledger.db")) == "from old"
    assert sorted(one.name for one in new.iterdir() if one.is_dir()) == []


async def test_a_front_with_newer_rows_keeps_them_and_says_why(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.db")
    file.put([reservation("a", at=1000)])
    async with door(tmp_path) as one:
        packed = await (await one.get("/admin/ledger/copy")).read()
        file.put([reservation("b", at=2000)])
        answer = await one.post("/admin/ledger/restore", data=packed)
        said = await answer.text()
    file.close()

    assert answer.status == 409
    assert "the ledger that is there has rows up to" in said
    assert not (tmp_path / "ledger.db.restore").exists()
