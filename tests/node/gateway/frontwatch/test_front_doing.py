"""Pings, knocks and the power hook, each for real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from gateway_operated import Lines
from hypothesis import given
from hypothesis import strategies as st

from fleet.node.gateway.frontwatch.hook import Switch
from fleet.node.gateway.frontwatch.knocking import Knocker, knock
from fleet.node.gateway.frontwatch.ping import Pinger, gap, serves
from fleet.node.gateway.frontwatch.power import Signs
from fleet.node.gateway.frontwatch.store import WatchStore
from fleet.node.gateway.journal import Journal
from fleet.traffic.config import Listen, Power, WatchedNode
from fleet.vocabulary.secret import Secret

DEAD = Signs(answers=False, edge_dead_seconds=999, ssh_dead_seconds=999)
SIGNS = {"mini-1": DEAD, "mini-2": Signs(answers=True)}


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


@asynccontextmanager
async def site(status: int) -> AsyncIterator[tuple[str, int, list[str]]]:
    """A server on loopback that answers with a status: its URL, its port, what it was asked."""
    asked: list[str] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        asked.append(str(request.rel_url))
        return web.Response(status=status)

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}", port, asked
    await runner.cleanup()


# ---------------------------------------------------------------- ping


async def test_a_ping_goes_out_only_while_the_front_can_serve() -> None:
    said = Lines()
    async with site(200) as (url, _, asked), aiohttp.ClientSession() as session:
        pinger = Pinger(session, Journal(stderr=said))
        for able in (yes, no, yes):
            await pinger.once(Secret(f"{url}/uuid"), able=able)
    assert asked == ["/uuid", "/uuid"]
    assert (pinger.ok, pinger.withheld, pinger.failed) == (2, 1, 0)
    assert "withheld" in said.text


async def test_a_ping_that_fails_is_counted_and_never_fatal_and_its_address_is_not_said() -> None:
    said = Lines()
    async with site(500) as (url, _, _), aiohttp.ClientSession() as session:
        pinger = Pinger(session, Journal(stderr=said))
        await pinger.once(Secret(f"{url}/uuid"), able=yes)
        await pinger.once(Secret("http://127.0.0.1:1/uuid"), able=yes)
    assert (pinger.ok, pinger.failed) == (0, 2)
    assert said.text.count("WARNING ping") == 1
    assert "uuid" not in said.text


@given(st.floats(1, 1e5), st.floats(0, 1))
def test_pings_keep_their_time_but_for_a_tenth(seconds: float, chance: float) -> None:
    assert 0.9 * seconds <= gap(seconds, chance) * (1 + 1e-9)
    assert gap(seconds, chance) <= 1.1 * seconds * (1 + 1e-9)


@pytest.mark.parametrize(("status", "able"), [(200, True), (503, False)])
async def test_a_front_serves_when_its_own_listener_says_so(status: int, able: bool) -> None:
    async with site(status) as (_, port, asked), aiohttp.ClientSession() as session:
        assert await serves(session, Listen(host="0.0.0.0", port=port)) is able
        assert asked == ["/readyz?drained=ok"]
        assert await serves(session, Listen(host="127.0.0.1", port=1)) is False


# ---------------------------------------------------------------- knock


@asynccontextmanager
async def speaks(greeting: bytes) -> AsyncIterator[int]:
    """A TCP server that says something and leaves; its port."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_only_an_ssh_banner_proves_that_somebody_is_there() -> None:
    async with speaks(b"SSH-2.0-OpenSSH_9.9\r\n") as port:
        assert await knock("127.0.0.1", port) == ""
    async with speaks(b"HTTP/1.1 400\r\n") as port:
        assert await knock("127.0.0.1", port) == "what answers is no SSH server"
    assert await knock("127.0.0.1", 1) == "connection refused"
    assert await knock("no-such-host.invalid", 22) == "cannot be reached"


async def test_a_port_is_knocked_at_when_it_is_time_and_its_silence_is_counted_from_the_first_one() -> None:
    clock = [0.0]
    knocker = Knocker(monotonic=lambda: clock[0])
    node = WatchedNode(node="mini-1", ssh_host="127.0.0.1", ssh_port=1)

    def silent(_: str) -> bool:
        return True

    await knocker.round([node], silent=lambda _: False, all_nodes=False)
    assert knocker.answers == {}
    await knocker.round([node], silent=silent, all_nodes=False)
    clock[0] = 20
    await knocker.round([node], silent=silent, all_nodes=False)
    assert (knocker.dead_since, knocker.answers["mini-1"].problem) == ({"mini-1": 0}, "connection refused")
    async with speaks(b"SSH-2.0-x\r\n") as port:
        back = WatchedNode(node="mini-1", ssh_host="127.0.0.1", ssh_port=port)
        await knocker.round([back], silent=silent, all_nodes=False)
        assert knocker.dead_since == {"mini-1": 0}
        knocker.hurry("mini-1")
        await knocker.round([back], silent=silent, all_nodes=False)
    assert knocker.dead_since == {}
    knocker.keep(set())
    assert knocker.answers == {}


# ---------------------------------------------------------------- power hook


async def run(folder: Path | None, said: Lines, *argv: str, now: float = 1e6, seconds: float = 20.0) -> Switch:
    """One look at SIGNS by a front that has just started."""
    store = WatchStore(None if folder is None else str(folder))
    journal = Journal(stderr=said)
    switch = Switch(store, journal, now=lambda: now, seconds=seconds)
    switch.saw_ssh("mini-1")
    switch.consider(Power(argv=argv, after_seconds=600, again_seconds=3600), SIGNS, peer_answers=False)
    await switch.done()
    journal.flush()
    return switch


async def test_the_hook_gets_the_nodes_name_as_one_word_and_what_it_says_is_in_the_journal(tmp_path: Path) -> None:
    said = Lines()
    switch = await run(tmp_path, said, "/bin/sh", "-c", 'echo "switching $0"; exit 3', "{node}")
    assert switch.runs == 1
    assert 'power_hook_done node=mini-1 code=3 said="switching mini-1"' in said.text


async def test_the_hook_is_not_run_again_within_its_time_not_even_after_a_restart(tmp_path: Path) -> None:
    said = Lines()
    assert (await run(tmp_path, said, "/bin/sh", "-c", "exit 0", "{node}")).runs == 1
    assert (await run(tmp_path, said, "/bin/sh", "-c", "exit 0", "{node}", now=1e6 + 3599)).runs == 0
    assert (await run(tmp_path, said, "/bin/sh", "-c", "exit 0", "{node}", now=1e6 + 3600)).runs == 1


async def test_a_hook_whose_run_cannot_be_remembered_is_not_run(tmp_path: Path) -> None:
    said = Lines()
    (tmp_path / "file").write_text("")
    assert (await run(tmp_path / "file", said, "/bin/sh", "-c", "exit 0", "{node}")).runs == 0
    assert "power_hook" not in said.text.replace("watch_not_kept", "")


async def test_a_hook_that_hangs_is_ended_and_one_that_is_not_there_is_said() -> None:
    said = Lines()
    await run(None, said, "/bin/sleep", "60", seconds=0.05)
    assert "not done after 0.05 s: ended" in said.text
    await run(None, said, "/no/such/command")
    assert "No such file or directory" in said.text


async def test_a_hook_that_never_stops_talking_fills_no_log() -> None:
    said = Lines()
    await run(None, said, "/bin/sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo 0123456789; i=$((i+1)); done", "{node}")
    assert len(said.text) < 4000
    assert "power_hook_done" in said.text
