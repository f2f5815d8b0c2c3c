"""Who is let in, and what the open doors tell."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
from typing import Any

import pytest
from aiohttp import web
from fake_mlx import hangs, head, recorded, sends
from gateway_harness import KEY, NODE_KEY, sidecar, until

from fleet.node.gateway.auth import host_allowed, shown_key
from fleet.node.gateway.config import Loaded
from fleet.traffic.config import GatewayConfig, Limits, Listen, Route
from fleet.traffic.keyring import HashedKey, KeyRing
from fleet.vocabulary.hosts import is_loopback
from fleet.vocabulary.names import GatewayRole

DOORS = ["/v1/models", "/v1/models/smol", "/node/snapshot", "/", "/v1/chat/completions", "/admin"]


@pytest.mark.parametrize("path", DOORS)
async def test_without_a_key_every_door_but_two_is_shut(start: Any, path: str) -> None:
    gateway = await start()
    for key in (None, "sk-wrong"):
        answer = await gateway.get(path, key=key)
        error = (await answer.json())["error"]
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert (error["code"], error["type"]) == ("invalid_api_key", "invalid_request_error")


async def test_both_ways_to_show_a_key_are_taken(start: Any) -> None:
    gateway = await start()
    assert (await gateway.get("/v1/models", key=None, **{"x-api-key": KEY})).status == 200
    assert (await gateway.get("/v1/models", key=None, Authorization=f"bearer  {KEY} ")).status == 200
    assert (await gateway.get("/v1/models", key=None, Authorization=f"Basic {KEY}")).status == 401


async def test_a_key_opens_only_what_its_scopes_say(start: Any) -> None:
    gateway = await start()
    answer = await gateway.get("/node/snapshot", key=KEY)
    assert answer.status == 403
    assert (await answer.json())["error"]["code"] == "insufficient_scope"
    assert (await gateway.get("/node/snapshot", key=NODE_KEY)).status == 404


async def test_no_other_page_may_drive_the_gateway(start: Any) -> None:
    gateway = await start()
    answer = await gateway.get("/v1/models", Origin="https://evil.example")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    options = await gateway.http.options(f"{gateway.url}/v1/models", headers={"x-api-key": KEY})
    assert options.status == 405


@pytest.mark.parametrize("path", ["/healthz", "/v1/models"])
async def test_a_rebound_name_is_refused(start: Any, path: str) -> None:
    gateway = await start(allowed_hosts=("fleet.example.net",))
    assert (await gateway.get(path, Host="evil.example")).status == 421
    assert (await gateway.get(path, Host="fleet.example.net:8790")).status == 200
    assert (await gateway.get(path, Host="mini-1.local")).status == 200


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8790", True),
        ("[::1]:8790", True),
        ("192.168.1.7", True),
        ("localhost", True),
        ("MINI-1:1", True),
        ("mini-1.local.", True),
        ("gateway.example", True),
        ("mini-1.evil.example", False),
        ("", False),
        ("[::1", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_a_host_is_ours_or_it_is_not(host: str, *, allowed: bool) -> None:
    config = GatewayConfig(
        node="mini-1",
        role=GatewayRole.EDGE,
        listen=Listen(host="127.0.0.1", port=1),
        keys_file="",
        allowed_hosts=("gateway.example",),
    )
    assert host_allowed(config, host) is allowed


def test_a_key_is_found_by_its_digest_and_nothing_else() -> None:
    config = GatewayConfig(node="n", role=GatewayRole.EDGE, listen=Listen(host="127.0.0.1", port=1), keys_file="k")
    ring = {"A" * 64: HashedKey(name="a", sha256="A" * 64), "é": HashedKey(name="b", sha256="é")}
    loaded = Loaded(config=config, keys=KeyRing(), sha256="", keys_by_sha256=ring)
    assert loaded.find_key("A" * 64) is None
    assert loaded.find_key(None) is None
    assert loaded.find_key("\udcff") is None
    assert shown_key({"Authorization": "Bearer"}) is None


def test_a_key_that_has_ended_is_no_key() -> None:
    config = GatewayConfig(node="n", role=GatewayRole.FRONT, listen=Listen(host="127.0.0.1", port=1), keys_file="k")
    digest = hashlib.sha256(b"sk-1").hexdigest()
    for ends, opens in ((1, False), (2**40, True), (None, True)):
        key = HashedKey(name="a", sha256=digest, expires_at_seconds=ends)
        loaded = Loaded(config=config, keys=KeyRing(), sha256="", keys_by_sha256={digest: key})
        assert (loaded.find_key("sk-1") is key) is opens


@pytest.mark.parametrize(
    ("host", "local"), [("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("x", False)]
)
def test_loopback_is_told_from_the_rest(host: str, *, local: bool) -> None:
    assert is_loopback(host) is local


async def test_headers_have_a_bound(start: Any) -> None:
    gateway = await start(limits=Limits(header_bytes=8000))
    answer = await gateway.get("/healthz", **{f"x-pad-{n}": "y" * 1000 for n in range(9)})
    assert answer.status == 431


async def test_an_unknown_door_answers_in_the_same_shape(start: Any) -> None:
    gateway = await start()
    answer = await gateway.get("/v1/nothing")
    assert answer.status == 404
    assert "/v1/nothing" in (await answer.json())["error"]["message"]


async def test_the_models_are_the_routes_and_the_served_names(start: Any, mlx: Any) -> None:
    fake, dead = await mlx(), await mlx(probe=sends(head(404) + recorded("err-generation-dead.txt")))
    gateway = await start(
        sidecar(fake, context_tokens=8192),
        sidecar(dead, "mini-1.big", serves="org/big:free"),
        routes=(Route(name="code", upstreams=("mini-1.chat", "mini-1.big")),),
    )
    live = gateway.gateway.upstreams.live
    await until(lambda: live["mini-1.chat"].readiness == "ready" and live["mini-1.big"].readiness == "down")
    listed = await (await gateway.get("/v1/models")).json()
    assert listed["object"] == "list"
    models = {entry["id"]: entry for entry in listed["data"]}
    assert list(models) == ["code", "smol", "org/big:free"]
    assert models["code"]["fleet"]["ready"] is True
    assert models["smol"]["context_length"] == 8192
    assert models["org/big:free"]["fleet"]["ready"] is False
    assert "not able to generate" in models["org/big:free"]["fleet"]["reason"]
    for path in ("/v1/models/org/big:free", "/v1/models/org%2Fbig%3Afree"):
        assert (await (await gateway.get(path)).json())["id"] == "org/big:free"
    assert (await gateway.get("/v1/models/none")).status == 404


async def test_ready_means_that_a_model_has_answered(start: Any, mlx: Any) -> None:
    fake = await mlx(probe=hangs)
    gateway = await start(sidecar(fake))
    answer = await gateway.get("/readyz", key=None)
    assert answer.status == 503
    assert (await answer.json()) == {"ready": False, "reasons": ["mini-1.chat: not proven yet"], "notes": []}
    assert gateway.gateway.upstreams.live["mini-1.chat"].readiness == "unknown"


async def test_a_server_that_is_healthy_but_cannot_answer_is_not_ready(start: Any, mlx: Any) -> None:
    fake = await mlx(probe=sends(head(404) + recorded("err-generation-dead.txt")))
    gateway = await start(sidecar(fake))
    await until(lambda: gateway.gateway.upstreams.live["mini-1.chat"].readiness == "down")
    fake.probe = fake.script
    await until(lambda: gateway.gateway.upstreams.live["mini-1.chat"].readiness == "ready")
    answer = await gateway.get("/readyz", key=None)
    assert answer.status == 200
    assert (await answer.json())["ready"] is True


async def test_without_upstreams_it_is_alive_and_not_ready(start: Any) -> None:
    gateway = await start()
    alive = await (await gateway.get("/healthz", key=None)).json()
    assert (alive["status"], alive["node"], alive["role"]) == ("ok", "mini-1", "edge")
    assert len(alive["config_sha256"]) == 64
    assert (await gateway.get("/readyz", key=None)).status == 503


async def test_the_snapshot_of_the_nodes_agent_is_shown_to_who_may_see_it(start: Any, tmp_path: Any) -> None:
    seen: list[str] = []

    async def snapshot(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({"node": "mini-1", "schema": 1})

    app = web.Application()
    app.router.add_get("/v1/snapshot", snapshot)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    token = tmp_path / "agent.token"
    token.write_text("agent-secret\n")
    gateway = await start(agent_port=runner.addresses[0][1], agent_token_file=str(token))
    answer = await gateway.get("/node/snapshot", key=NODE_KEY)
    assert (await answer.json())["node"] == "mini-1"
    assert set(seen) == {"Bearer agent-secret"}
    await runner.cleanup()
    async with asyncio.timeout(60):
        while (answer := await gateway.get("/node/snapshot", key=NODE_KEY)).status == 200:
            await asyncio.sleep(0.05)  # it is held for half a second
    body = await answer.text()
    assert answer.status == 503
    assert "agent-secret" not in body
    token.unlink()
    assert (await gateway.get("/node/snapshot", key=NODE_KEY)).status == 503


async def test_the_open_doors_tell_no_secret(start: Any, mlx: Any, tmp_path: Any) -> None:
    key = tmp_path / "up.key"
    key.write_text("sk-upstream-secret")
    key.chmod(0o600)
    gateway = await start(sidecar(await mlx(), key_file=str(key)))
    for path in ("/healthz", "/readyz"):
        body = await (await gateway.get(path, key=None)).text()
        assert "sk-" not in body
        assert str(tmp_path) not in body
    fake_saw = gateway.gateway.upstreams.live["mini-1.chat"]
    assert "sk-upstream" not in repr(fake_saw)


async def test_plain_curl_can_ask(start: Any, mlx: Any) -> None:
    import asyncio

    gateway = await start(sidecar(await mlx()))
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}]})
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", f"{gateway.url}/v1/chat/completions", "-H", f"Authorization: Bearer {KEY}", "-d", body,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert json.loads(out)["choices"][0]["message"]["content"] == "Hello from the scripted model."


async def test_bodies_together_have_a_bound_and_leave_no_trace(start: Any, mlx: Any) -> None:
    fake = await mlx(hangs)
    gateway = await start(sidecar(fake), limits=Limits(bodies_bytes=1000))
    first = asyncio.create_task(gateway.chat(messages=[{"role": "user", "content": "x" * 800}]))
    await fake.next()
    refused = await gateway.chat(messages=[{"role": "user", "content": "y" * 800}])
    assert refused.status == 503
    assert refused.headers["Retry-After"] == "2"
    assert (await refused.json())["error"]["code"] == "too_many_bytes"
    first.cancel()
    await until(lambda: gateway.gateway.front.surfaces.bodies.held_bytes == 0)


async def test_a_million_messages_are_refused_before_anybody_looks_at_them(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx()), limits=Limits(messages=3))
    answer = await gateway.chat(messages=[{"role": "user", "content": "x"}] * 4)
    assert (answer.status, (await answer.json())["error"]["code"]) == (400, "too_many_messages")
