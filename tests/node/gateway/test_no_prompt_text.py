"""A planted phrase goes through a real front, there and back, in every way that a client has: no file has it.

`make show-no-prompt-text` says it in a whole simulated fleet as well (tests/integration/test_no_prompt_anywhere.py).
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import secrets
import signal
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from policy_kit import ANN, TERMS, a_key, text_of_key, write_front

from fleet.node.gateway.ledger.usage import usage
from fleet.sim.ports import free_port
from fleet.sim.upstreams.mlx import SimulatedMlx
from fleet.sim.upstreams.openrouter import SimulatedOpenRouter
from fleet.testing.search import files_with
from fleet.traffic.config import Listen
from fleet.traffic.policy import Policy, Scanning
from fleet.vocabulary.contracts.usage import Measure, UsageBy, UsageQuery
from fleet.vocabulary.names import Sensitivity

BOSS = a_key("boss", scopes=("admin", "inference"))
SECRET = "AKIA" + "ABCDEFGHIJKLMNOP"
TOOL = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}


def bodies(phrase: str) -> Iterator[tuple[str, dict[str, Any] | bytes]]:
    """Every way to say it: as text, in tools, in names, in what breaks, on every surface."""
    says = [{"role": "system", "content": f"you know {phrase}"}, {"role": "user", "content": f"say {phrase}"}]
    chat, asked = "/v1/chat/completions", {"model": "cheap", "max_tokens": 50}
    call = [{"role": "user", "content": f'@@tool=look args={{"at": "{phrase}"}}@@ {phrase}'}]
    bad = [{"role": "user", "content": f'@@tool=look args={{"at": {phrase}@@'}]
    tools = [{"type": "function", "function": {**TOOL, "description": phrase}}]
    for stream in (False, True):
        yield chat, {**asked, "messages": says, "stream": stream, "user": phrase, "metadata": {"of": phrase}}
        yield chat, {**asked, "messages": call, "stream": stream, "tools": tools}
        yield chat, {**asked, "messages": bad, "stream": stream, "tools": tools}
    for fault in ("err=500", "err=400", "cut=120,how=rst", "midfail=2", "body_error", "malformed=1", "drop"):
        yield chat, {**asked, "messages": [{"role": "user", "content": f"@@{fault}@@ {phrase}"}], "stream": True}
    yield chat, {**asked, "model": "home", "messages": says}
    yield chat, {**asked, "messages": [{"role": "user", "content": f"{SECRET} {phrase}"}]}
    yield chat, {**asked, "messages": phrase}
    yield chat, f'{{"messages": "{phrase}'.encode()
    yield "/v1/messages", {**asked, "messages": [{"role": "user", "content": phrase}]}
    yield "/v1/responses", {"model": "cheap", "input": phrase, "instructions": phrase}
    yield "/v1/completions", {"model": "home", "prompt": phrase, "max_tokens": 5}


@asynccontextmanager
async def front(folder: Path, config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with (folder / "said").open("ab") as said:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-s", "-m", "fleet.node.gateway", "--config", str(config)),
            stdout=said,
            stderr=said,
            cwd=folder,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ready(http: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process) -> None:
    """Until a paid route answers: the ledger is open, and its provider was asked."""
    body = {"model": "cheap", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
    async with asyncio.timeout(60):
        while process.returncode is None:
            try:
                async with http.post(f"{url}/v1/chat/completions", json=body) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
    raise AssertionError("the front ended")


async def test_what_is_said_through_a_front_is_in_no_file(tmp_path: Path) -> None:
    phrase = f"violet-{secrets.token_hex(8)}-otter"
    port, admin = free_port(), free_port()
    came_back, statuses = 0, []
    shown = {"Authorization": f"Bearer {text_of_key('boss')}", "x-fleet-session": f"about {phrase}"}
    async with SimulatedOpenRouter() as openrouter, SimulatedMlx() as mlx:
        config = write_front(
            tmp_path,
            openrouter,
            mlx,
            keys=(ANN, BOSS),
            listen=Listen(host="127.0.0.1", port=port),
            admin_port=admin,
            state_dir=str(tmp_path / "state"),
            policy=Policy(
                ledger_file=str(tmp_path / "state/ledger"),
                dollar=TERMS,
                scanning=Scanning(scan="all", raise_to=Sensitivity.SENSITIVE, taint_days=30),
            ),
        )
        url = f"http://127.0.0.1:{port}"
        async with front(tmp_path, config) as process, aiohttp.ClientSession(headers=shown) as http:
            await ready(http, url, process)
            for path, body in bodies(phrase):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                try:
                    async with http.post(url + path, data=data, headers={"Content-Type": "application/json"}) as answer:
                        statuses.append(answer.status)
                        came_back += phrase in await answer.text()
                except (aiohttp.ClientError, ConnectionError):
                    statuses.append(0)  # a stream that was cut
            for path in ("/admin/usage", "/admin/ledger"):
                asked = {"by": ["model"], **({"measures": list(Measure)} if path == "/admin/usage" else {})}
                async with http.post(f"http://127.0.0.1:{admin}{path}", json=asked) as answer:
                    (tmp_path / f"told{path.replace('/', '-')}").write_bytes(await answer.read())
                    assert answer.status == 200
            async with http.get(f"http://127.0.0.1:{admin}/admin/ledger/copy") as answer:
                (tmp_path / "copy.gz").write_bytes(await answer.read())
            async with http.get(f"{url}/metrics") as answer:
                (tmp_path / "metrics").write_bytes(await answer.read())
            process.send_signal(signal.SIGTERM)
            await process.wait()
        sent = sum(
            phrase in one.request.body.decode(errors="replace") for one in (*openrouter.exchanges, *mlx.exchanges)
        )

    assert sent >= 10, "it did go out"
    assert came_back >= 4, "and it did come back"
    assert {200, 400} <= set(statuses)
    (line, *_) = usage(tmp_path / "state/ledger", UsageQuery(by=(UsageBy.MODEL,)))
    assert line.requests >= 10
    assert sum(line.verdicts.values()) >= 4
    assert files_with(tmp_path, phrase)[1] == []
    assert files_with(tmp_path, SECRET)[1] == []


def test_the_search_finds_it_in_all_its_clothes(tmp_path: Path) -> None:
    phrase = "violet-0123456789abcdef-otter"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as packed:
        inner = gzip.compress(phrase.encode())
        member = tarfile.TarInfo("ledger.gz")
        member.size = len(inner)
        packed.addfile(member, io.BytesIO(inner))
    planted = {
        "plain": phrase.encode(),
        "json": json.dumps({"said": phrase}).encode(),
        "hex": phrase.encode().hex().encode(),
        "wide": phrase.encode("utf-16-le"),
        "packed": gzip.compress(phrase.encode()),
        "base64": base64.b64encode(b"ab" + phrase.encode() + b"c"),
        "archive": archive.getvalue(),
        phrase: b"",
    }
    for name, content in planted.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "innocent").write_bytes(b"violet otter")

    count, found = files_with(tmp_path, phrase)

    assert (count, {path.name for path in found}) == (len(planted) + 1, set(planted))
