"""Streams of every surface: whole in the official SDKs, the same however they arrive, never ended by a cut."""

from __future__ import annotations

from typing import Any

import anthropic
import msgspec
import openai
import pytest
from dialect_kit import (
    CUT,
    ENDS,
    STREAMS,
    TRANSLATED,
    asked_of,
    call,
    delta,
    events,
    heard_by_anthropic,
    heard_by_openai,
    heard_in_chat,
    heard_in_deltas,
    openai_client,
    recording,
    relayed,
    said,
    unary,
    usage,
    voice_of,
    wire,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.traffic.chat_stream import ChatStreamReader, Chunk, Fault, Part
from fleet.traffic.dialects.dialect import Said
from fleet.traffic.dialects.registry import dialect

SURFACES = ("chat", *TRANSLATED)
HI: list[Any] = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("name", STREAMS)
def test_openais_sdk_hears_the_same_answer_as_a_response_as_in_the_chat(name: str) -> None:
    data = recording(name)
    thought, text, calls = heard_in_chat(data)
    heard = heard_by_openai(said("responses", data))
    assert heard.output_text == text
    assert [(one.name, one.arguments) for one in heard.output if one.type == "function_call"] == calls
    assert "".join(one.summary[0].text for one in heard.output if one.type == "reasoning") == thought
    assert heard.status == ("incomplete" if "smollm2" in name else "completed")
    assert heard.model == "token-track"


@pytest.mark.parametrize("name", STREAMS)
def test_anthropics_sdk_hears_the_same_answer_as_a_message_as_in_the_chat(name: str) -> None:
    data = recording(name)
    thought, text, calls = heard_in_chat(data)
    heard = heard_by_anthropic(said("messages", data))
    assert "".join(block.text for block in heard.content if block.type == "text") == text
    assert [(block.name, block.input) for block in heard.content if block.type == "tool_use"] == [
        (named, msgspec.json.decode(arguments)) for named, arguments in calls
    ]
    assert "".join(block.thinking for block in heard.content if block.type == "thinking") == thought
    assert heard.stop_reason == ("tool_use" if calls else "max_tokens" if "smollm2" in name else "end_turn")


@pytest.mark.parametrize("name", STREAMS)
def test_openais_sdk_hears_a_passed_through_chat_to_its_end(name: str) -> None:
    data = recording(name)
    stream = openai_client(said("chat", data)).chat.completions.create(model="m", messages=HI, stream=True)
    chunks = list(stream)
    assert {chunk.model for chunk in chunks} == {"token-track"}
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == heard_in_chat(data)[1]


@pytest.mark.parametrize("surface", TRANSLATED)
@pytest.mark.parametrize("name", STREAMS)
def test_a_unary_answer_says_what_the_stream_says(surface: str, name: str) -> None:
    data = recording(name)
    answer = unary(surface, data)
    last = events(said(surface, data))[-1 if surface == "responses" else -2]
    if surface == "responses":
        streamed = last["response"]
        assert openai.types.responses.Response.model_validate(answer).output_text == heard_in_chat(data)[1]
        assert answer["output"] == streamed["output"]
    else:
        streamed = {**last["delta"], "usage": last["usage"]}
        assert anthropic.types.Message.model_validate(answer)
        assert answer["stop_reason"] == streamed["stop_reason"]
    assert answer["usage"] == streamed["usage"]


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_split_at_any_byte_is_said_in_the_same_bytes(surface: str, name: str) -> None:
    data = recording(name)
    whole = said(surface, data)
    for at in range(1, len(data)):
        if said(surface, [data[:at], data[at:]]) != whole:
            pytest.fail(f"split at byte {at}")
    assert said(surface, [data[at : at + 1] for at in range(len(data))]) == whole


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_at_any_byte_never_looks_complete_and_ends_in_an_error(surface: str, name: str) -> None:
    data = recording(name)
    done = data.index(b"[DONE]") + len(b"[DONE]\n\n")
    one = dialect(surface)
    for at in range(done):
        out, parts = relayed(voice_of(surface), one, [data[:at]])
        assert isinstance(parts[-1], Fault), at
        assert not any(end in out for end in ENDS), at
        assert out.endswith(voice_of_failure(surface, out)), at


def voice_of_failure(surface: str, out: bytes) -> bytes:
    """The last event of `out`, proved to be the surface's error."""
    last = events(out)[-1]
    assert {
        "chat": lambda: last["error"]["code"] == "stream_truncated" and last["choices"][0]["finish_reason"] == "error",
        "responses": lambda: last["type"] == "response.failed" and last["response"]["status"] == "failed",
        "messages": lambda: last["type"] == "error" and last["error"]["type"] == "api_error",
    }[surface]()
    return out[out.rindex(b"data: ") :]


@pytest.mark.parametrize("begun", [False, True])
def test_a_failed_chat_raises_in_openais_sdk(begun: bool) -> None:
    data = wire(delta(content="Hel"))[: -len("data: [DONE]\n\n")] if begun else b""
    stream = openai_client(said("chat", data)).chat.completions.create(model="m", messages=HI, stream=True)
    with pytest.raises(openai.APIError, match="cut off"):
        list(stream)


@pytest.mark.parametrize("begun", [False, True])
def test_a_failed_response_is_heard_as_failed_by_openais_sdk(begun: bool) -> None:
    data = wire(delta(content="Hel"))[: -len("data: [DONE]\n\n")] if begun else b""
    with openai_client(said("responses", data)).responses.stream(model="m", input="hi") as stream:
        heard = list(stream)
    assert heard[0].type == "response.created"
    assert heard[-1].type == "response.failed"
    error = heard[-1].response.error
    assert error is not None
    assert (error.code, error.message) == ("server_error", "the upstream's answer was cut off")


@pytest.mark.parametrize("begun", [False, True])
def test_a_failed_message_raises_in_anthropics_sdk(begun: bool) -> None:
    data = wire(delta(content="Hel"))[: -len("data: [DONE]\n\n")] if begun else b""
    with pytest.raises(anthropic.APIStatusError, match="cut off") as raised:
        heard_by_anthropic(said("messages", data))
    assert raised.value.body == {
        "type": "error",
        "error": {"type": "api_error", "message": CUT.message},
        "request_id": "req_0123456789ab",
    }


@pytest.mark.parametrize("surface", SURFACES)
def test_signs_of_life_before_an_answer_change_nothing_in_the_sdks(surface: str) -> None:
    one = dialect(surface)
    out = one.keepalive() * 3 + said(surface, recording("clients/response.chat.stream.sse"))
    if surface == "responses":
        text = heard_by_openai(out).output_text
    elif surface == "messages":
        text = "".join(block.text for block in heard_by_anthropic(out).content if block.type == "text")
    else:
        chunks = list(openai_client(out).chat.completions.create(model="m", messages=HI, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Hello from the mock upstream. " * 2


@pytest.mark.parametrize("surface", SURFACES)
def test_one_malformed_event_does_not_end_a_healthy_stream(surface: str) -> None:
    """LL#40404: counted and passed on where the surface is chat's own; where it is translated, it says nothing."""
    good = wire(delta(content="a"), delta(content="b"), delta("stop"))
    first = good.index(b"\n\n") + 2
    out = said(surface, good[:first] + b"data: {broken\n\n" + good[first:])
    assert any(end in out for end in ENDS)
    if surface == "chat":
        assert b"data: {broken\n\n" in out
    else:
        assert out == said(surface, good)


@pytest.mark.parametrize("surface", TRANSLATED)
def test_an_error_inside_of_a_stream_is_an_error_of_the_surface_and_not_an_empty_success(surface: str) -> None:
    """OmniRoute PR#8210: a chunk with an error and no choices."""
    data = wire(delta(content="a"), {"choices": [], "error": {"message": "boom", "code": 502}})
    out = said(surface, data)
    assert not any(end in out for end in ENDS)
    assert events(out)[-1]["type"] in ("response.failed", "error")


@pytest.mark.parametrize("surface", TRANSLATED)
def test_an_empty_finish_reason_does_not_finish_an_answer(surface: str) -> None:
    """sglang#3912, ollama#4357."""
    data = wire(delta("", content="a"), delta("", content="b"), delta("stop"), usage(3, 2))
    assert heard_in_deltas(surface, said(surface, data))[1] == "ab"
    unfinished = wire(delta("", content="a"))
    assert not any(end in said(surface, unfinished) for end in ENDS)


@pytest.mark.parametrize("surface", TRANSLATED)
def test_arguments_that_come_with_the_last_event_alone_arrive(surface: str) -> None:
    """LL#25321, openclaude#1259: they became `input: {}`."""
    data = wire(
        delta(role="assistant", tool_calls=[call("", id="c1", name="get_weather")]),
        delta("tool_calls", tool_calls=[call('{"city": "Paris"}')]),
    )
    assert heard_in_deltas(surface, said(surface, data))[2] == [("get_weather", '{"city": "Paris"}')]


@pytest.mark.parametrize("surface", TRANSLATED)
def test_a_whole_call_in_one_delta_arrives(surface: str) -> None:
    data = wire(delta(tool_calls=[call('{"a":1}', id="c1", name="f")]), delta("tool_calls"))
    assert heard_in_deltas(surface, said(surface, data))[2] == [("f", '{"a":1}')]


@pytest.mark.parametrize("surface", TRANSLATED)
def test_interleaved_parallel_calls_are_told_apart_by_their_index(surface: str) -> None:
    data = wire(
        delta(tool_calls=[call('{"a"', id="c1", name="f"), call('{"b"', index=1, id="c2", name="g")]),
        delta(tool_calls=[call(":2}", index=1)]),
        delta(tool_calls=[call(":1}", index=0)]),
        delta("tool_calls"),
    )
    out = said(surface, data)
    assert heard_in_deltas(surface, out)[2] == [("f", '{"a":1}'), ("g", '{"b":2}')]
    if surface == "responses":
        calls = [(one.call_id, one.arguments) for one in heard_by_openai(out).output if one.type == "function_call"]
        assert calls == [("c1", '{"a":1}'), ("c2", '{"b":2}')]
    else:
        blocks = [(one.id, one.input) for one in heard_by_anthropic(out).content if one.type == "tool_use"]
        assert blocks == [("c1", {"a": 1}), ("c2", {"b": 2})]


@pytest.mark.parametrize("surface", TRANSLATED)
@pytest.mark.parametrize("index", [0, None])
def test_calls_that_share_an_index_or_have_none_are_told_apart_by_their_ids(surface: str, index: int | None) -> None:
    data = wire(
        delta(tool_calls=[call('{"a":1}', index=index, id="c1", name="f")]),
        delta(tool_calls=[call('{"b":', index=index, id="c2", name="f")]),
        delta(tool_calls=[call("2}", index=index)]),
        delta("tool_calls"),
    )
    assert heard_in_deltas(surface, said(surface, data))[2] == [("f", '{"a":1}'), ("f", '{"b":2}')]


@pytest.mark.parametrize("surface", TRANSLATED)
@pytest.mark.parametrize("index", [0, None])
def test_a_backend_that_repeats_id_and_name_in_every_delta_makes_one_call(surface: str, index: int | None) -> None:
    data = wire(
        delta(tool_calls=[call('{"a":', index=index, id="c1", name="f")]),
        delta(tool_calls=[call("1}", index=index, id="c1", name="f")]),
        delta("tool_calls"),
    )
    assert heard_in_deltas(surface, said(surface, data))[2] == [("f", '{"a":1}')]


@pytest.mark.parametrize("surface", TRANSLATED)
def test_calls_in_a_row_are_said_one_after_the_other_as_the_surface_says_them(surface: str) -> None:
    data = wire(
        delta(tool_calls=[call('{"a":', id="c1", name="f")]),
        delta(tool_calls=[call("1}")]),
        delta(tool_calls=[call("{}", index=1, id="c2", name="g")]),
        delta(content="done"),
        delta("tool_calls"),
    )
    ends = ("response.output_item.added", "response.output_item.done", "content_block_start", "content_block_stop")
    order = [
        (one["type"].split(".")[-1].split("_")[-1], one.get("output_index", one.get("index")))
        for one in events(said(surface, data))
        if one["type"] in ends
    ]
    opened, closed = ("added", "done") if surface == "responses" else ("start", "stop")
    assert order == [step for at in range(3) for step in ((opened, at), (closed, at))]


@pytest.mark.parametrize("surface", TRANSLATED)
def test_a_call_without_an_id_gets_one_that_is_the_same_in_every_event(surface: str) -> None:
    out = said(surface, wire(delta(tool_calls=[call("{}", name="f"), call("{}", index=1, name="g")]), delta("stop")))
    if surface == "responses":
        ids = [one["item"]["call_id"] for one in events(out) if "item" in one]
        assert ids[::2] == ids[1::2] == ["call_0123456789ab_0", "call_0123456789ab_1"]
    else:
        ids = [one["content_block"]["id"] for one in events(out) if "content_block" in one]
        assert ids == ["toolu_0123456789ab_0", "toolu_0123456789ab_1"]


@pytest.mark.parametrize("surface", TRANSLATED)
def test_a_name_that_comes_after_the_arguments_loses_nothing(surface: str) -> None:
    data = wire(
        delta(tool_calls=[call('{"a"', id="c1")]), delta(tool_calls=[call(":1}", name="f")]), delta("tool_calls")
    )
    assert heard_in_deltas(surface, said(surface, data))[2] == [("f", '{"a":1}')]


@pytest.mark.parametrize("surface", TRANSLATED)
def test_arguments_sent_as_an_object_and_the_older_function_call_are_understood(surface: str) -> None:
    whole = wire(
        delta(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]), delta("stop")
    )
    assert heard_in_deltas(surface, said(surface, whole))[2] == [("f", '{"a":1}')]
    first, rest = {"name": "f", "arguments": '{"a"'}, {"arguments": ":1}"}
    old = wire(delta(function_call=first), delta(function_call=rest), delta("function_call"))
    assert heard_in_deltas(surface, said(surface, old))[2] == [("f", '{"a":1}')]


@pytest.mark.parametrize("surface", TRANSLATED)
def test_a_thought_said_under_two_names_is_said_once(surface: str) -> None:
    data = wire(
        delta(reasoning="hm", reasoning_content="hm"), delta(reasoning_content=" so"), delta("stop", content="x")
    )
    assert heard_in_deltas(surface, said(surface, data))[:2] == ("hm so", "x")


@pytest.mark.parametrize("surface", TRANSLATED)
def test_only_the_first_choice_is_translated(surface: str) -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": None}]}
    assert heard_in_deltas(surface, said(surface, wire(delta(content="one"), other, delta("stop"))))[1] == "one"


json_texts = st.dictionaries(st.text(max_size=4), st.one_of(st.integers(), st.text(max_size=6)), max_size=3).map(
    lambda value: msgspec.json.encode(value).decode()
)


@st.composite
def answers(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The deltas of an answer: thoughts, texts and calls in any order, calls in pieces and interleaved."""
    waiting: dict[int, list[str]] = {}
    for index in range(draw(st.integers(0, 3))):
        arguments = draw(json_texts)
        cut = sorted(draw(st.lists(st.integers(0, len(arguments)), max_size=3)))
        waiting[index] = [arguments[a:b] for a, b in zip([0, *cut], [*cut, len(arguments)], strict=True)]
    slots: list[int | str] = [index for index, texts in waiting.items() for _ in texts]
    slots += draw(st.lists(st.sampled_from(["content", "reasoning"]), max_size=4))
    pieces: list[dict[str, Any]] = []
    begun: set[int] = set()
    for slot in draw(st.permutations(slots)):
        if isinstance(slot, str):
            pieces.append(delta(**{slot: draw(st.text(max_size=5))}))
            continue
        first = {} if slot in begun else {"id": f"c{slot}", "name": f"f{slot}"}
        begun.add(slot)
        pieces.append(delta(tool_calls=[call(waiting[slot].pop(0), index=slot, **first)]))
    return [*pieces, delta("stop")]


@pytest.mark.parametrize("surface", TRANSLATED)
@settings(max_examples=150, deadline=None)
@given(chunks=answers())
def test_the_deltas_of_any_stream_join_to_what_the_unary_answer_says(
    surface: str, chunks: list[dict[str, Any]]
) -> None:
    data = wire(*chunks)
    out = said(surface, data)
    thought, text, calls = heard_in_chat(data)
    heard = heard_in_deltas(surface, out)
    assert heard[:2] == (thought, text)
    assert sorted(heard[2]) == sorted(calls)
    answer = unary(surface, data)
    if surface == "responses":
        openai.types.responses.Response.model_validate(answer)
        assert sorted(
            (one["name"], one["arguments"]) for one in answer["output"] if one["type"] == "function_call"
        ) == (sorted(calls))
    else:
        anthropic.types.Message.model_validate(answer)
        inputs = [(one["name"], one["input"]) for one in answer["content"] if one["type"] == "tool_use"]
        assert inputs == [(named, msgspec.json.decode(arguments)) for named, arguments in calls]


@pytest.mark.parametrize("surface", TRANSLATED)
@settings(max_examples=150, deadline=None)
@given(chunks=answers())
def test_blocks_open_in_order_grow_while_open_and_all_close(surface: str, chunks: list[dict[str, Any]]) -> None:
    state: list[str] = []
    for number, one in enumerate(events(said(surface, wire(*chunks)))):
        assert one.get("sequence_number", number) == number
        at = one.get("output_index", one.get("index"))
        if one["type"] in ("response.output_item.added", "content_block_start"):
            assert at == len(state)
            state.append("open")
        elif at is not None:
            assert state[at] == "open"
            if one["type"] in ("response.output_item.done", "content_block_stop"):
                state[at] = "closed"
    assert set(state) <= {"closed"}


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["delta", "content", "tool_calls", "function", "index", "id", "name", "arguments", "usage"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("surface", SURFACES)
@settings(max_examples=200, deadline=None)
@given(odd=st.lists(json_values, max_size=4))
def test_odd_chunks_never_crash_a_voice(surface: str, odd: list[Any]) -> None:
    chunks = [
        chunk
        for value in odd
        for chunk in ({"choices": value}, {"choices": [value]}, {"choices": [{"delta": value}], "usage": value})
    ]
    parts: list[Part] = [Chunk(msgspec.json.encode(chunk), chunk) for chunk in chunks]
    voice = voice_of(surface)
    voice.say(parts)
    assert voice.fail(CUT)


@pytest.mark.parametrize("surface", SURFACES)
def test_two_streams_of_one_dialect_share_nothing(surface: str) -> None:
    one = dialect(surface)
    asked = asked_of(surface)
    first = one.voice(asked, Said(shown="a", sent="default_model", request_id="req_a", created_seconds=1))
    second = one.voice(asked, Said(shown="b", sent="default_model", request_id="req_b", created_seconds=1))
    parts = ChatStreamReader(parse_all=one.parse_all).feed(recording("mlx/chat-stream.sse.txt"))
    alone = one.voice(asked, Said(shown="b", sent="default_model", request_id="req_b", created_seconds=1)).say(parts)
    first.say(parts[:3])
    assert second.say(parts) == alone


def test_a_stream_of_no_chunks_says_nothing() -> None:
    for surface in SURFACES:
        assert voice_of(surface).say([]) == b""
