"""A front and its edges: pinned keys, and what an edge says of its models."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_mlx import head, recorded, sends
from gateway_harness import NODE_KEY, Identity, Start, events, sidecar, text_of, until

from fleet.node.gateway.probing import edge_says
from fleet.traffic.config import Listen, Upstream
from fleet.vocabulary.names import Intent

PLAIN = Listen(host="127.0.0.1", port=1)


@pytest.fixture
def edge_of(tmp_path: Path) -> Callable[..., Upstream]:
    def make(url: str, pin: str, *, key: str = NODE_KEY, name: str = "mini-2/smol", **changes: Any) -> Upstream:
        file = tmp_path / f"{name.replace('/', '-')}.key"
        file.write_text(key)
        file.chmod(0o600)
        values = {"name": name, "kind": "edge", "url": url, "engine": "mlx_lm", "serves": "smol", "model": "smol"}
        return Upstream(**{**values, "pin": pin, "key_file": str(file), **changes})

    return make


async def test_an_answer_comes_through_front_and_edge(
    start: Start, mlx: Any, identity: Callable[[str], Identity], edge_of: Any
) -> None:
    fake, tls = await mlx(), identity("edge")
    edge = await start(sidecar(fake), listen=tls.listen)
    front = await start(edge_of(edge.url, tls.pin), listen=PLAIN, name="front")
    await until(lambda: front.gateway.upstreams.live["mini-2/smol"].readiness == "ready")
    unary = await front.chat(seed=7)
    assert (await unary.json())["choices"][0]["message"]["content"] == "Hello from the scripted model."
    assert unary.headers["x-fleet-upstream"] == "mini-2/smol"
    assert "seed" not in (await fake.next()).body
    body = await (await front.chat(stream=True, stream_options={"include_usage": True})).read()
    assert text_of(body) == "Hello from the scripted model."
    assert events(body)[-2]["usage"]["completion_tokens"] == 6
    assert (await front.get("/readyz", key=None)).status == 200


async def test_the_connection_to_an_edge_serves_again_after_a_whole_answer(
    start: Start, mlx: Any, identity: Callable[[str], Identity], edge_of: Any
) -> None:
    tls = identity("edge")
    edge = await start(sidecar(await mlx()), listen=tls.listen)
    front = await start(edge_of(edge.url, tls.pin), listen=PLAIN, name="front")
    await until(lambda: front.gateway.upstreams.live["mini-2/smol"].readiness == "ready")
    for stream in (False, True, False, True):
        await (await front.chat(stream=stream)).read()
    server = edge.gateway.runner.server
    assert server is not None
    assert len(server.connections) <= 2


async def test_nothing_is_sent_to_a_peer_with_another_key(
    start: Start, identity: Callable[[str], Identity], edge_of: Any
) -> None:
    impostor, real = identity("impostor"), identity("edge")
    got: list[bytes] = []

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            got.append(await reader.read())
        except (ConnectionError, ssl.SSLError):
            got.append(b"")
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(impostor.listen.certificate_file), str(impostor.listen.key_file))
    server = await asyncio.start_server(listens, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    front = await start(edge_of(url, real.pin), listen=PLAIN)
    await until(lambda: front.gateway.upstreams.live["mini-2/smol"].readiness == "down")
    for stream in (False, True):
        answer = await front.chat(stream=stream)
        assert answer.status == 503
        assert "not the node that was adopted" in (await answer.json())["error"]["message"]
    server.close()
    assert b"".join(got) == b""
    assert impostor.pin != real.pin


async def test_an_edge_that_refuses_the_fronts_key_is_the_fronts_trouble(
    start: Start, mlx: Any, identity: Callable[[str], Identity], edge_of: Any
) -> None:
    tls = identity("edge")
    edge = await start(sidecar(await mlx()), listen=tls.listen)
    front = await start(edge_of(edge.url, tls.pin, key="sk-old-key"), listen=PLAIN, name="front")
    await until(lambda: front.gateway.upstreams.live["mini-2/smol"].readiness == "down")
    answer = await front.chat()
    body = await answer.text()
    assert answer.status == 503
    assert "refused the gateway's key" in body
    assert "sk-old" not in body


async def test_a_front_leaves_out_an_edge_whose_model_is_down(
    start: Start, mlx: Any, identity: Callable[[str], Identity], edge_of: Any
) -> None:
    tls = identity("edge")
    dead = await mlx(probe=sends(head(404) + recorded("err-generation-dead.txt")))
    bad = await start(sidecar(dead), listen=tls.listen)
    good = await start(sidecar(await mlx()), listen=tls.listen, name="good")
    front = await start(
        edge_of(bad.url, tls.pin, name="bad"), edge_of(good.url, tls.pin, name="good"), listen=PLAIN, name="front"
    )
    live = front.gateway.upstreams.live
    await until(lambda: live["bad"].readiness == "down" and live["good"].readiness == "ready")
    answer = await front.chat()
    assert answer.headers["x-fleet-upstream"] == "good"
    assert answer.headers["x-fleet-attempts"] == "1"


async def test_a_bad_request_keeps_its_reason_through_two_gateways(
    start: Start, mlx: Any, identity: Callable[[str], Identity], edge_of: Any
) -> None:
    tls = identity("edge")
    edge = await start(sidecar(await mlx(), context_tokens=10), listen=tls.listen)
    front = await start(edge_of(edge.url, tls.pin), listen=PLAIN, name="front")
    answer = await front.chat(messages=[{"role": "user", "content": "x" * 1000}])
    error = (await answer.json())["error"]
    assert answer.status == 400
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        (b'{"data": [{"id": "m"}]}', None),
        (b'{"data": [{"id": "m", "fleet": {"ready": true}}]}', None),
        (b'{"data": [{"id": "m", "fleet": {"ready": false, "reason": "why"}}]}', "why"),
        (b'{"data": [{"id": "m", "fleet": {}}]}', "not ready"),
        (b'{"data": [{"id": "x"}]}', "it does not serve 'm'"),
        (b'{"data": 5}', "it does not serve 'm'"),
        (b"", "its list of models cannot be read"),
        (recorded("models-no-cache-dir.txt"), "its list of models cannot be read"),
        (recorded("models.txt"), "it does not serve 'm'"),
        (b"[1]", "it does not serve 'm'"),
    ],
)
def test_a_list_of_models_of_any_shape_is_read(listed: bytes, reason: str | None) -> None:
    assert edge_says(listed, "m").reason == (reason or "")


async def test_a_front_calls_a_drained_edge_drained_and_takes_it_back(
    start: Any, mlx: Any, identity: Any, edge_of: Any
) -> None:
    tls = identity("edge")
    edge = await start(sidecar(await mlx()), listen=tls.listen)
    front = await start(edge_of(edge.url, tls.pin), listen=PLAIN, name="front")
    seen = next(iter(front.gateway.upstreams.live.values()))
    await until(lambda: seen.readiness == "ready")
    own = edge.gateway.upstreams.live["mini-1.chat"]
    own.intent = Intent.DRAINED
    await until(lambda: seen.intent is Intent.DRAINED)
    refused = await front.chat()
    assert (refused.status, (await refused.json())["error"]["code"]) == (503, "draining")
    assert (await edge.get("/readyz")).status == 503
    assert (await edge.get("/readyz?drained=ok")).status == 200
    own.intent = Intent.SERVING
    await until(lambda: seen.intent is Intent.SERVING)
    assert (await front.chat()).status == 200
