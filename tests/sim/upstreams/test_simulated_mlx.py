"""The simulated mlx_lm.server over a raw socket, against the recordings of the real one."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from raw_http import Raw, ask

from fleet.engines import ErrorKind, UpstreamFacts, engine
from fleet.sim.upstreams.mlx import Mode, SimulatedMlx
from fleet.traffic.chat_stream import ChatStreamReader, Done, Fault

CHAT = "/v1/chat/completions"
SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "mlx"
USAGE = {"include_usage": True}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]


@pytest.fixture(name="mlx")
async def _mlx() -> AsyncIterator[SimulatedMlx]:
    async with SimulatedMlx() as running:
        yield running


def a_chat(text: str = "Hello there", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


async def chat(mlx: SimulatedMlx, text: str = "Hello there", **more: Any) -> Raw:
    return await ask(mlx.port, CHAT, a_chat(text, **more))


async def streamed(mlx: SimulatedMlx, text: str = "Hello there", **more: Any) -> Raw:
    return await chat(mlx, text, **{"stream": True, "stream_options": USAGE, **more})


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.005)


def recorded(name: str) -> tuple[dict[str, Any], Raw]:
    text = (SAMPLES / name).read_bytes()
    body = next(line[2:] for line in text.decode().splitlines() if line.startswith("> {"))
    _, _, answer = text[text.index(b"< HTTP") :].partition(b"\n\n")
    return json.loads(body), Raw(b"HTTP/1.0 200 OK\r\n\r\n" + answer, "fin", 1)


async def test_a_stream_is_http_1_0_and_ends_with_the_connection(mlx: SimulatedMlx) -> None:
    answer = await streamed(mlx)
    assert answer.head.startswith("HTTP/1.0 200")
    assert "transfer-encoding" not in answer.headers
    assert answer.end == "fin"
    assert answer.comments == [": keepalive 2/2"]
    assert answer.text == "You said: Hello there"
    assert answer.events[-1] == "[DONE]"


@pytest.mark.parametrize("name", ["chat-stream-usage.sse.txt", "chat-stream.sse.txt", "completion-stream.sse.txt"])
async def test_chunks_have_the_fields_of_the_recording(mlx: SimulatedMlx, name: str) -> None:
    body, real = recorded(name)
    path = "/v1/completions" if "prompt" in body else CHAT
    ours = await ask(mlx.port, path, body)
    for at in (0, -1):
        one, other = ours.parsed[at], real.parsed[at]
        assert list(one) == list(other)
        assert one["object"] == other["object"]
        assert [list(choice) for choice in one["choices"]] == [list(choice) for choice in other["choices"]]
    assert ours.finishes[-1] == "stop"


async def test_a_whole_answer_has_the_fields_of_the_recording(mlx: SimulatedMlx) -> None:
    body, real = recorded("chat.json.txt")
    answer = await ask(mlx.port, CHAT, body)
    assert list(answer.json) == list(real.json)
    assert list(answer.json["choices"][0]["message"]) == list(real.json["choices"][0]["message"])
    assert answer.json["usage"].keys() == real.json["usage"].keys()
    assert int(answer.headers["content-length"]) == len(answer.body)


async def test_a_call_comes_whole_in_one_delta(mlx: SimulatedMlx) -> None:
    answer = await streamed(mlx, '@@tool=get_weather {"city": "Paris"}@@', tools=TOOLS)
    _, real = recorded("tool-call-stream.sse.txt")
    delta, theirs = answer.parsed[0]["choices"][0]["delta"], real.parsed[0]["choices"][0]["delta"]
    assert list(delta["tool_calls"][0]) == list(theirs["tool_calls"][0])
    assert delta["tool_calls"][0]["function"] == theirs["tool_calls"][0]["function"]
    assert answer.finishes == [None, "tool_calls"]
    whole = await chat(mlx, '@@tool=get_weather {"city": "Paris"}@@', tools=TOOLS)
    assert "index" not in whole.json["choices"][0]["message"]["tool_calls"][0]


async def test_a_dropped_call_is_only_seen_in_the_finish(mlx: SimulatedMlx) -> None:
    answer = await streamed(mlx, "@@tool=get_weather@@ @@dropped@@", tools=TOOLS)
    assert answer.finishes == ["tool_calls"]
    assert b'tool_calls": [' not in answer.body


async def test_stream_options_without_usage_end_without_done(mlx: SimulatedMlx) -> None:
    answer = await streamed(mlx, stream_options={})
    assert answer.finishes[-1] == "stop"
    assert "[DONE]" not in answer.events
    assert not any("usage" in one for one in (await streamed(mlx, stream_options=None)).parsed)


async def test_an_answer_stops_at_512_tokens_when_nobody_says_more(mlx: SimulatedMlx) -> None:
    answer = await chat(mlx, "@@tokens=600@@")
    assert answer.json["usage"]["completion_tokens"] == 512
    assert answer.json["choices"][0]["finish_reason"] == "length"
    assert (await chat(mlx, "@@tokens=600@@", max_tokens=700)).json["usage"]["completion_tokens"] == 600


async def test_the_beginning_of_a_prompt_is_cached(mlx: SimulatedMlx) -> None:
    first = await chat(mlx, "x" * 400 + "one")
    again = await chat(mlx, "x" * 400 + "two")
    assert first.json["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
    assert again.json["usage"]["prompt_tokens_details"]["cached_tokens"] >= 99


async def test_a_long_prompt_is_read_in_steps() -> None:
    async with SimulatedMlx(step_tokens=100) as mlx:
        answer = await streamed(mlx, "x" * 1000)
    assert answer.comments == [": keepalive 100/250", ": keepalive 200/250", ": keepalive 250/250"]


@pytest.mark.parametrize(
    "name",
    [
        "err-bad-temperature.txt",
        "err-content-type-image.txt",
        "err-malformed-json.txt",
        "err-max-tokens-0.txt",
        "err-no-messages.txt",
        "err-not-dict.txt",
        "err-unknown-model-offline.txt",
    ],
)
async def test_bad_requests_are_refused_as_the_real_one_does(mlx: SimulatedMlx, name: str) -> None:
    text = (SAMPLES / name).read_text()
    body = next(line[2:] for line in text.splitlines()[1:] if line.startswith("> "))
    answer = await ask(mlx.port, CHAT, body.encode())
    real = engine("mlx_lm").map_error(int(text[text.index("< HTTP") :].split()[2]), text.partition("\n\n{")[2].encode())
    error = engine("mlx_lm").map_error(answer.status, answer.body)
    assert f"< HTTP {answer.status}" in text
    if "malformed" not in name:
        assert answer.body.decode() in text
        assert error.message
    assert error.kind in (real.kind, ErrorKind.MISCONFIGURED, ErrorKind.BAD_REQUEST)


async def test_an_older_server_closes_on_a_bad_request_without_a_word() -> None:
    async with SimulatedMlx(mode=Mode.RUDE) as mlx:
        answer = await chat(mlx, temperature="hot")
        assert (answer.data, answer.end) == (b"", "fin")
        assert (await chat(mlx)).status == 200


async def test_a_zombie_is_healthy_and_answers_nothing(mlx: SimulatedMlx) -> None:
    mlx.mode = Mode.ZOMBIE
    assert (await ask(mlx.port, "/health")).json == {"status": "ok"}
    answer = await ask(mlx.port, CHAT, a_chat(max_tokens=1), patience=0.2)
    assert (answer.data, answer.end) == (b"", "open")


async def test_a_dead_server_says_so_in_two_ways(mlx: SimulatedMlx) -> None:
    await ask(mlx.port, "/_sim/faults", {"mode": "dead"})
    assert (await ask(mlx.port, "/health")).status == 503
    answer = await chat(mlx)
    assert (answer.status, answer.json) == (404, {"error": "generation thread died"})


async def test_what_it_does_not_offer_is_not_found(mlx: SimulatedMlx) -> None:
    answer = await ask(mlx.port, "/v1/embeddings", {"input": "x"})
    assert (answer.status, answer.body) == (404, b"Not Found")


async def test_a_client_that_left_is_noticed_by_the_next_token(mlx: SimulatedMlx) -> None:
    await ask(mlx.port, CHAT, a_chat("@@tokens=500,gap=5@@", stream=True), leave_after=b"w2 ")
    exchange = await mlx.next()
    await until(lambda: exchange.ended_at)
    assert exchange.closed_at is not None
    assert exchange.ended_at is not None
    assert exchange.ended_at >= exchange.closed_at
    assert 3 <= exchange.generated_tokens < 500


async def test_a_unary_request_runs_to_its_end_when_nobody_waits(mlx: SimulatedMlx) -> None:
    await ask(mlx.port, CHAT, a_chat("@@tokens=30,gap=5@@"), patience=0.03)
    exchange = await mlx.next()
    await until(lambda: exchange.ended_at)
    assert exchange.closed_at is not None
    assert exchange.generated_tokens == 30


async def test_within_a_call_nothing_is_said_and_nobody_noticed(mlx: SimulatedMlx) -> None:
    body = a_chat("@@tool=get_weather@@ @@silent=150@@", stream=True, tools=TOOLS)
    await ask(mlx.port, CHAT, body, leave_after=b"keepalive")
    exchange = await mlx.next()
    await until(lambda: exchange.ended_at)
    assert exchange.closed_at is not None
    assert exchange.ended_at is not None
    assert exchange.ended_at - exchange.closed_at > 0.1


async def test_the_moment_when_a_client_left_is_known_in_every_phase(mlx: SimulatedMlx) -> None:
    for switches in ("hang", "first=300", "tokens=100,gap=3", "stall=200"):
        await ask(mlx.port, CHAT, a_chat(f"@@{switches}@@", stream=True), patience=0.05, leave_after=b"never")
        exchange = await mlx.next()
        await until(lambda: exchange.closed_at)  # noqa: B023 (awaited at once)
        assert exchange.gone.is_set()


async def test_probes_are_answered_while_requests_fail(mlx: SimulatedMlx) -> None:
    mlx.trouble("err=500")
    assert (await chat(mlx)).status == 500
    probe = engine("mlx_lm").ready("default_model")
    assert (await ask(mlx.port, probe.path, dict(probe.body or {}))).events[-1] == "[DONE]"
    assert (await mlx.next()).request.json == a_chat()


@pytest.mark.parametrize("switch", ["crlf", "multiline", "split", "crlf,multiline,split"])
async def test_odd_framing_is_the_same_stream(mlx: SimulatedMlx, switch: str) -> None:
    assert (await streamed(mlx, f"a, b @@{switch}@@")).text == "You said: a, b"


@pytest.mark.parametrize("switch", ["cut=200", "midfail=1", "nodone", "nofinish", "finish="])
async def test_a_stream_that_breaks_off_is_no_answer_to_our_reader(mlx: SimulatedMlx, switch: str) -> None:
    answer = await streamed(mlx, f"one two three @@{switch}@@")
    reader = ChatStreamReader(parse_all=False)
    parts = [*reader.feed(answer.body), *reader.end()]
    assert any(isinstance(part, Fault) for part in parts)
    assert not any(isinstance(part, Done) for part in parts)


async def test_what_the_engine_sends_it_takes(mlx: SimulatedMlx) -> None:
    request = {
        "model": "mine",
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "be brief"}]},
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        ],
        "temperature": None,
        "seed": 5,
    }
    out = engine("mlx_lm").normalize(request, UpstreamFacts(model="default_model"), stream=False)
    assert (await ask(mlx.port, CHAT, out)).text == "You said: hi"


async def test_it_runs_as_a_process() -> None:
    words = ["-m", "fleet.sim.upstreams.mlx", "--mode", "dead"]
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            url = (await process.stdout.readline()).decode().strip()
        assert (await ask(int(url.rpartition(":")[2]), "/health")).status == 503
    finally:
        process.terminate()
        async with asyncio.timeout(60):
            assert await process.wait() == 0
