"""Issue 8, show 5: a planted phrase goes through a whole simulated fleet and comes back; no file of it has it.

Every Mac, every log, every ledger, the project, its runs and a backup are searched. What the suite looks at in every
run is tests/node/gateway/test_no_prompt_text.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from fleet.testing.search import files_with
from tests.integration.conftest import Room, open_room
from tests.integration.story import front_url, gateway_key, trust, until
from tests.integration.streams import told

pytestmark = [pytest.mark.long, pytest.mark.model, pytest.mark.timeout(900)]

GATEWAY = "org.fleet-macs.gateway"
TOOL = {"type": "function", "function": {"name": "look", "parameters": {
    "type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}}}  # fmt: skip


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A front with a ledger and a scanner, an API, and a Mac with a model of its own."""
    made = open_room(tmp_path_factory.mktemp("phrase"), nodes=2, deployed=False)
    try:
        made.set_variables(
            group="front",
            budgets={"dollar": {"monthly_usd": 4}, "fleet": {"monthly_usd": 6}},
            labels={"scan": "all", "taint_days": 30},
            routes={
                "token-track": {"models": ["echo-small"], "track": "token"},
                "dollar-track": {"models": ["echo-large"], "track": "dollar", "folds_to": "token-track"},
                "law": {"models": ["scripted"], "track": "private"},
            },
            default_route="token-track",
        )
        made.fleet("deploy", "--yes")
        yield made
    finally:
        made.sim("down")


async def say(room: Room, phrase: str) -> int:
    """In how many answers it came back."""
    came_back = 0
    shown = {"Authorization": f"Bearer {gateway_key(room)}", "x-fleet-session": phrase}
    connector = aiohttp.TCPConnector(ssl=trust(room))
    async with aiohttp.ClientSession(front_url(room), connector=connector, headers=shown) as http:
        for model in ("token-track", "dollar-track", "law", "no-such-model"):
            for stream in (False, True):
                for said in (
                    phrase,
                    f'@@tool=look args={{"at": "{phrase}"}}@@',
                    f"@@err=500@@ {phrase}",
                    "@@cut=99@@ " + phrase,
                ):
                    body: dict[str, Any] = {"model": model, "stream": stream, "max_tokens": 40, "user": phrase}
                    body |= {"messages": [{"role": "user", "content": said}], "tools": [TOOL]}
                    try:
                        async with http.post(
                            "/v1/chat/completions", json=body, headers={"x-fleet-ticket": "SEC-1"}
                        ) as answer:
                            came_back += phrase in await answer.text()
                    except aiohttp.ClientError:
                        pass
        async with http.post("/v1/chat/completions", data=f'{{"messages": "{phrase}') as answer:
            assert answer.status == 400
    return came_back


def test_what_is_said_in_a_fleet_is_in_no_file_of_it(room: Room) -> None:
    phrase = f"violet-{secrets.token_hex(8)}-otter"
    before = int(str(room.services("mac-1")[GATEWAY]["pid"]))

    came_back = asyncio.run(say(room, phrase))
    room.fleet("ask", "--route", "token-track", f"say {phrase}")
    room.fleet("ask", "--route", "law", f"say {phrase}")
    os.kill(before, signal.SIGKILL)
    until(lambda: int(str(room.services("mac-1")[GATEWAY].get("pid") or before)) != before)
    until(lambda: room.fleet("ask", "--route", "token-track", phrase, expect=None).returncode == 0)
    lines = json.loads(room.fleet("usage", "--by", "tier,model", "--json").stdout)["lines"]
    for number, words in enumerate(
        (("usage",), ("ledger", "--csv"), ("status", "--json"), ("logs", "mac-1", "gateway"))
    ):
        (room.folder / f"said-{number}").write_text(room.fleet(*words, expect=None).stdout)
    room.fleet("backup", "fleet.tar.gz")
    room.fleet("deploy", "--yes")
    count, found = files_with(room.folder, phrase)

    assert came_back >= 2, "it came back: the front had the answers in its hands"
    assert {line["tier"] for line in lines} >= {"api", "fleet"}
    assert sum(line["requests"] for line in lines) >= 20
    assert found == []
    (room.folder / "control").write_text(phrase)
    assert files_with(room.folder, phrase) == (count + 1, [room.folder / "control"])
    told(f"{count} files of the fleet searched after {came_back} answers with the phrase: it is in none of them")
