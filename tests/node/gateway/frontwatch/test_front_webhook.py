"""The webhook against a real receiver: told in order, at least once, over failures and restarts, and in secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from gateway_harness import until
from gateway_operated import Lines

from fleet.node.gateway.frontwatch.post import Became, Poster
from fleet.node.gateway.frontwatch.postman import Postman
from fleet.node.gateway.frontwatch.store import WatchStore
from fleet.node.gateway.journal import Journal
from fleet.vocabulary.health.state import Transition
from fleet.vocabulary.names import Health
from fleet.vocabulary.secret import Secret

PATH = "/services/T0/a-secret-path"


@dataclass
class Receiver:
    """A server that takes notices, or does what `answers` says."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    slow: bool = False
    bodies: list[dict[str, Any]] = field(default_factory=list)
    shown: list[dict[str, str]] = field(default_factory=list)
    asked: int = 0

    @property
    def states(self) -> list[str]:
        return [f"{one['node']} {one['state']}" for one in self.bodies]

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.asked += 1
        if self.slow:
            await asyncio.sleep(30)
        if request.path == "/elsewhere":
            self.shown.append({"followed": "a redirect"})
        if self.status == 200:
            self.bodies.append(await request.json())
            self.shown.append(dict(request.headers))
        return web.Response(status=self.status, headers=self.headers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    runner = web.ServerRunner(web.Server(made.handle, handler_cancellation=True, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    yield made
    await runner.cleanup()


@dataclass
class Time:
    """The wall clock of a front."""

    seconds: float = 1_763_800_000.0

    def now(self) -> float:
        return self.seconds


@dataclass(eq=False)
class Office:
    """A postman that posts to the receiver until the context is left."""

    postman: Postman
    said: Lines
    journal: Journal

    @property
    def waiting(self) -> int:
        return len(self.postman.outbox.letters)


@asynccontextmanager
async def open_office(
    folder: Path | None, receiver: Receiver, time: Time, *, seconds: float = 5.0
) -> AsyncIterator[Office]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        said = Lines()
        journal = Journal(stderr=said)
        stack.callback(journal.close)
        postman = Postman("front-1", WatchStore(None if folder is None else str(folder)), journal, now=time.now)
        posting = asyncio.ensure_future(postman.run(Poster(session, Secret(receiver.url), seconds=seconds)))
        yield Office(postman, said, journal)
        posting.cancel()
        with suppress(asyncio.CancelledError):
            await posting
        journal.flush()


def fault(node: str, time: Time, *, after: Health = Health.CRITICAL) -> Transition:
    return Transition(
        at_seconds=time.seconds, node=node, check="disk_free", subject="/",
        before=Health.OK if after is Health.CRITICAL else Health.CRITICAL, after=after,
        began_seconds=time.seconds, since_seconds=time.seconds, text="only 1 GiB left on /",
    )  # fmt: skip


async def test_what_matters_is_posted_as_json_with_a_text_for_chats(tmp_path: Path, receiver: Receiver) -> None:
    time = Time()
    async with open_office(tmp_path, receiver, time) as office:
        office.postman.tell([fault("mini-1", time)])
        await until(lambda: office.postman.outbox.delivered_total == 1)
    (body,), (headers,) = receiver.bodies, receiver.shown
    assert body["text"].startswith("mini-1: only 1 GiB left on /, since 2025-11-22 ")
    assert (body["schema"], body["front"], body["node"], body["check"]) == (1, "front-1", "mini-1", "disk_free")
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == body["id"]


async def test_a_receiver_that_fails_gets_everything_in_order_once_it_is_back(
    tmp_path: Path, receiver: Receiver
) -> None:
    time = Time()
    receiver.status = 503
    async with open_office(tmp_path, receiver, time) as office:
        office.postman.tell([fault("mini-1", time)])
        await until(lambda: office.postman.outbox.failed_total == 1)
        office.postman.tell([fault("mini-2", time), fault("mini-1", time, after=Health.OK)])
        assert office.waiting == 3
    receiver.status = 200
    time.seconds += 60
    async with open_office(tmp_path, receiver, time) as office:
        await until(lambda: office.waiting == 0)
        assert receiver.states == ["mini-1 began", "mini-2 began", "mini-1 ended"]
        assert office.postman.outbox.delivered_total == 3


async def test_a_restart_in_the_middle_of_the_queue_loses_nothing_and_tells_no_fault_anew(
    tmp_path: Path, receiver: Receiver
) -> None:
    time = Time()
    receiver.slow = True
    async with open_office(tmp_path, receiver, time) as office:
        office.postman.tell([fault("mini-1", time), fault("mini-2", time)])
        await until(lambda: receiver.asked == 1)
    receiver.slow = False
    async with open_office(tmp_path, receiver, time) as office:
        office.postman.tell([fault("mini-1", time), fault("mini-2", time)])
        await until(lambda: office.waiting == 0)
        assert receiver.states == ["mini-1 began", "mini-2 began"]
        assert len({one["id"] for one in receiver.bodies}) == 2


async def test_a_slow_receiver_is_a_failed_try_and_the_wait_is_the_one_it_asks_for(receiver: Receiver) -> None:
    time = Time()
    receiver.slow = True
    async with open_office(None, receiver, time, seconds=0.05) as office:
        office.postman.tell([fault("mini-1", time)])
        await until(lambda: office.postman.outbox.failed_total == 1)
        assert "no answer in time" in office.said.text
    receiver.slow, receiver.status, receiver.headers = False, 429, {"Retry-After": "120"}
    async with open_office(None, receiver, time) as office:
        office.postman.tell([fault("mini-1", time)])
        await until(lambda: office.postman.outbox.failed_total == 1)
        assert office.postman.outbox.wait_seconds(time.now()) == 120


async def test_a_notice_that_the_receiver_will_never_take_stands_in_nobodys_way(
    tmp_path: Path, receiver: Receiver
) -> None:
    time = Time()
    receiver.status = 400
    async with open_office(tmp_path, receiver, time) as office:
        office.postman.tell([fault("mini-1", time)])
        await until(lambda: office.postman.outbox.refused_total == 1)
        receiver.status = 200
        office.postman.tell([fault("mini-2", time)])
        await until(lambda: office.waiting == 0)
        assert receiver.states == ["mini-2 began"]
        assert "webhook_refused" in office.said.text


async def test_the_address_is_in_no_message_and_a_redirect_is_not_followed(receiver: Receiver) -> None:
    time = Time()
    receiver.status, receiver.headers = 307, {"Location": "/elsewhere"}
    async with open_office(None, receiver, time) as office:
        office.postman.tell([fault("mini-1", time)])
        await until(lambda: office.postman.outbox.failed_total == 1)
    assert receiver.shown == []
    assert "http://127.0.0.1 answered 307" in office.said.text
    assert PATH not in office.said.text


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://127.0.0.1:1/secret", "no connection"),
        ("https://127.0.0.1:1/secret", "no connection"),
        ("http://no-such-host.invalid/secret", "its name is not known"),
    ],
)
async def test_whatever_fails_is_said_without_the_address(url: str, problem: str) -> None:
    time = Time()
    store = Postman("f", WatchStore(None), Journal(stderr=Lines()), now=time.now)
    store.tell([fault("mini-1", time)])
    async with aiohttp.ClientSession() as session:
        tried = await Poster(session, Secret(url)).post(store.outbox.letters[0].notice)
    assert tried.became is Became.FAILED
    assert tried.problem.endswith(problem)
    assert "secret" not in tried.problem


async def test_a_disk_that_cannot_be_written_costs_only_the_memory(tmp_path: Path, receiver: Receiver) -> None:
    time = Time()
    blocked = tmp_path / "file"
    blocked.write_text("")
    async with open_office(blocked, receiver, time) as office:
        office.postman.tell([fault("mini-1", time)])
        await until(lambda: office.postman.outbox.delivered_total == 1)
        assert office.postman.write_failures >= 1
        assert "watch_not_kept" in office.said.text
