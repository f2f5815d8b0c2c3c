"""The status page: nothing in it, nothing from elsewhere, and what a browser makes of it."""

from __future__ import annotations

import asyncio
import html
import re
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_mlx import STREAM_HEAD, chunk, sends_and_hangs
from gateway_harness import KEY, NODE_KEY, sidecar, until
from gateway_operated import BOSS, operated
from hypothesis import given
from hypothesis import strategies as st

from fleet.node.gateway.metrics_view import STATES, GatewayView
from fleet.node.gateway.metrics_window import Lately
from fleet.node.gateway.page import load_page
from fleet.node.gateway.page_status import Status, overall, route_state, status_of
from fleet.traffic.config import Timeouts

TEXT = load_page().body.decode()
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_comes_from_elsewhere_and_nothing_is_inline_but_what_the_policy_names() -> None:
    tags = _Tags()
    tags.feed(TEXT)
    for tag, attributes in tags.found:
        assert "src" not in attributes, tag
        assert attributes.get("href", "data:,") == "data:,", tag
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", TEXT)
    assert "innerHTML" not in TEXT
    headers = load_page().headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy.count("sha256-") == TEXT.count("<script>") + TEXT.count("<style>") == 2


def test_every_state_has_a_shape_and_a_colour_of_its_own_kind() -> None:
    looks = dict(re.findall(r'(\w+): \["\w+", "(\w+)"\]', TEXT))
    for states in (("ready",), ("full", "degraded"), ("down",), ("draining", "drained"), ("unknown", "starting")):
        assert len({looks[state] for state in states}) == 1
    assert len({looks[state] for state in ("ready", "full", "down", "draining", "unknown")}) == 5
    assert set(STATES) <= set(looks)


def test_every_control_has_a_name() -> None:
    assert '<label for="key">' in TEXT
    assert '<html lang="en">' in TEXT
    assert 'name="viewport"' in TEXT


@given(st.lists(st.sampled_from(STATES)).map(tuple))
def test_a_route_is_ready_only_when_all_of_it_is_and_down_only_when_none_of_it_serves(states: tuple[str, ...]) -> None:
    said = route_state(states)
    able = [state for state in states if state in ("ready", "full")]
    assert (said == "ready") == (bool(states) and len(able) == len(states) and "ready" in states)
    assert (said in ("ready", "degraded", "full")) == bool(able)
    assert said != "draining" or set(states) <= {"draining", "drained"}


@given(st.lists(st.sampled_from(["ready", "degraded", "full", "starting", "draining", "down"])).map(tuple))
def test_a_gateway_is_ready_only_when_every_route_is(states: tuple[str, ...]) -> None:
    said = overall(states)
    assert (said == "ready") == (bool(states) and set(states) <= {"ready", "full"})
    if set(states) & {"ready", "full", "degraded"}:
        assert said in ("ready", "degraded")


def test_what_did_not_happen_has_no_share() -> None:
    view = GatewayView(node="n", role="edge", version="1", config_sha256="a" * 64, uptime_seconds=1)
    said = status_of(view, minute=Lately(), hour=Lately(requests=4, errors=1))
    assert (said.minute.error_ratio, said.hour.error_ratio) == (None, 0.25)
    assert said.state == "down"


async def test_the_page_needs_no_key_and_its_data_does(tmp_path: Path, mlx: Any) -> None:
    async with operated(tmp_path, sidecar(await mlx())) as one:
        page = await one.get("/", key=None)
        assert page.status == 200
        text = await page.text()
        assert "Content-Security-Policy" in page.headers
        assert "mini-1" not in text
        assert "smol" not in text
        assert (await one.get("/v1/status", key=None)).status == 401
        assert (await one.get("/v1/status", key="x")).status == 401


async def test_only_an_admin_sees_who_asks(tmp_path: Path, mlx: Any) -> None:
    fake = await mlx(sends_and_hangs(STREAM_HEAD + chunk(content="x")))
    async with operated(tmp_path, sidecar(fake)) as one:
        streaming = await one.chat(stream=True)
        seen = {}
        for key in (KEY, BOSS):
            answer = await one.get("/v1/status", key=key)
            assert answer.headers["Cache-Control"] == "no-store"
            seen[key] = msgspec.json.decode(await answer.read(), type=Status)
        assert seen[KEY].requests is None
        assert [each.key for each in seen[BOSS].requests or ()] == ["ann"]
        assert seen[KEY].in_flight == 1
        streaming.close()


async def test_the_status_says_how_each_route_does_and_what_happened(tmp_path: Path, mlx: Any) -> None:
    gone = await mlx()
    await gone.stop()
    async with operated(tmp_path, sidecar(await mlx()), sidecar(gone, "mini-1.dead", serves="dead")) as one:
        assert (await one.chat()).status == 200
        assert (await one.chat(model="dead")).status == 503
        said = msgspec.json.decode(await (await one.get("/v1/status")).read(), type=Status)
        assert {route.name: route.state for route in said.routes} == {"smol": "ready", "dead": "down"}
        assert said.state == "degraded"
        assert said.routes[1].reason.startswith("mini-1.dead: ")
        assert (said.minute.requests, said.minute.error_ratio) == (2, 0.5)
        assert said.hour.completion_tokens > 0
        assert (said.hour.first_token_p50_seconds or 0) > 0


async def look(url: str, *, width: int = 1000, budget_milliseconds: int = 2500) -> str:
    """What a person would read at `url` in a browser."""
    assert CHROMIUM is not None
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
    profile = await asyncio.to_thread(tempfile.mkdtemp)
    try:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", *quiet),
            *(f"--user-data-dir={profile}", f"--window-size={width},900"),
            *(f"--virtual-time-budget={budget_milliseconds}", "--dump-dom", url),
            stdout=PIPE,
            stderr=DEVNULL,
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    finally:
        await asyncio.to_thread(shutil.rmtree, profile, ignore_errors=True)
    body = re.sub(r"<(script|style|noscript)>.*?</\1>", "", out.decode(), flags=re.DOTALL)
    body = re.sub(r"<(\w+)[^>]* hidden(?:=\"\")?[^>]*>.*?</\1>", "", body, flags=re.DOTALL)
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", body).split()))


@browser
async def test_a_browser_with_a_key_shows_the_state_of_every_route(tmp_path: Path, mlx: Any) -> None:
    gone = await mlx()
    await gone.stop()
    async with operated(tmp_path, sidecar(await mlx()), sidecar(gone, "mini-1.dead", serves="dead")) as one:
        live = one.gateway.upstreams.live
        await until(
            lambda: live["mini-1.chat"].proven_at is not None and live["mini-1.dead"].reason != "not proven yet"
        )
        seen = await look(f"{one.url}/#key={KEY}")
        assert "mini-1" in seen
        assert re.search(r"smol private ready mini-1\.chat smol in flight 0 / \d+ ready", seen), seen
        assert re.search(r"dead private down mini-1\.dead", seen), seen
        assert "degraded" in seen
        assert KEY not in seen


@browser
async def test_a_browser_shows_live_requests_to_an_admin(tmp_path: Path, mlx: Any) -> None:
    fake = await mlx(sends_and_hangs(STREAM_HEAD + chunk(content="x")))
    async with operated(tmp_path, sidecar(fake), timeouts=Timeouts(idle_seconds=60)) as one:
        streaming = await one.chat(stream=True)
        seen = await look(f"{one.url}/#key={BOSS}")
        assert "answering ann smol mini-1.chat" in seen
        streaming.close()


@browser
@pytest.mark.parametrize(
    ("key", "says"), [("", "Show this gateway a key"), ("wrong", "does not know this key"), (NODE_KEY + "x", "Key")]
)
async def test_a_browser_without_a_good_key_asks_for_one(tmp_path: Path, key: str, says: str) -> None:
    async with operated(tmp_path) as one:
        seen = await look(f"{one.url}/#key={key}")
        assert says in seen
        assert "Show the status" in seen
