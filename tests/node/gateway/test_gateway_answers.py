"""What a client gets: whole answers, clear errors, and nothing in between."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from fake_mlx import STREAM_HEAD, Exchange, chunk, hangs, head, recorded, resets, sends, sends_and_hangs
from gateway_harness import HELLO, KEY, QUICK, events, sidecar, text_of, until

from fleet.traffic.config import Limits, Route, Timeouts

SAID = "Hello from the scripted model."
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]


async def test_a_unary_answer_is_assembled_from_a_stream(start: Any, mlx: Any) -> None:
    fake = await mlx()
    gateway = await start(sidecar(fake))
    answer = await gateway.chat()
    body = await answer.json()
    assert answer.status == 200
    assert body["object"] == "chat.completion"
    assert body["model"] == "smol"
    assert body["choices"][0]["message"]["content"] == SAID
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] == 6
    sent = (await fake.next()).body
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_usage": True}
    assert sent["model"] == "default_model"
    assert sent["max_tokens"] == 4096
    assert gateway.books.words == ["ok"]


async def test_an_answer_says_where_it_came_from(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx()), routes=(Route(name="code", upstreams=("mini-1.chat",)),))
    for stream in (False, True):
        answer = await gateway.chat(model="code", stream=stream)
        assert answer.headers["x-fleet-request-id"].startswith("req_")
        assert answer.headers["x-fleet-route"] == "code"
        assert answer.headers["x-fleet-upstream"] == "mini-1.chat"
        assert answer.headers["x-fleet-model"] == "smol"
        assert answer.headers["x-fleet-attempts"] == "1"
        await answer.read()


async def test_a_streamed_answer_ends_with_done_and_hides_usage_nobody_asked_for(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx()))
    answer = await gateway.chat(stream=True)
    body = await answer.read()
    assert answer.content_type == "text/event-stream"
    assert "Content-Encoding" not in answer.headers
    assert text_of(body) == SAID
    assert events(body)[-1] == "[DONE]"
    assert b'"usage"' not in body
    assert b"default_model" not in body


async def test_usage_comes_before_done_when_it_is_asked_for(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx()))
    answer = await gateway.chat(stream=True, stream_options={"include_usage": True})
    last, done = events(await answer.read())[-2:]
    assert (last["choices"], last["usage"]["completion_tokens"], done) == ([], 6, "[DONE]")


async def test_a_tool_call_arrives_whole_in_both_forms(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx(sends(STREAM_HEAD + recorded("tool-call-stream.sse.txt")))))
    unary = (await (await gateway.chat(tools=TOOLS)).json())["choices"][0]
    assert unary["finish_reason"] == "tool_calls"
    assert json.loads(unary["message"]["tool_calls"][0]["function"]["arguments"]) == {"city": "Paris"}
    streamed = events(await (await gateway.chat(tools=TOOLS, stream=True)).read())
    assert streamed[0]["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] == "get_weather"


@pytest.mark.parametrize("model", ["default", None, ""])
async def test_a_client_that_names_no_model_gets_the_first_route(start: Any, mlx: Any, model: str | None) -> None:
    routes = (Route(name="first", upstreams=("mini-1.chat",)), Route(name="second", upstreams=("mini-1.chat",)))
    gateway = await start(sidecar(await mlx()), routes=routes)
    answer = await gateway.chat(model=model)
    assert answer.status == 200
    assert answer.headers["x-fleet-route"] == "first"


async def test_an_unknown_model_is_not_found_and_the_known_ones_are_named(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx(), serves="org/smol:free"))
    answer = await gateway.chat(model="/etc")
    error = (await answer.json())["error"]
    assert answer.status == 404
    assert error["code"] == "model_not_found"
    assert "org/smol:free" in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cut_stream_is_visible(start: Any, mlx: Any, *, stream: bool) -> None:
    fake = await mlx(sends(STREAM_HEAD + chunk(content="Half of")))
    gateway = await start(sidecar(fake))
    answer = await gateway.chat(stream=stream)
    if stream:
        got = events(await answer.read())
        assert got[0]["choices"][0]["delta"]["content"] == "Half of"
        assert got[-1]["error"]["code"] == "stream_truncated"
        assert got[-1]["choices"][0]["finish_reason"] == "error"
        assert got[-1]["id"] == "chatcmpl-1"
        assert "[DONE]" not in got
    else:
        assert answer.status == 502
        assert (await answer.json())["error"]["code"] == "stream_truncated"
    assert gateway.books.words == ["truncated"]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_inside_the_stream_is_an_error_for_the_client(start: Any, mlx: Any, *, stream: bool) -> None:
    bad = b'data: {"choices": [], "error": {"message": "out of memory"}}\n\ndata: [DONE]\n\n'
    gateway = await start(sidecar(await mlx(sends(STREAM_HEAD + chunk(content="x") + bad))))
    answer = await gateway.chat(stream=stream)
    if stream:
        got = events(await answer.read())
        assert "out of memory" in got[-1]["error"]["message"]
        assert "[DONE]" not in got
    else:
        assert answer.status == 502
        assert "out of memory" in (await answer.json())["error"]["message"]


async def test_a_malformed_event_does_not_end_a_stream_but_no_unary_answer_is_made_of_it(start: Any, mlx: Any) -> None:
    text = STREAM_HEAD + chunk(content="a") + b'data: {"choices": [{\n\n' + chunk(content="b") + chunk("stop")
    gateway = await start(sidecar(await mlx(sends(text + b"data: [DONE]\n\n"))))
    body = await (await gateway.chat(stream=True)).read()
    assert b'data: {"choices": [{\n\n' in body
    assert body.endswith(b"data: [DONE]\n\n")
    assert (await gateway.chat()).status == 502


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("err-bad-temperature.txt", 400, "temperature must be"),
        ("err-content-type-image.txt", 400, "Only 'text'"),
        ("err-generation-dead.txt", 503, "not able to generate"),
        ("err-unknown-model-offline.txt", 502, "could not load"),
        ("err-unknown-path.txt", 502, "does not offer"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstreams_error_is_rewrapped(
    start: Any, mlx: Any, name: str, status: int, words: str, *, stream: bool
) -> None:
    code = 400 if "temperature" in name else 404
    gateway = await start(sidecar(await mlx(sends(head(code) + recorded(name)))))
    answer = await gateway.chat(stream=stream)
    error = (await answer.json())["error"]
    assert answer.status == status
    assert words in error["message"]
    assert set(error) == {"message", "type", "param", "code"}
    assert ("Retry-After" in answer.headers) is (status == 503)


async def test_an_upstreams_401_is_never_the_clients(start: Any, mlx: Any) -> None:
    fake = await mlx(sends(head(401) + b'{"error": {"message": "Incorrect API key: sk-secret123"}}'))
    gateway = await start(sidecar(fake, engine="openai_compatible", kind="api"))
    answer = await gateway.chat()
    body = await answer.text()
    assert answer.status == 502
    assert "sk-secret" not in body


async def test_another_upstream_is_asked_before_the_first_token(start: Any, mlx: Any) -> None:
    dead = await mlx(sends(head(404) + recorded("err-generation-dead.txt")), probe=hangs)
    good = await mlx()
    gateway = await start(sidecar(dead, "a"), sidecar(good, "b"))
    await until(lambda: gateway.gateway.upstreams.live["b"].readiness == "ready")
    gateway.gateway.upstreams.live["b"].load.outstanding_tokens = 5000  # so that `a` is asked first
    answer = await gateway.chat()
    assert answer.status == 200
    assert answer.headers["x-fleet-upstream"] == "b"
    assert answer.headers["x-fleet-attempts"] == "2"
    assert gateway.gateway.upstreams.live["a"].circuit.opens_at is not None


async def test_after_the_first_token_nobody_else_is_asked(start: Any, mlx: Any) -> None:
    one, two = await mlx(sends(STREAM_HEAD + chunk(content="x"))), await mlx(sends(STREAM_HEAD + chunk(content="y")))
    gateway = await start(sidecar(one, "a"), sidecar(two, "b"))
    got = events(await (await gateway.chat(stream=True)).read())
    assert [one["choices"][0]["finish_reason"] for one in got] == [None, "error"]


async def test_a_role_without_text_does_not_commit(start: Any, mlx: Any) -> None:
    cut, good = await mlx(sends(STREAM_HEAD + chunk())), await mlx()
    gateway = await start(sidecar(cut, "a"), sidecar(good, "b"))
    gateway.gateway.upstreams.live["b"].load.in_flight = 5
    body = await (await gateway.chat(stream=True)).read()
    assert text_of(body) == SAID


async def test_connections_that_are_reset_at_once_are_tried_again(start: Any, mlx: Any) -> None:
    fake = await mlx(resets)
    gateway = await start(sidecar(fake))
    task = asyncio.create_task(gateway.chat())
    await fake.next()
    await fake.next()

    async def well(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + recorded("chat-stream.sse.txt"))

    fake.script = well
    assert (await task).status == 200
    assert len(gateway.books.outcomes[0].call.tried) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_with_nobody_there_the_refusal_is_quick_and_clear(start: Any, mlx: Any, *, stream: bool) -> None:
    fake = await mlx()
    gateway = await start(sidecar(fake))
    await fake.stop()
    async with asyncio.timeout(60):
        answer = await gateway.chat(stream=stream)
        again = await gateway.chat(stream=stream)
    for one in (answer, again):
        assert one.status == 503
        assert int(one.headers["Retry-After"]) >= 1
        assert "mini-1.chat" in (await one.json())["error"]["message"]
    await fake.start(fake.port)
    await until(lambda: gateway.gateway.upstreams.live["mini-1.chat"].readiness == "ready")
    assert (await gateway.chat()).status == 200


async def test_a_zombie_is_given_up_at_the_first_token_limit(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx(hangs)), timeouts=Timeouts(first_token_seconds=0.1, commit_seconds=5))
    answer = await gateway.chat(stream=True)
    assert answer.status == 504
    assert (await answer.json())["error"]["type"] == "upstream_error"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stream_that_falls_silent_ends_in_an_error(start: Any, mlx: Any, *, stream: bool) -> None:
    fake = await mlx(sends_and_hangs(STREAM_HEAD + chunk(content="x")))
    gateway = await start(sidecar(fake), timeouts=Timeouts(idle_seconds=0.1))
    answer = await gateway.chat(stream=stream)
    if stream:
        assert "said nothing" in events(await answer.read())[-1]["error"]["message"]
    else:
        assert answer.status == 504
    await until((await fake.next()).gone.is_set)


async def test_the_total_time_is_bounded(start: Any, mlx: Any) -> None:
    fake = await mlx(sends_and_hangs(STREAM_HEAD + chunk(content="x")))
    gateway = await start(sidecar(fake), timeouts=Timeouts(total_seconds=0.2))
    got = events(await (await gateway.chat(stream=True)).read())
    assert got[-1]["error"]["code"] == "timeout"


async def test_a_long_prefill_is_bridged_by_comments_and_a_late_failure_is_in_the_stream(start: Any, mlx: Any) -> None:
    fake = await mlx(hangs)
    gateway = await start(sidecar(fake), timeouts=Timeouts(commit_seconds=0.05, keepalive_seconds=0.05))
    answer = await gateway.chat(stream=True)
    assert answer.status == 200
    assert await answer.content.readline() == b": fleet-keepalive\n"
    await answer.content.readline()
    assert await answer.content.readline() == b": fleet-keepalive\n"
    exchange = await fake.next()
    await exchange.send(STREAM_HEAD + recorded("chat-stream.sse.txt"))
    exchange.gone.set()
    assert text_of(await answer.read()) == SAID

    late = await gateway.chat(stream=True)
    assert late.status == 200
    lost = await fake.next()
    await lost.send(STREAM_HEAD + b": fleet-keepalive 1/9\n\n")
    lost.writer.transport.abort()
    got = events(await late.read())
    assert got[-1]["error"]["message"]
    assert "[DONE]" not in got


async def test_another_upstream_is_still_asked_after_the_comments(start: Any, mlx: Any) -> None:
    slow, good = await mlx(hangs), await mlx()
    gateway = await start(
        sidecar(slow, "a"), sidecar(good, "b"), timeouts=Timeouts(commit_seconds=0.05, first_token_seconds=1)
    )
    gateway.gateway.upstreams.live["b"].load.in_flight = 5
    answer = await gateway.chat(stream=True)
    body = await answer.read()
    assert body.startswith(b": fleet-keepalive")
    assert text_of(body) == SAID


async def test_a_full_upstream_makes_clients_wait_and_then_sends_them_away(start: Any, mlx: Any) -> None:
    fake = await mlx(hangs)
    gateway = await start(sidecar(fake, max_in_flight=1))
    first = asyncio.create_task(gateway.chat())
    exchange = await fake.next()
    turned_away = await gateway.chat()
    assert turned_away.status == 429
    assert int(turned_away.headers["Retry-After"]) >= 1
    waiting = asyncio.create_task(gateway.chat())
    await exchange.send(STREAM_HEAD + recorded("chat-stream.sse.txt"))
    exchange.gone.set()
    assert (await first).status == 200
    second = await fake.next()
    await second.send(STREAM_HEAD + recorded("chat-stream.sse.txt"))
    second.gone.set()
    assert (await waiting).status == 200
    await until(lambda: gateway.gateway.upstreams.live["mini-1.chat"].in_flight == 0)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"[1]", 400, "invalid_json"),
        (b"\xff\xfe", 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"model": 5}', 400, "invalid_type"),
        (b'{"model": "smol", "stream": "yes"}', 400, "invalid_type"),
        (b'{"model": "smol"}', 400, "invalid_value"),
        (b'{"model": "smol", "messages": [{"role": "user", "content": "x"}], "max_tokens": 0}', 400, "invalid_value"),
        (b'{"x": "' + b"y" * 200_001 + b'"}', 413, "request_too_large"),
    ],
)
async def test_a_bad_request_gets_one_clear_error(start: Any, mlx: Any, body: bytes, status: int, code: str) -> None:
    fake = await mlx()
    gateway = await start(sidecar(fake), limits=Limits(body_bytes=200_000))
    url, headers = f"{gateway.url}/v1/chat/completions", {"x-api-key": KEY}
    answer = await gateway.http.post(url, data=body, headers=headers)
    assert answer.status == status
    assert (await answer.json())["error"]["code"] == code
    assert all(exchange.probe for exchange in fake.exchanges)


async def test_a_slow_reader_holds_the_upstream_back(start: Any, mlx: Any) -> None:
    """Backpressure: what the client does not read, the gateway does not collect."""
    piece, sent = chunk(content="y" * 60_000), 0

    async def floods(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.send(STREAM_HEAD)
        while sent < 4000 and not exchange.gone.is_set():
            await exchange.send(piece)
            sent += 1

    fake = await mlx(floods)
    gateway = await start(sidecar(fake), timeouts=QUICK)
    answer = await gateway.chat(stream=True)
    seen = -1
    async with asyncio.timeout(60):
        while seen != sent:
            seen = sent
            await asyncio.sleep(0.3)
    assert sent < 400
    answer.close()
    await until((await fake.next()).gone.is_set)


async def test_the_openai_sdks_helper_joins_deltas_to_one_answer(start: Any, mlx: Any) -> None:
    import openai

    gateway = await start(sidecar(await mlx()))
    async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        async with client.chat.completions.stream(model="smol", messages=HELLO) as stream:  # type: ignore[arg-type]
            final = await stream.get_final_completion()
        assert final.choices[0].message.role == "assistant"
        assert final.choices[0].message.content == SAID


async def test_the_openai_sdk_raises_on_a_cut_stream(start: Any, mlx: Any) -> None:
    import openai

    gateway = await start(sidecar(await mlx(sends(STREAM_HEAD + chunk(content="x")))))
    async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        stream = await client.chat.completions.create(model="smol", messages=HELLO, stream=True)  # type: ignore[call-overload]
        with pytest.raises(openai.APIError, match="cut off"):
            async for _ in stream:
                pass


async def test_a_client_of_the_old_protocol_gets_its_stream_too(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx()))
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps({"model": "smol", "messages": HELLO, "stream": True}).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.0\r\nx-api-key: %b\r\nContent-Length: %d\r\n\r\n" % (KEY.encode(), len(body))
    )
    writer.write(body)
    answer = await reader.read()
    writer.close()
    assert answer.endswith(b"data: [DONE]\n\n")


async def test_a_request_in_pieces_is_put_together(start: Any, mlx: Any) -> None:
    gateway = await start(sidecar(await mlx()))

    async def pieces() -> Any:
        for byte in json.dumps({"model": "smol", "messages": HELLO}).encode():
            yield bytes((byte,))

    answer = await gateway.http.post(f"{gateway.url}/v1/chat/completions", data=pieces(), headers={"x-api-key": KEY})
    assert answer.status == 200
    assert isinstance(answer, aiohttp.ClientResponse)


async def test_a_long_unary_answer_of_an_api_is_whole(start: Any, mlx: Any) -> None:
    long = b'{"id": "x", "choices": [{"index": 0, "message": {"content": "%b"}, "finish_reason": "stop"}]}' % (
        b"y" * 500_000
    )
    head_of = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(long)
    fake = await mlx(sends(head_of + long))
    gateway = await start(sidecar(fake, engine="openai_compatible", kind="api"))
    answer = await gateway.chat()
    assert answer.status == 200
    assert len((await answer.json())["choices"][0]["message"]["content"]) == 500_000
