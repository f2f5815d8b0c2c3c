"""/node/metrics: one page of the gateway and its agent, whatever the agent says, and for scrapers only."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from gateway_harness import KEY, NODE_KEY, RING, Identity, hashed, sidecar, write_config
from gateway_operated import BOSS, operated
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from test_gateway_metrics import everything

from fleet.node.agent.metrics import render
from fleet.node.gateway.metrics_merge import merged
from fleet.sim.ports import free_port
from fleet.traffic.keyring import KeyRing
from fleet.vocabulary.contracts.snapshot import AgentReading, Disk, Memory, ServiceReading, Snapshot

SNAPSHOT = Snapshot(
    node="mini-1",
    at_seconds=1_795_338_960.0,
    agent_version="1.0.0",
    readings="macos",
    memory=Memory(total_bytes=2**36, wired_bytes=2**30, pressure_level=1),
    disks=(Disk(mount='/odd "disk"', free_bytes=7),),
    services=(ServiceReading(name="agent", label="x", up=True, runs=3),),
    agent=AgentReading(resident_bytes=20_000_000, cpu_seconds_total=1.5, started_at_seconds=1_795_000_000.0),
)
PAGE = render(SNAPSHOT)
TOKEN = "agent-secret"


def values(page: bytes) -> dict[str, float]:
    """What a scraper reads, and that nothing is on the page twice."""
    text = page.decode()
    kinds = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(set(kinds)) == len(kinds)
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = f"{sample.name}{sorted(sample.labels.items())}"
            assert key not in found
            found[key] = sample.value
    return found


def promtool(page: bytes) -> str:
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True)
    return (done.stdout + done.stderr).decode()


# ---------------------------------------------------------------- two pages as one


def test_both_pages_are_there_and_two_processes_are_told_apart() -> None:
    own = everything().encode()
    found = values(merged(own, PAGE))
    assert values(own).items() <= found.items()
    assert found["fleet_memory_pressure_level[]"] == 1
    assert found["fleet_disk_free_bytes[('mount', '/odd \"disk\"')]"] == 7
    assert found["fleet_agent_resident_memory_bytes[]"] == 20_000_000
    assert found["fleet_agent_cpu_seconds_total[]"] == 1.5
    assert found["process_resident_memory_bytes[]"] != 20_000_000
    assert found["fleet_agent_up[]"] == 1


def test_every_family_of_the_agent_is_on_the_page() -> None:
    theirs = set(re.findall(rb"^# TYPE (\S+)", PAGE, re.MULTILINE))
    there = set(re.findall(rb"^# TYPE (\S+)", merged(b"", PAGE), re.MULTILINE))
    assert there == {name.replace(b"process_", b"fleet_agent_") for name in theirs} | {b"fleet_agent_up"}


def test_without_an_agents_page_only_that_it_is_down_is_added() -> None:
    own = everything().encode()
    added = merged(own, None).removeprefix(own).decode()
    assert added.splitlines()[1:] == ["# TYPE fleet_agent_up gauge", "fleet_agent_up 0"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on this machine")
def test_promtool_finds_nothing_to_say_of_both() -> None:
    assert promtool(merged(everything().encode(), PAGE)) == ""


OWN = b'# HELP a_total About a.\n# TYPE a_total counter\na_total{x="1"} 1\na_total{x="2"} 2\n'


def family(name: str, *samples: str, kind: str = "counter") -> bytes:
    return "\n".join([f"# HELP {name} About.", f"# TYPE {name} {kind}", *samples, ""]).encode()


def test_a_family_of_both_is_one_family_and_the_gateway_is_right() -> None:
    after = b"# HELP b About b.\n# TYPE b gauge\nb 1\n"
    page = merged(OWN + after, family("a_total", 'a_total{x="2"} 7', 'a_total{x="3"} 3'))
    assert page.startswith(OWN + b'a_total{x="3"} 3\n' + after)
    assert b"} 7" not in page


def test_a_family_of_another_kind_is_left_out() -> None:
    assert b"a_total 7" not in merged(OWN, family("a_total", "a_total 7", kind="gauge"))


@pytest.mark.parametrize(
    "line",
    [
        "g",
        "g one",
        "g 1_0",
        "g １",
        "g  1",
        "g 1 2 3",
        "other 1",
        "g_sum 1",
        'g{x="1" 1',
        'g{x="1",x="2"} 1',
        'g{x="\\q"} 1',
        'g{1x="1"} 1',
        "<html>",
        "# TYPE g summary",
        "# EOF",
    ],
)
def test_a_line_that_is_no_sample_costs_only_itself(line: str) -> None:
    page = merged(b"", family("g", 'g{x="9"} 9', line, kind="gauge"))
    assert values(page) == {"g[('x', '9')]": 9, "fleet_agent_up[]": 1}


LINES = st.one_of(
    st.text(),
    st.sampled_from([*PAGE.decode().splitlines(), *OWN.decode().splitlines(), "# TYPE a_total gauge", "# HELP h \\"]),
    st.builds("# {} {} {}".format, st.sampled_from(["HELP", "TYPE"]), st.sampled_from("ghs"), st.text()),
    st.builds("{}{} {}".format, st.sampled_from(["g", "h_bucket", "s", "s_sum"]), st.text(), st.floats()),
)


@given(st.lists(LINES, max_size=30).map("\n".join), st.binary(max_size=20))
def test_whatever_the_agent_says_the_page_can_be_read_and_ours_is_whole(text: str, junk: bytes) -> None:
    found = values(merged(OWN, text.encode("utf-8", "surrogatepass") + junk))
    assert values(OWN).items() <= found.items()
    assert found["fleet_agent_up[]"] == 1


# ---------------------------------------------------------------- the door


@asynccontextmanager
async def agent(page: Callable[[], bytes]) -> AsyncIterator[int]:
    """An agent that answers `page()` to who knows the token. Gives its port."""

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        return web.Response(body=page())

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def with_token(folder: Path) -> str:
    path = folder / "agent.token"
    path.write_text(f"{TOKEN}\n")
    return str(path)


async def test_a_silent_agent_costs_only_its_own_part(tmp_path: Path, mlx: Any) -> None:
    async with agent(lambda: PAGE) as port:
        told = {"agent_port": port, "agent_token_file": with_token(tmp_path)}
        async with operated(tmp_path, sidecar(await mlx()), **told) as one:
            found = values(await (await one.get("/node/metrics", key=BOSS)).read())
            assert (found["fleet_agent_up[]"], found["fleet_memory_pressure_level[]"]) == (1, 1)
            assert "fleet_gateway_draining[]" in found
            own = values(await (await one.get("/metrics", key=BOSS)).read())
            assert not [name for name in own if name.startswith("fleet_agent_")]
            (tmp_path / "agent.token").unlink()
            answer = await one.get("/node/metrics", key=BOSS)
            found = values(await answer.read())
            assert (answer.status, found["fleet_agent_up[]"]) == (200, 0)
            assert "fleet_gateway_draining[]" in found
            assert "fleet_memory_pressure_level[]" not in found


async def test_a_node_without_an_agent_has_no_word_of_one(tmp_path: Path) -> None:
    async with operated(tmp_path) as one:
        assert b"fleet_agent_up" not in await (await one.get("/node/metrics", key=BOSS)).read()


@pytest.mark.parametrize(
    ("path", "key", "headers", "status"),
    [
        ("/node/metrics", None, {}, 401),
        ("/node/metrics", "sk-wrong", {}, 401),
        ("/node/metrics", KEY, {}, 403),
        ("/node/metrics", BOSS, {"Host": "evil.example"}, 421),
        ("/node/metrics", BOSS, {"Origin": "https://evil.example"}, 403),
        ("/node/metrics", BOSS, {"Origin": "null"}, 403),
        ("/metrics", BOSS, {"Origin": "https://evil.example"}, 403),
        ("/node/snapshot", BOSS, {"Origin": "https://evil.example"}, 403),
    ],
)
async def test_another_host_no_key_another_user_and_a_page_in_a_browser_are_refused(
    tmp_path: Path, path: str, key: str | None, headers: dict[str, str], status: int
) -> None:
    async with operated(tmp_path) as one:
        answer = await one.get(path, key=key, **headers)
        assert answer.status == status
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        assert b"fleet_" not in await answer.read()


async def test_a_page_in_a_browser_may_not_ask_the_admin_door(tmp_path: Path) -> None:
    async with operated(tmp_path) as one:
        status, body = await one.ask("/admin/pace", Origin="https://evil.example")
        assert (status, body["error"]["code"]) == (403, "no_pages")


# ---------------------------------------------------------------- a real agent, a real gateway


@asynccontextmanager
async def running(module: str, config: Path, word: str) -> AsyncIterator[None]:
    """A daemon of fleet, from the line with `word` on its stderr to the end of the context."""
    argv = (sys.executable, "-s", "-m", module, "--config", str(config))
    process = await asyncio.create_subprocess_exec(*argv, stderr=PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            while word.encode() not in (line := await process.stderr.readline()):
                assert line, f"{module} ended without {word!r}"
        yield
    finally:
        process.kill()
        await process.wait()


async def test_an_agents_token_opens_its_own_gateway_and_one_scrape_over_tls_has_both(
    tmp_path: Path, mlx: Any, identity: Callable[[str], Identity]
) -> None:
    ports = {name: free_port() for name in ("agent", "edge", "admin")}
    token_file = with_token(tmp_path)
    Path(token_file).chmod(0o600)
    (tmp_path / "thermal.txt").write_text("com.apple.system.thermalpressurelevel 2\n")
    asks = {
        "node": "mini-1",
        "port": ports["agent"],
        "token_file": token_file,
        "readings": f"file:{tmp_path}",
        "domain": "system",
        "launchctl": "/nonexistent/launchctl",
        "var_dir": str(tmp_path),
        "gateway_admin_port": ports["admin"],
    }
    (tmp_path / "agent.json").write_bytes(msgspec.json.encode(asks))
    config = write_config(
        tmp_path,
        sidecar(await mlx()),
        listen=msgspec.structs.replace(identity("mini-1").listen, port=ports["edge"]),
        agent_port=ports["agent"],
        agent_token_file=token_file,
        admin_port=ports["admin"],
    )
    ring = KeyRing(keys=(*RING.keys, hashed("agent", TOKEN, "care")))
    (tmp_path / "keys.json").write_bytes(msgspec.json.encode(ring))
    page, url = b"", f"https://127.0.0.1:{ports['edge']}/node/metrics"
    async with (
        running("fleet.node.agent", tmp_path / "agent.json", "watches mini-1"),
        running("fleet.node.gateway", config, "admin_open"),
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {NODE_KEY}"}) as http,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as agents,
    ):
        async with http.get(url, ssl=False) as answer:
            assert answer.status == 200
            page = await answer.read()
        async with agents.get(f"http://127.0.0.1:{ports['admin']}/admin/pace") as answer:
            assert answer.status == 200
            assert [one["name"] for one in (await answer.json())["upstreams"]] == ["mini-1.chat"]
    found = values(page)
    assert found["fleet_agent_up[]"] == 1
    assert found["fleet_thermal_pressure_level[]"] == 2
    assert found["fleet_gateway_draining[]"] == 0
    if shutil.which("promtool"):
        assert promtool(page) == ""
