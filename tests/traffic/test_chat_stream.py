"""An upstream's chat stream: complete, or visibly not; read from the recordings of mlx_lm.server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.traffic.assemble import Assembler
from fleet.traffic.chat_stream import ChatStreamReader, Chunk, Done, Fault, Part, Progress
from fleet.traffic.dress import StreamDress

SAMPLES = Path(__file__).resolve().parents[1] / "samples" / "mlx"
COMPLETE = (
    "chat-stream.sse.txt",
    "chat-stream-usage.sse.txt",
    "smollm2-chat-stream.sse.txt",
    "tool-call-stream.sse.txt",
)


def body(name: str) -> bytes:
    text = (SAMPLES / name).read_bytes()
    return text[text.index(b"< HTTP") :].partition(b"\n\n")[2]


def unary(name: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(body(name))
    return answer


def read(data: bytes, *, parse_all: bool = True) -> list[Part]:
    reader = ChatStreamReader(parse_all=parse_all)
    return reader.feed(data) + reader.end()


def sse(*chunks: object) -> bytes:
    return b"".join(b"data: %b\n\n" % (c if isinstance(c, bytes) else json.dumps(c).encode()) for c in chunks)


def delta(finish: str | None = None, **fields: object) -> dict[str, Any]:
    return {"id": "c1", "created": 5, "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def assembled(data: bytes, model: str = "smol") -> dict[str, Any]:
    assembler = Assembler()
    for part in read(data):
        assert not isinstance(part, Fault)
        if isinstance(part, Chunk):
            assert part.parsed is not None
            assembler.add(part.parsed)
    return {**assembler.answer(), "model": model}


@pytest.mark.parametrize("name", COMPLETE)
def test_a_recorded_stream_is_complete(name: str) -> None:
    for parse_all in (True, False):
        parts = read(body(name), parse_all=parse_all)
        assert isinstance(parts[-1], Done)
        assert not [part for part in parts if isinstance(part, Fault)]


@pytest.mark.parametrize("name", COMPLETE)
def test_a_recorded_stream_cut_anywhere_ends_in_a_fault(name: str) -> None:
    text = body(name)
    complete = text.index(b"data: [DONE]\n\n") + len(b"data: [DONE]\n\n")
    for cut in range(0, complete, 7):
        parts = read(text[:cut], parse_all=False)
        assert isinstance(parts[-1], Fault), cut
        assert parts[-1].code == "stream_truncated"


@pytest.mark.parametrize("name", COMPLETE)
def test_a_recorded_stream_split_at_every_byte_reads_the_same(name: str) -> None:
    text = body(name)
    reader = ChatStreamReader(parse_all=False)
    parts: list[Part] = []
    for at in range(len(text)):
        parts += reader.feed(text[at : at + 1])
    assert parts == read(text, parse_all=False)


def test_a_stream_that_lost_its_done_is_not_complete() -> None:
    """`stream_options: {}` raises in the server after the last chunk (mlx/FACTS section 3)."""
    assert isinstance(read(body("err-stream-options-empty.sse.txt"))[-1], Fault)


def test_done_without_a_finish_reason_is_not_complete() -> None:
    parts = read(sse(delta(content="half"), b"[DONE]"))
    assert parts[-1] == Fault("stream_truncated", "the upstream's answer ended without a finish_reason")


def test_prefill_progress_is_a_sign_of_life() -> None:
    parts = read(body("chat-stream-usage.sse.txt"))
    assert parts[0] == Progress(12, 13)
    assert read(b": OPENROUTER PROCESSING\n\n")[0] == Progress()


def test_a_role_alone_is_not_yet_an_answer() -> None:
    role, text, *_ = read(sse(delta(role="assistant", content=""), delta(content="x")))
    assert isinstance(role, Chunk)
    assert isinstance(text, Chunk)
    assert not role.real
    assert text.real


@pytest.mark.parametrize(
    "fields", [{"content": "x"}, {"reasoning": "x"}, {"reasoning_content": "x"}, {"tool_calls": [{"index": 0}]}]
)
def test_text_reasoning_and_tool_calls_are_an_answer(fields: dict[str, Any]) -> None:
    part = read(sse(delta(**fields)))[0]
    assert isinstance(part, Chunk)
    assert part.real


@pytest.mark.parametrize(
    "chunk",
    [
        {"error": {"message": "no memory", "code": 500}},
        {"error": "no memory"},
        {"choices": [], "error": {"message": "no memory"}},
        {"choices": [{"index": 0, "error": {"message": "no memory"}}]},
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_an_error_inside_the_stream_is_an_error(chunk: dict[str, Any], *, begun: bool) -> None:
    before = [delta(content="x")] if begun else []
    for parse_all in (True, False):
        parts = read(sse(*before, chunk, b"[DONE]"), parse_all=parse_all)
        assert parts[-1] == Fault("upstream_error", "no memory")


def test_an_event_named_error_and_a_finish_called_error_are_errors() -> None:
    assert isinstance(read(b'event: error\ndata: {"message": "x"}\n\n')[-1], Fault)
    assert isinstance(read(sse(delta("error")))[-1], Fault)


def test_an_error_of_null_is_none() -> None:
    assert isinstance(read(sse({**delta(content="x"), "error": None}, delta("stop"), b"[DONE]"))[-1], Done)


def test_the_models_text_about_errors_is_no_error() -> None:
    text = 'say "error": {"message": "x"} and "usage": 5 and "finish_reason":"stop"'
    parts = read(sse(delta(content="x"), delta(content=text), delta("stop"), b"[DONE]"), parse_all=False)
    assert [type(part) for part in parts] == [Chunk, Chunk, Chunk, Done]
    assert isinstance(parts[1], Chunk)
    assert parts[1].parsed is None


def test_a_malformed_event_goes_on_and_is_counted() -> None:
    reader = ChatStreamReader(parse_all=True)
    parts = reader.feed(sse(delta(content="x"), b'{"choices": [', b"[1]", delta("stop"), b"[DONE]"))
    assert [part.malformed for part in parts if isinstance(part, Chunk)] == [False, True, True, False]
    assert isinstance(parts[-1], Done)
    assert reader.malformed == 2


def test_an_empty_finish_reason_means_not_yet() -> None:
    parts = read(sse({"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": ""}]}, b"[DONE]"))
    assert isinstance(parts[-1], Fault)


def test_a_line_without_end_is_a_fault() -> None:
    reader = ChatStreamReader(parse_all=False)
    parts: list[Part] = []
    for _ in range(20):
        parts += reader.feed(b"data: " + b"x" * 100_000)
    assert [part.code for part in parts if isinstance(part, Fault)] == ["stream_overflow"]


@pytest.mark.parametrize(
    ("stream", "whole"), [("tool-call-stream.sse.txt", "tool-call.json.txt"), ("chat-stream.sse.txt", "chat.json.txt")]
)
def test_an_assembled_stream_equals_the_recorded_unary_answer(stream: str, whole: str) -> None:
    got, want = assembled(body(stream)), unary(whole)
    mine, theirs = got["choices"][0], want["choices"][0]
    assert got["object"] == want["object"]
    assert mine["finish_reason"] == theirs["finish_reason"]
    assert mine["message"]["role"] == "assistant"
    assert mine["message"]["content"] == theirs["message"]["content"]
    named = [call["function"] for call in theirs["message"].get("tool_calls", [])]
    assert [call["function"] for call in mine["message"].get("tool_calls", [])] == named


def test_an_assembled_answer_has_its_usage_and_the_clients_name_of_the_model() -> None:
    got = assembled(body("chat-stream-usage.sse.txt"))
    assert got["usage"]["completion_tokens"] == 6
    assert got["model"] == "smol"
    assert got["id"].startswith("chatcmpl-")


def test_tool_calls_in_pieces_merge_by_index() -> None:
    def call(index: int, **fields: object) -> dict[str, Any]:
        return delta(tool_calls=[{"index": index, **fields}])

    got = assembled(
        sse(
            call(0, id="a", type="function", function={"name": "f", "arguments": ""}),
            call(1, id="b", type="function", function={"name": "g", "arguments": '{"y"'}),
            call(0, function={"arguments": '{"x": '}),
            call(1, function={"arguments": ": 2}"}),
            call(0, function={"arguments": "1}"}),
            delta("tool_calls"),
            b"[DONE]",
        )
    )
    assert got["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": '{"y": 2}'}},
        ],
    }


def test_reasoning_logprobs_and_several_choices_are_assembled() -> None:
    def choice(index: int, finish: str | None, logprob: float, **fields: object) -> dict[str, Any]:
        chance = {"content": [{"token": "t", "logprob": logprob}]}
        return {"choices": [{"index": index, "delta": fields, "finish_reason": finish, "logprobs": chance}]}

    got = assembled(
        sse(
            choice(0, None, -1.0, role="assistant", reasoning="hm"),
            choice(1, None, -2.0, content="B"),
            choice(0, "stop", -3.0, content="A", reasoning="!"),
            choice(1, "length", -4.0),
            b"[DONE]",
        )
    )
    first, second = got["choices"]
    assert first["message"] == {"role": "assistant", "content": "A", "reasoning": "hm!"}
    assert [entry["logprob"] for entry in first["logprobs"]["content"]] == [-1.0, -3.0]
    assert (second["message"]["content"], second["finish_reason"]) == ("B", "length")


KEYS = [
    "choices",
    "delta",
    "index",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "usage",
    "logprobs",
    "content",
    "error",
    "finish_reason",
]
odd_json = st.recursive(
    st.none() | st.text(max_size=4) | st.integers(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, min_size=1, max_size=4),
    max_leaves=10,
)


@given(chunks=st.lists(odd_json, max_size=5))
@settings(max_examples=200)
def test_any_json_is_read_and_assembled_without_a_crash(chunks: list[object]) -> None:
    assembler = Assembler()
    for part in read(sse(*chunks, b"[DONE]")):
        if isinstance(part, Chunk) and part.parsed is not None:
            assembler.add(part.parsed)
            StreamDress(shown="m", sent="d", usage=False, role_once=True).dress(part)
    json.dumps(assembler.answer())


def dressed(data: bytes, *, usage: bool, role_once: bool = True) -> list[dict[str, Any]]:
    dress = StreamDress(shown="org/smol", sent="default_model", usage=usage, role_once=role_once)
    out = [dress.dress(part) for part in read(data, parse_all=False) if isinstance(part, Chunk)]
    return [json.loads(one) for one in out if one is not None]


@pytest.mark.parametrize("name", COMPLETE)
def test_the_client_sees_its_own_model_name_and_the_role_once(name: str) -> None:
    chunks = dressed(body(name), usage=True)
    assert {chunk["model"] for chunk in chunks} == {"org/smol"}
    roles = [choice["delta"].get("role") for chunk in chunks for choice in chunk["choices"]]
    assert roles[0] == "assistant"
    assert not any(roles[1:])
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}


@pytest.mark.parametrize("name", ["chat-stream-usage.sse.txt", "tool-call-stream.sse.txt"])
def test_usage_is_shown_only_to_whom_asked_for_it(name: str) -> None:
    with_usage, without = dressed(body(name), usage=True), dressed(body(name), usage=False)
    assert with_usage[-1]["usage"]["total_tokens"] > 0
    assert with_usage[:-1] == without
    assert not [chunk for chunk in without if "usage" in chunk]


def test_usage_in_a_chunk_with_text_is_cut_out_of_it() -> None:
    chunk = {**delta("stop", content="x"), "usage": {"total_tokens": 1}}
    assert "usage" not in dressed(sse(chunk), usage=False)[0]
    assert dressed(sse(chunk), usage=False)[0]["choices"] == chunk["choices"]


def test_the_models_text_is_never_edited() -> None:
    text = '{"role": "assistant", "model": "default_model"} "model":"default_model"'
    chunks = dressed(sse(delta(role="assistant", content=text), delta(role="assistant", content=text)), usage=False)
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == [text, text]


def message_of(*deltas: dict[str, Any]) -> dict[str, Any]:
    assembler = Assembler()
    for delta in deltas:
        assembler.add({"choices": [{"index": 0, "delta": delta}]})
    message: dict[str, Any] = assembler.answer()["choices"][0]["message"]
    return message


def test_calls_that_share_an_index_stay_apart_and_pieces_without_one_stay_together() -> None:
    same = message_of(
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "id": "b", "function": {"name": "g", "arguments": "{}"}}]},
    )
    assert [call["id"] for call in same["tool_calls"]] == ["a", "b"]
    loose = message_of(
        {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": '{"x"'}}]},
        {"tool_calls": [{"function": {"arguments": ": 1}"}}]},
    )
    assert [call["function"]["arguments"] for call in loose["tool_calls"]] == ['{"x": 1}']


def test_arguments_sent_as_an_object_and_the_old_function_call_are_kept() -> None:
    said = message_of({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]})
    assert said["tool_calls"][0]["function"]["arguments"] == '{"x":1}'
    old = message_of({"function_call": {"name": "f", "arguments": "{"}}, {"function_call": {"arguments": "}"}})
    assert old["function_call"] == {"name": "f", "arguments": "{}"}
