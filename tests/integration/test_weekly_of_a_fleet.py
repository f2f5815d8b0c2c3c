"""Issue 8, show 1: two weeks of real load on simulated Macs, and the report of the week out of their ledger."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from fleet.practice.weekly.report import Weekly
from fleet.practice.weekly.weeks import last_whole_week
from fleet.sim.api import OPENROUTER
from fleet.sim.project import API_MODELS
from tests.integration.conftest import Room, open_room
from tests.integration.story import front_url, trust, until
from tests.integration.streams import told

pytestmark = [pytest.mark.long, pytest.mark.model, pytest.mark.timeout(900)]

CLIENTS = 12
TOOL = {"type": "function", "function": {"name": "look", "parameters": {
    "type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}}}  # fmt: skip
WEEKLY = "org.fleet-macs.weekly"
SHOWN = os.environ.get("FLEET_SHOW_DIR")


@dataclass(frozen=True)
class Sort:
    """A sort of request: its route, how often, its length, and the share of tool calls that are broken."""

    model: str
    count: int
    words: int
    tokens: int
    errs: float = 0.0
    ticket: str = ""
    repo: str = ""


BEFORE = (
    Sort("token-track", 260, 900, 60, errs=0.03, repo="acme/site"),
    Sort("token-track", 120, 1500, 90, errs=0.02),
    Sort("dollar-track", 24, 1800, 160, ticket="SEC-12"),
    Sort("law", 40, 200, 30),
)
NOW = (
    Sort("token-track", 330, 950, 60, errs=0.03, repo="acme/site"),
    Sort("token-track", 150, 1500, 110, errs=0.02),
    Sort("dollar-track", 32, 2000, 190, ticket="SEC-14"),
    Sort("law", 34, 200, 30),
)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A front with money and a gray pool, and a Mac with a model of its own."""
    made = open_room(tmp_path_factory.mktemp("weekly"), nodes=2, deployed=False)
    try:
        upstreams = made.variables("mac-1")["upstreams"]
        assert isinstance(upstreams, dict)
        unproven = {"asked": "sim/echo-tiny", "price": {"prompt_per_million": 0.02, "completion_per_million": 0.05}}
        upstreams[OPENROUTER]["models"] = {**API_MODELS, "tiny": unproven}
        made.set_variables(
            group="front",
            upstreams=upstreams,
            budgets={"dollar": {"monthly_usd": 4}, "token": {"monthly_usd": 3}, "fleet": {"monthly_usd": 6}},
            labels={"repos": {"acme/site": "public"}},
            routes={
                "token-track": {"models": ["echo-small"], "track": "token", "gray": "gray-pool"},
                "dollar-track": {"models": ["echo-large"], "track": "dollar", "folds_to": "token-track"},
                "gray-pool": {
                    "models": ["tiny"],
                    "track": "gray",
                    "share": 0.1,
                    "burst": 8,
                    "folds_to": "token-track",
                },
                "law": {"models": ["scripted"], "track": "private", "sensitivity": "restricted"},
            },
            default_route="token-track",
        )
        yield made
    finally:
        made.sim("down")


def keys(room: Room) -> dict[str, str]:
    """A key for each team, as text."""
    found = {}
    for team in ("web", "data", "security"):
        answer = room.json("key", "create", f"{team}-1", "--team", team, "--app", "opencode", "--gray")
        found[team] = str(answer["key"])
    return found


async def load(room: Room, teams: dict[str, str], sorts: Sequence[Sort], *, seed: int) -> None:
    """Ask all of it, in any order, by a few clients at once."""
    chance = random.Random(seed)
    todo = [one for one in sorts for _ in range(one.count)]
    chance.shuffle(todo)
    connector = aiohttp.TCPConnector(ssl=trust(room), limit=0)
    async with aiohttp.ClientSession(front_url(room), connector=connector) as http:

        async def client() -> None:
            while todo:
                await asked(http, todo.pop(), teams, chance)

        await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def asked(http: aiohttp.ClientSession, one: Sort, teams: dict[str, str], chance: random.Random) -> None:
    team = "security" if one.ticket else chance.choices(("web", "data"), (3, 2))[0]
    words = int(one.words * chance.lognormvariate(0, 0.5))
    first = int(40 * chance.lognormvariate(0, 0.7)) * (4 if one.ticket else 1)
    switches = f"first={first},gap={2 if one.ticket else 0}"
    prompt = f"@@{switches}@@ @@tokens={int(one.tokens * chance.lognormvariate(0, 0.4))}@@ " + "word " * words
    body: dict[str, Any] = {"model": one.model, "stream": True, "max_tokens": 400}
    if one.errs and chance.random() < 0.8:
        arguments = '{"at": ' if chance.random() < one.errs else '{"at": "here"}'
        prompt = f"@@first={first}@@ @@tool=look {arguments}@@ " + "word " * words
        body["tools"] = [TOOL]
    body["messages"] = [{"role": "user", "content": prompt}]
    headers = {"Authorization": f"Bearer {teams[team]}"}
    if one.ticket:
        headers["x-fleet-ticket"] = one.ticket
    if one.repo:
        headers["x-fleet-repo"] = one.repo
    async with http.post("/v1/chat/completions", json=body, headers=headers) as answer:
        text = await answer.text()
        assert answer.status == 200, text


def a_week_passes(room: Room, *, days: int) -> None:
    """What was just asked was asked over seven days, `days` and more ago."""
    room.sim("down")
    shutil.rmtree(room.root("mac-1") / "var" / "reports", ignore_errors=True)  # of weeks that had not been yet
    room.sim("age", "mac-1", "--days", str(days), "--over", "7", "--last-hours", "12")
    room.sim("up", "--nodes", "2", "--models", "scripted", "--throttle-scale", "0.1")
    until(lambda: serves(room), within_seconds=120)


def serves(room: Room) -> bool:
    """Whether the front is up, and its own Mac's model ready."""
    answer = room.fleet("route", "list", "--json", expect=None)
    if answer.returncode:
        return False
    routes = json.loads(answer.stdout)
    upstreams = [one for route in found_routes(routes) if route["name"] == "law" for one in route["upstreams"]]
    return bool(upstreams) and all(one["state"] == "ready" for one in upstreams)


def found_routes(said: Any) -> list[dict[str, Any]]:
    """The routes of whatever front told them."""
    if isinstance(said, dict):
        return said["routes"] if "routes" in said else [one for value in said.values() for one in found_routes(value)]
    return [one for value in said for one in found_routes(value)] if isinstance(said, list) else []


def test_two_weeks_of_load_become_a_report_whose_every_figure_is_found_again(room: Room) -> None:
    teams = keys(room)
    room.fleet("deploy", "weekly.yml", "--yes", timeout=400)
    back = datetime.now(UTC).isoweekday()
    asyncio.run(load(room, teams, BEFORE, seed=1))
    a_week_passes(room, days=back + 7)
    asyncio.run(load(room, teams, NOW, seed=2))
    a_week_passes(room, days=back)

    week = str(last_whole_week(int(datetime.now(UTC).timestamp() * 1000)))
    told(room.fleet("rankings", "fetch").stdout)
    told(room.fleet("rankings", "diff", week, expect=None).stdout)
    said = room.fleet("weekly", "--playbook", "weekly.yml").stdout
    told(said)
    folder = room.folder / "reports" / week
    if SHOWN:
        shutil.copytree(folder, Path(SHOWN), dirs_exist_ok=True)
        photographed(Path(SHOWN))
    report = msgspec.json.decode((folder / "report.json").read_bytes(), type=Weekly)
    figures = {figure.id: figure for figure in report.figures()}
    assert report.fronts == ("mac-1",)
    assert figures["usage.all.requests"].value == sum(one.count for one in NOW)
    assert figures["usage.all.requests"].before == sum(one.count for one in BEFORE)
    assert {"Dollar track", "Gray pool gray-pool", "Tool calls", "Rankings"} == {one.subject for one in report.verdicts}
    share = figures["gray.gray-pool.gray_part"].value
    assert isinstance(share, float)
    assert 0.02 < share <= 0.10

    check = room.fleet("weekly", "--check", "--playbook", "weekly.yml")
    told(check.stdout)
    assert "0 with another answer" in check.stdout
    assert room.fleet("weekly", "--playbook", "weekly.yml").stdout.rstrip().endswith("(nothing new)")
    the_front_makes_its_own(room, week, report)


def photographed(folder: Path) -> None:
    """The page at the width of a desk and of a phone, for whoever looks; where there is a Chromium."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    for name, width, height in (("desk", 1280, 4200), ("phone", 390, 8600)) if browser else ():
        subprocess.run(
            [
                *(str(browser), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={folder / 'browser'}", f"--window-size={width},{height}"),
                *(f"--screenshot={folder / name}.png", (folder / "report.html").as_uri()),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
    shutil.rmtree(folder / "browser", ignore_errors=True)


def the_front_makes_its_own(room: Room, week: str, report: Weekly) -> None:
    """The Mac was off when the week ended: launchd's job makes up for it when it starts."""
    there = room.root("mac-1") / "var" / "reports"
    until(lambda: (there / week / "report.json").is_file(), within_seconds=240)
    own = msgspec.json.decode((there / week / "report.json").read_bytes(), type=Weekly)
    usage = {figure.id: figure.value for figure in own.figures() if figure.asked.__class__.__name__ == "UsageAsked"}
    assert usage
    seen = room.fleet("exec", "--on", "mac-1", "--", "cat", str(there / week / "report.md")).stdout
    assert week in seen
    assert usage == {one.id: one.value for one in report.figures() if one.id in usage}
    status = json.dumps(room.json("status", expect=None))
    assert WEEKLY not in status
