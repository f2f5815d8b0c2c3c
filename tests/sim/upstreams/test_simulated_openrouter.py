"""The simulated OpenRouter over a raw socket: every surface, every error, every switch."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from raw_http import Raw, ask

from fleet.sim.upstreams.openrouter import KEY, SimulatedOpenRouter
from fleet.traffic.chat_stream import ChatStreamReader, Chunk, Done, Fault

MODEL = "sim/echo-small"
CHAT = "/api/v1/chat/completions"
AUTH = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(name="openrouter")
async def _openrouter() -> AsyncIterator[SimulatedOpenRouter]:
    async with SimulatedOpenRouter() as running:
        yield running


def a_chat(text: str = "Hello there", **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}


async def chat(openrouter: SimulatedOpenRouter, text: str = "Hello there", **more: Any) -> Raw:
    return await ask(openrouter.port, CHAT, a_chat(text, **more), headers=AUTH)


async def streamed(openrouter: SimulatedOpenRouter, text: str = "Hello there", **more: Any) -> Raw:
    return await chat(openrouter, text, stream=True, **more)


async def cut_short(openrouter: SimulatedOpenRouter, text: str) -> Raw:
    return await ask(openrouter.port, CHAT, a_chat(text, stream=True), headers=AUTH, patience=0.3)


async def test_a_unary_answer_has_text_usage_and_its_exact_cost(openrouter: SimulatedOpenRouter) -> None:
    answer = await chat(openrouter)
    said = json.loads(answer.body, parse_float=Decimal)
    assert said["choices"][0]["message"]["content"] == "You said: Hello there"
    assert said["id"] == answer.headers["x-generation-id"]
    assert (said["provider"], said["choices"][0]["native_finish_reason"]) == ("Quick", "stop")
    # 2 tokens at 1e-7 and 4 at 4e-7 USD
    assert said["usage"]["cost"] == Decimal("0.0000018")
    assert said["usage"]["completion_tokens"] == 4


async def test_a_stream_begins_with_a_comment_and_ends_with_usage_and_done(openrouter: SimulatedOpenRouter) -> None:
    answer = await streamed(openrouter)
    assert answer.comments[0] == ": OPENROUTER PROCESSING"
    assert answer.text == "You said: Hello there"
    assert answer.events[-1] == "[DONE]"
    assert answer.parsed[-1]["usage"]["cost"] == 1.8e-06
    assert answer.finishes == [None] * 4 + ["stop"]
    assert answer.whole
    reader = ChatStreamReader(parse_all=True)
    parts = reader.feed(answer.body)
    assert isinstance(parts[-1], Done)


async def test_a_completion_and_its_stream_have_text(openrouter: SimulatedOpenRouter) -> None:
    body = {"model": MODEL, "prompt": "Hello"}
    whole = await ask(openrouter.port, "/api/v1/completions", body, headers=AUTH)
    assert whole.json["choices"][0]["text"] == "You said: Hello"
    stream = await ask(openrouter.port, "/api/v1/completions", {**body, "stream": True}, headers=AUTH)
    assert stream.text == "You said: Hello"


async def test_embeddings_follow_from_the_text(openrouter: SimulatedOpenRouter) -> None:
    body = {"model": "sim/embed", "input": ["a", "b", "a"], "dimensions": 5}
    answer = await ask(openrouter.port, "/api/v1/embeddings", body, headers=AUTH)
    vectors = [one["embedding"] for one in answer.json["data"]]
    assert vectors[0] == vectors[2] != vectors[1]
    assert len(vectors[0]) == 5
    assert answer.json["usage"]["cost"] == 6e-08


async def test_a_tool_is_called_in_pieces_and_answered(openrouter: SimulatedOpenRouter) -> None:
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": {}}}]
    words = '@@tool=get_weather {"city": "Paris"}@@'
    answer = await streamed(openrouter, words, tools=tools)
    calls = [one["choices"][0]["delta"].get("tool_calls", [{}])[0] for one in answer.parsed if one["choices"]]
    assert "".join(one.get("function", {}).get("arguments", "") for one in calls) == '{"city": "Paris"}'
    assert [one["id"] for one in calls if "id" in one]
    assert answer.finishes[-1] == "tool_calls"
    whole = await chat(openrouter, words, tools=tools)
    call = whole.json["choices"][0]["message"]["tool_calls"][0]
    assert call["function"] == {"name": "get_weather", "arguments": '{"city": "Paris"}'}


async def test_reasoning_comes_when_it_is_asked_for(openrouter: SimulatedOpenRouter) -> None:
    answer = await streamed(openrouter, reasoning={"effort": "low"})
    thoughts = [one["choices"][0]["delta"].get("reasoning", "") for one in answer.parsed if one["choices"]]
    assert "".join(thoughts) == "Let me think."
    whole = await chat(openrouter, reasoning={"effort": "low"})
    assert whole.json["choices"][0]["message"]["reasoning"] == "Let me think."
    assert whole.json["usage"]["completion_tokens_details"] == {"reasoning_tokens": 4}


async def test_without_the_key_nothing_but_the_list_of_models_is_told(openrouter: SimulatedOpenRouter) -> None:
    assert (await ask(openrouter.port, "/api/v1/models")).status == 200
    for path, body in ((CHAT, a_chat()), ("/api/v1/key", None)):
        answer = await ask(openrouter.port, path, body, headers={"Authorization": "Bearer wrong"})
        assert (answer.status, answer.json["error"]["code"]) == (401, 401)


async def test_models_have_prices_as_text_and_a_context(openrouter: SimulatedOpenRouter) -> None:
    models = {one["id"]: one for one in (await ask(openrouter.port, "/api/v1/models")).json["data"]}
    small = models[MODEL]
    assert small["pricing"]["prompt"] == "0.0000001"
    assert small["context_length"] == 131_072
    assert {"canonical_slug", "expiration_date", "supported_parameters"} <= small.keys()
    assert "sim/gone-alpha" not in models


@pytest.mark.parametrize(
    ("prefs", "provider"),
    [
        ({}, "Quick"),
        ({"order": ["Quiet"]}, "Quiet"),
        ({"only": ["quiet"]}, "Quiet"),
        ({"ignore": ["Quick"]}, "Quiet"),
        ({"zdr": True}, "Quiet"),
        ({"data_collection": "deny"}, "Quiet"),
        ({"max_price": {"prompt": 0.1}}, "Quick"),
        ({"max_price": {"prompt": "0.1", "completion": 0.4}}, "Quick"),
    ],
)
async def test_provider_preferences_choose(
    openrouter: SimulatedOpenRouter, prefs: dict[str, Any], provider: str
) -> None:
    assert (await chat(openrouter, provider=prefs)).json["provider"] == provider


@pytest.mark.parametrize(
    ("prefs", "code", "field"),
    [
        ({"max_price": {"prompt": 0.09}}, "constraint_filtered", "max_price"),
        ({"only": ["nobody"]}, "constraint_filtered", "only"),
        ({"zdr": True, "ignore": ["quiet"]}, "privacy_restricted", "zdr"),
        ({"data_collection": "deny", "order": ["Quick"], "allow_fallbacks": False}, "privacy_restricted", None),
    ],
)
async def test_a_filter_that_leaves_nobody_is_a_hard_one(
    openrouter: SimulatedOpenRouter, prefs: dict[str, Any], code: str, field: str | None
) -> None:
    answer = await chat(openrouter, provider=prefs)
    availability = answer.json["error"]["availability"]
    assert (answer.status, availability["code"], availability["retryable"]) == (404, code, False)
    assert field is None or availability["constraint"]["field"] == field


async def test_the_next_of_models_answers_when_the_first_is_gone(openrouter: SimulatedOpenRouter) -> None:
    answer = await chat(openrouter, model="sim/gone-alpha", models=["sim/echo-tiny"])
    assert answer.json["model"] == "sim/echo-tiny"
    alone = await chat(openrouter, model="sim/gone-alpha")
    assert alone.json["error"]["availability"]["code"] == "model_deprecated"
    unknown = await chat(openrouter, model="no/such")
    assert unknown.json["error"]["availability"]["code"] == "model_not_found"


async def test_a_model_can_be_retired_while_it_runs(openrouter: SimulatedOpenRouter) -> None:
    answer = await ask(openrouter.port, "/_sim/retire", {"model": MODEL})
    assert answer.status == 200
    assert (await chat(openrouter)).status == 404


async def test_what_does_not_fit_is_refused_in_openrouters_words(openrouter: SimulatedOpenRouter) -> None:
    answer = await chat(openrouter, "x" * 40_000, model="sim/echo-tiny")
    assert answer.status == 400
    assert answer.json["error"]["metadata"]["error_type"] == "context_length_exceeded"


async def test_a_free_variant_takes_twenty_a_minute(openrouter: SimulatedOpenRouter) -> None:
    for _ in range(20):
        assert (await chat(openrouter, model="sim/echo-small:free")).status == 200
    answer = await chat(openrouter, model="sim/echo-small:free")
    assert answer.status == 429
    assert {"retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= answer.headers.keys()


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 524, 529])
async def test_any_status_can_be_asked_for(openrouter: SimulatedOpenRouter, status: int) -> None:
    answer = await streamed(openrouter, f"@@err={status},retry_after=3@@")
    assert (answer.status, answer.json["error"]["code"]) == (status, status)
    assert answer.headers["retry-after"] == "3"
    assert answer.headers["x-generation-id"].startswith("gen-")


async def test_an_error_has_the_code_and_type_that_are_asked_for(openrouter: SimulatedOpenRouter) -> None:
    answer = await chat(openrouter, "@@err=429,code=rate_limit_exceeded,type=provider_overloaded@@")
    assert answer.json["error"]["code"] == "rate_limit_exceeded"
    assert answer.json["error"]["metadata"]["error_type"] == "provider_overloaded"
    answer = await chat(openrouter, "@@avail=temporarily_unavailable,err=503,retry_after=9@@")
    assert answer.json["error"]["availability"]["retryable"] is True
    assert answer.json["error"]["availability"]["retry_after"] == 9


async def test_an_error_may_come_as_200(openrouter: SimulatedOpenRouter) -> None:
    for stream in (False, True):
        answer = await chat(openrouter, "@@body_error@@", stream=stream)
        assert (answer.status, answer.json["error"]["code"]) == (200, 502)
    answer = await chat(openrouter, "@@choice_error@@")
    choice = answer.json["choices"][0]
    assert (choice["finish_reason"], choice["error"]["code"]) == ("error", 502)


@pytest.mark.parametrize(("code", "told"), [("502", 502), ("server_error", "server_error")])
async def test_a_stream_may_fail_midway(openrouter: SimulatedOpenRouter, code: str, told: object) -> None:
    answer = await streamed(openrouter, f"one two @@midfail=2,code={code}@@")
    last = answer.parsed[-1]
    assert (last["error"]["code"], last["choices"][0]["finish_reason"]) == (told, "error")
    assert "[DONE]" not in answer.events
    assert answer.text == "You said:"
    empty = await streamed(openrouter, "@@midfail=0,empty@@")
    assert empty.parsed[-1]["choices"] == []
    assert "error" in empty.parsed[-1]


@pytest.mark.parametrize("how", ["fin", "rst", "clean"])
async def test_a_stream_is_cut_after_exactly_so_many_bytes(openrouter: SimulatedOpenRouter, how: str) -> None:
    for at in (0, 1, 100, 300):
        answer = await streamed(openrouter, f"@@cut={at},how={how}@@")
        if how == "rst":
            assert answer.end == "rst"
            assert len(answer.body) <= at, "a reset may overtake what was sent"
        else:
            assert len(answer.body) == at
            assert answer.whole is (how == "clean")


async def test_a_whole_answer_is_cut_too(openrouter: SimulatedOpenRouter) -> None:
    answer = await chat(openrouter, "@@cut=50@@")
    assert (len(answer.body), answer.whole, answer.end) == (50, False, "fin")


async def test_a_stream_stalls_and_stays_open(openrouter: SimulatedOpenRouter) -> None:
    answer = await cut_short(openrouter, "@@stall=100@@")
    assert (len(answer.body), answer.end) == (100, "open")


async def test_a_request_hangs_before_the_headers(openrouter: SimulatedOpenRouter) -> None:
    answer = await cut_short(openrouter, "@@hang@@")
    assert (answer.data, answer.end) == (b"", "open")


@pytest.mark.parametrize(("switch", "end"), [("drop", "fin"), ("reset", "rst")])
async def test_a_connection_ends_without_a_word(openrouter: SimulatedOpenRouter, switch: str, end: str) -> None:
    answer = await streamed(openrouter, f"@@{switch}@@")
    assert (answer.data, answer.end) == (b"", end)


@pytest.mark.parametrize("switch", ["delay", "first"])
async def test_an_answer_is_late(openrouter: SimulatedOpenRouter, switch: str) -> None:
    started = time.monotonic()
    answer = await streamed(openrouter, f"@@{switch}=60@@")
    assert time.monotonic() - started >= 0.06
    assert answer.events[-1] == "[DONE]"
    assert len(answer.comments) == (2 if switch == "first" else 1)


async def test_a_malformed_event_comes_between_good_ones(openrouter: SimulatedOpenRouter) -> None:
    answer = await streamed(openrouter, "one @@malformed=1@@")
    with pytest.raises(ValueError):
        json.loads(answer.events[1])
    assert answer.events[-1] == "[DONE]"


@pytest.mark.parametrize(
    "switch", ["crlf", "multiline", "split", "huge=100000", "slow=1,tokens=0", "crlf,multiline,split"]
)
async def test_odd_framing_is_the_same_stream_to_a_reader(openrouter: SimulatedOpenRouter, switch: str) -> None:
    plain = await streamed(openrouter, "a, b" if "tokens" not in switch else "@@tokens=0@@")
    odd = await streamed(openrouter, f"a, b @@{switch}@@")
    assert odd.text == plain.text
    assert odd.finishes == plain.finishes
    assert odd.body != plain.body
    if "split" in switch or "slow" in switch:
        assert {len(chunk) for chunk in odd.chunks} == {1}
    if "huge" in switch:
        assert max(map(len, odd.body.splitlines())) > 100_000


async def test_ends_are_missing_or_doubled(openrouter: SimulatedOpenRouter) -> None:
    assert "[DONE]" not in (await streamed(openrouter, "@@nodone@@")).events
    assert not any((await streamed(openrouter, "@@nofinish@@")).finishes)
    assert (await streamed(openrouter, "@@dupfinish@@")).finishes[-2:] == ["stop", "stop"]
    assert (await streamed(openrouter, "@@emptyfinish@@")).finishes == [""] * 2 + ["stop"]
    assert (await streamed(openrouter, "@@finish=@@")).finishes[-1] == ""
    assert not any("usage" in one for one in (await streamed(openrouter, "@@nousage@@")).parsed)
    assert "usage" not in (await chat(openrouter, "@@nousage@@")).json


async def test_a_call_may_be_dropped(openrouter: SimulatedOpenRouter) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    answer = await streamed(openrouter, "@@tool=f@@ @@dropped@@", tools=tools)
    assert answer.finishes == ["tool_calls"]
    assert (
        "tool_calls"
        not in (await chat(openrouter, "@@tool=f@@ @@dropped@@", tools=tools)).json["choices"][0]["message"]
    )


async def test_a_fault_of_the_server_holds_for_as_many_requests_as_it_says(openrouter: SimulatedOpenRouter) -> None:
    await ask(openrouter.port, "/_sim/faults", {"faults": "err=503", "times": 2})
    assert [(await chat(openrouter)).status for _ in range(3)] == [503, 503, 200]
    openrouter.trouble("err=500")
    assert (await chat(openrouter)).status == 500
    await ask(openrouter.port, "/_sim/faults", method="DELETE")
    assert (await chat(openrouter)).status == 200


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"\xff", b'{"messages": []}', b'{"model": 5, "messages": "x"}'])
async def test_a_body_that_is_no_request_is_refused(openrouter: SimulatedOpenRouter, body: bytes) -> None:
    assert (await ask(openrouter.port, CHAT, body, method="POST", headers=AUTH)).status in (400, 404)


async def test_one_connection_carries_several_requests(openrouter: SimulatedOpenRouter) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", openrouter.port)
    for _ in range(3):
        body = json.dumps(a_chat(stream=True)).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        assert b"[DONE]" in await reader.readuntil(b"0\r\n\r\n")
    writer.close()


async def test_every_switch_that_cuts_or_breaks_is_no_complete_answer_to_our_reader(
    openrouter: SimulatedOpenRouter,
) -> None:
    for switch in ("cut=150", "cut=150,how=clean", "midfail=1", "midfail=1,empty", "nodone", "nofinish", "finish="):
        answer = await streamed(openrouter, f"one two three @@{switch}@@")
        reader = ChatStreamReader(parse_all=False)
        parts = [*reader.feed(answer.body), *reader.end()]
        assert any(isinstance(part, Fault) for part in parts), switch
        assert not any(isinstance(part, Done) for part in parts), switch
    answer = await streamed(openrouter, "one two @@malformed=1@@")
    parts = ChatStreamReader(parse_all=True).feed(answer.body)
    assert isinstance(parts[-1], Done)
    assert [part for part in parts if isinstance(part, Chunk) and part.malformed]
