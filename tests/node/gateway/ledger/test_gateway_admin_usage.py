"""Usage at the admin door: lines for whoever may ask, a sentence for whoever asks wrongly."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from gateway_harness import until, write_config
from ledger_rows import request

from fleet.node.gateway.admin import Handler
from fleet.node.gateway.admin_usage import UsageDoor
from fleet.node.gateway.ledger.store import LedgerFile
from fleet.node.gateway.ledger.usage import usage
from fleet.node.gateway.reload import Current
from fleet.traffic.openai_error import Refused
from fleet.traffic.policy import Policy
from fleet.vocabulary.contracts.usage import Measure, UsageBy, UsageLine, UsageQuery, UsageReport


@asynccontextmanager
async def door(
    folder: Path, *, policy: bool = True, read: Callable[..., tuple[UsageLine, ...]] = usage
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """The door alone; a refusal is its status and text."""
    terms = Policy(ledger_file=str(folder / "ledger.db"), budget_tz="Europe/Berlin")
    current = Current(write_config(folder, policy=terms if policy else None))

    @web.middleware
    async def plainly(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return web.Response(status=refused.error.status, text=refused.error.message)

    app = web.Application(middlewares=[plainly])
    UsageDoor(current, read=read).open(app)
    async with TestClient(TestServer(app)) as client:
        yield client


async def ask(folder: Path, query: object, *, policy: bool = True) -> tuple[int, bytes]:
    async with door(folder, policy=policy) as client:
        answer = await client.post("/admin/usage", data=msgspec.json.encode(query))
        return answer.status, await answer.read()


async def test_it_tells_lines_and_spreads_of_the_rows_that_are_on_the_disk(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.db")
    file.put([request("a", at=1_796_081_400_000, prompt_tokens=1, session="s")])  # 2026-11-30T23:30Z

    status, body = await ask(tmp_path, UsageQuery(by=(UsageBy.DAY, UsageBy.HOUR), measures=(Measure.PROMPT_TOKENS,)))

    report = msgspec.json.decode(body, type=UsageReport)
    assert (status, report.node, report.oldest_milliseconds) == (200, "mini-1", 1_796_081_400_000)
    (line,) = report.lines
    assert (line.names, line.sessions, line.spreads) == (
        ("2026-12-01", "2026-11-30T23"),
        1,
        {Measure.PROMPT_TOKENS: {0: 1}},
    )
    file.close()


async def test_the_loop_goes_on_while_a_ledger_is_read_and_one_question_is_read_at_a_time(tmp_path: Path) -> None:
    LedgerFile(tmp_path / "ledger.db").close()
    may_end, reading, most = threading.Event(), list[int](), list[int]()

    def slow(*_: object, **__: object) -> tuple[UsageLine, ...]:
        reading.append(1)
        most.append(len(reading))
        assert may_end.wait(60)
        reading.pop()
        return ()

    async with door(tmp_path, read=slow) as client:
        asked = [asyncio.create_task(client.post("/admin/usage", data=b'{"by": []}')) for _ in range(3)]
        await until(lambda: reading)
        refused = await client.post("/admin/usage", data=b"nonsense")  # it is answered meanwhile
        may_end.set()
        answers = [await one for one in asked]

    assert refused.status == 400
    assert [answer.status for answer in answers] == [200] * 3
    assert most == [1, 1, 1]


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ({"by": ["key", "key"]}, 400, "`by` names at most 6"),
        ({"by": ["key", "team", "app", "model", "node", "tier", "day"]}, 400, "`by` names at most 6"),
        ({"by": ["prompt"]}, 400, "not a question about usage"),
        ({"by": [], "measures": ["heat"]}, 400, "not a question about usage"),
        ({"by": [], "since": 1}, 400, "not a question about usage"),
        ([], 400, "not a question about usage"),
        ({"by": ["key"]}, 503, "the ledger cannot be read"),
    ],
)
async def test_whoever_asks_wrongly_is_told(tmp_path: Path, query: object, status: int, says: str) -> None:
    answered, body = await ask(tmp_path, query)

    assert (answered, says in body.decode()) == (status, True)
    assert str(tmp_path) not in body.decode()


async def test_a_time_that_no_ledger_can_have_is_refused(tmp_path: Path) -> None:
    LedgerFile(tmp_path / "ledger.db").close()

    for name in ("since_milliseconds", "until_milliseconds"):
        status, body = await ask(tmp_path, {"by": ["day"], name: 2**63})
        assert (status, b"at most 63 bits" in body) == (400, True)
    assert (await ask(tmp_path, {"by": ["day"], "since_milliseconds": -(2**63)}))[0] == 200


async def test_a_gateway_without_a_policy_tells_no_usage(tmp_path: Path) -> None:
    assert await ask(tmp_path, {"by": ["key"]}, policy=False) == (404, b"this gateway has no policy, and so no ledger")
