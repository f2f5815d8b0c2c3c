from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.chat_stream import ChatStreamReader, Chunk, Part
from fleet.traffic.tools.heard import Heard, Listener, heard_of
from fleet.traffic.tools.offered import Schemas, offered_of
from fleet.traffic.tools.score import FAILURES, SUCCESSES, Ended, Score, score
from fleet.vocabulary.contracts.ledger import ToolVerdict

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
V = ToolVerdict


def a_tool(name: str = "get_weather", parameters: object = WEATHER) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def a_call(
    arguments: object = '{"city": "Paris"}', *, name: str = "get_weather", call_id: object = "1"
) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def scored(
    *calls: dict[str, Any],
    finish: str | None = "tool_calls",
    content: str | None = None,
    ended: Ended = Ended.WHOLE,
    choice: object = "auto",
    tools: list[Any] | None = None,
) -> Score:
    offered = offered_of({"tools": tools or [a_tool()], "tool_choice": choice})
    assert offered is not None
    message = {"role": "assistant", "content": content, "tool_calls": [*calls]}
    heard = heard_of({"choices": [{"message": message, "finish_reason": finish}]})
    return score(offered, heard, ended=ended, schemas=Schemas())


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        ('{"city": "Paris"}', V.OK),
        ('{"city": "Paris", "days": 3}', V.OK),
        ('{"city": "Par', V.BAD_JSON),
        ("", V.SCHEMA),
        ("Paris", V.BAD_JSON),
        ('"Paris"', V.NOT_OBJECT),
        ('["Paris"]', V.NOT_OBJECT),
        ("null", V.NOT_OBJECT),
        ('{"town": "Paris"}', V.SCHEMA),
        ('{"city": 7}', V.SCHEMA),
        ("[" * 5000, V.BAD_JSON),
        ({"city": "Paris"}, V.OK_SOFT),
        (["Paris"], V.NOT_OBJECT),
        (None, V.SCHEMA),
    ],
)
def test_arguments_are_json_then_an_object_then_what_the_schema_says(arguments: object, verdict: ToolVerdict) -> None:
    assert scored(a_call(arguments)).verdict is verdict


def test_the_first_call_that_is_wrong_names_the_verdict() -> None:
    wrong = [a_call("{", call_id="2"), a_call(name="nope", call_id="3")]
    assert scored(a_call(), *wrong).verdict is V.BAD_JSON
    assert scored(a_call(), *reversed(wrong)).verdict is V.UNKNOWN_TOOL


def test_a_name_that_was_not_offered_is_wrong_before_its_arguments_are() -> None:
    assert scored(a_call("{", name="get_wether")).verdict is V.UNKNOWN_TOOL
    assert scored(a_call(name="")).verdict is V.UNKNOWN_TOOL
    assert scored({"id": "1"}).verdict is V.UNKNOWN_TOOL


def test_small_oddities_are_a_success_and_told() -> None:
    assert scored(a_call(), finish="stop") == Score(V.OK_SOFT, "finish_reason stop")
    assert scored(a_call(call_id=None)) == Score(V.OK_SOFT, "no id")
    assert scored(a_call("", name="now"), tools=[a_tool("now", {"type": "object"})]) == Score(V.OK_SOFT, "no arguments")
    assert scored(a_call("", name="now"), tools=[a_tool("now", None)]).verdict is V.OK_SOFT


def test_two_calls_with_one_id_are_no_success() -> None:
    assert scored(a_call(), a_call()) == Score(V.SCHEMA, "two calls with one id")
    assert scored(a_call(call_id=""), a_call(call_id="")).verdict is V.OK_SOFT


def test_an_answer_that_stops_inside_of_its_calls_is_truncated_whatever_they_hold() -> None:
    assert scored(a_call('{"city": "Par'), finish="length") == Score(V.TRUNCATED, "length")
    assert scored(a_call('{"city": "Par'), ended=Ended.CUT) == Score(V.TRUNCATED, "cut")
    assert scored(ended=Ended.CUT, content="I will") == Score(V.INFRA, "cut")
    assert scored(finish="length", content="once upon a time").verdict is V.NO_CALL


def test_no_first_token_and_a_client_that_left_are_left_out() -> None:
    assert scored(ended=Ended.NOTHING).verdict is V.INFRA
    assert scored(a_call("{"), ended=Ended.STOPPED).verdict is V.INFRA
    assert scored(a_call("{"), ended=Ended.LEFT).verdict is V.CANCELLED


def test_a_finish_without_its_calls_is_dropped() -> None:
    """MLX's server ends with "tool_calls" when its parser threw the call away."""
    assert scored(finish="tool_calls").verdict is V.DROPPED
    assert scored(finish="tool_calls", content="<tool_call>").verdict is V.DROPPED


def test_a_call_that_was_demanded_and_did_not_come_is_missing() -> None:
    named = {"type": "function", "function": {"name": "get_weather"}}
    assert scored(finish="stop", choice="required", content="Paris?").verdict is V.MISSING_REQUIRED
    assert scored(finish="stop", choice=named).verdict is V.MISSING_REQUIRED
    assert scored(a_call(), choice=named).verdict is V.OK
    other = scored(a_call(name="b"), choice=named, tools=[a_tool(), a_tool("b")])
    assert other.verdict is V.MISSING_REQUIRED
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}
    assert scored(finish="stop", choice=allowed).verdict is V.MISSING_REQUIRED
    assert scored(finish="stop", choice="none").verdict is V.NO_CALL


@pytest.mark.parametrize(
    "content",
    [
        '<tool_call>{"name": "x"}</tool_call>',
        "sure: <|tool_call_begin|>functions.get_weather",
        '[TOOL_CALLS][{"name": "x"}]',
        "<function=get_weather><parameter=city>Paris",
        '{"name": "get_weather", "arguments": {"city": "Paris"}}',
        'I call it:\n```json\n{"name": "get_weather", "parameters": {}}\n```',
        'a {brace} and {"function": {"name": "get_weather"}}',
        '{"function": "get_weather"}',
    ],
)
def test_a_call_in_the_text_leaked(content: str) -> None:
    assert scored(finish="stop", content=content).verdict is V.LEAKED_TEXT


@pytest.mark.parametrize(
    "content",
    [
        "",
        "The weather is fine.",
        '{"name": "Paris", "days": 3}',
        "I would use get_weather here",
        "{" * 3000 + "get_weather",
    ],
)
def test_an_answer_in_words_is_no_call(content: str) -> None:
    assert scored(finish="stop", content=content).verdict is V.NO_CALL


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "file:///etc/hostname"},
        {"$ref": "#/nowhere"},
        {"type": "objekt"},
        {"properties": {"city": {"pattern": "(?=x)"}}},
        ["city"],
        {"description": "x" * 300_000},
    ],
)
def test_a_schema_that_cannot_be_used_leaves_its_calls_without_a_score(schema: object) -> None:
    tools = [a_tool(parameters=schema), a_tool("b")]
    assert scored(a_call(), tools=tools) == Score(V.UNSCORABLE, "its schema")
    assert scored(a_call("{"), tools=tools).verdict is V.BAD_JSON
    assert scored(a_call(), a_call("[]", name="b", call_id="2"), tools=tools).verdict is V.NOT_OBJECT
    assert scored(a_call(name="b"), tools=tools).verdict is V.OK


def test_without_the_validators_package_calls_have_no_score_and_the_rest_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    assert scored(a_call()) == Score(V.UNSCORABLE, "its schema")
    assert scored(a_call("{")).verdict is V.BAD_JSON
    assert scored(a_call("{}", name="now"), tools=[a_tool("now", None)]).verdict is V.OK


def test_a_schema_is_compiled_once_and_few_are_remembered() -> None:
    schemas = Schemas(remembered=3)
    first = schemas.check({"type": "object", "title": "0"})
    assert schemas.check({"title": "0", "type": "object"}) is first
    for number in range(10):
        schemas.check({"title": str(number)})
    assert len(schemas) == 3


def test_tools_of_the_old_form_and_free_tools_count_and_odd_ones_do_not() -> None:
    assert offered_of({"tools": []}) is offered_of({}) is offered_of({"tools": [7, {"type": "web_search"}]}) is None
    old = offered_of({"functions": [{"name": "f", "parameters": WEATHER}], "function_call": {"name": "f"}})
    assert old is not None
    assert (old.schemas, old.named) == ({"f": WEATHER}, "f")
    custom = [{"type": "custom", "custom": {"name": "shell"}}]
    call = {"id": "1", "type": "custom", "custom": {"name": "shell", "input": "ls -l"}}
    assert scored(call, tools=custom).verdict is V.OK
    legacy = {
        "message": {"function_call": {"name": "f", "arguments": '{"city": "P"}'}},
        "finish_reason": "function_call",
    }
    assert score(old, heard_of({"choices": [legacy]}), ended=Ended.WHOLE, schemas=Schemas()).verdict is V.OK_SOFT


def test_every_verdict_is_a_success_a_failure_or_left_out() -> None:
    left_out = {V.NO_CALL, V.INFRA, V.CANCELLED, V.UNSCORABLE}
    assert {*V} == SUCCESSES | FAILURES | left_out
    assert not SUCCESSES & FAILURES


# --- streams ---


def listened(stream: bytes, *, size: int = 4096, parse_all: bool = False) -> Heard:
    reader, listener = ChatStreamReader(parse_all=parse_all), Listener()
    for number, at in enumerate(range(0, len(stream), size)):
        listener.feed(reader.feed(stream[at : at + size]), float(number))
    return listener.heard()


def sse(*chunks: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def said(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def a_piece(arguments: str, **more: Any) -> dict[str, Any]:
    return said(tool_calls=[{"index": 0, "function": {"arguments": arguments}} | more])


@pytest.mark.parametrize("size", [7, 100, 100_000])
def test_what_a_real_mlx_server_streamed_is_ok(size: int) -> None:
    text = (SAMPLES / "mlx" / "tool-call-stream.sse.txt").read_text()
    asked = json.loads(text.partition("\n> ")[2].partition("\n\n")[0])
    offered = offered_of(asked)
    assert offered is not None
    stream = text[text.index(": keepalive") :].encode()
    heard = listened(stream, size=size)
    assert heard.whole
    assert score(offered, heard, ended=Ended.WHOLE, schemas=Schemas()) == Score(V.OK)


@pytest.mark.parametrize("parse_all", [False, True])
def test_a_recorded_call_without_the_city_breaks_the_schema(parse_all: bool) -> None:
    heard = listened((SAMPLES / "clients" / "response.chat.tool.stream.sse").read_bytes(), parse_all=parse_all)
    assert [call["function"] for call in heard.calls] == [{"name": "get_weather", "arguments": "{}"}]
    offered = offered_of({"tools": [a_tool()]})
    assert offered is not None
    assert score(offered, heard, ended=Ended.WHOLE, schemas=Schemas()).verdict is V.SCHEMA


def test_the_text_of_a_stream_is_heard_though_nobody_parses_it() -> None:
    words = ["I", " call", " <tool", "_call", ">", '{"name"']
    stream = sse(said(role="assistant"), *(said(content=word) for word in words), said("stop"))
    assert listened(stream).content == "".join(words)
    assert listened(sse(*(said(content="x" * 1000) for _ in range(100)), said("stop"))).content == "x" * 65536


def test_the_first_calls_time_is_that_of_its_last_piece() -> None:
    first = said(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}])
    second = said(tool_calls=[{"index": 1, "id": "b", "function": {"name": "f", "arguments": "{}"}}])
    listener, reader = Listener(), ChatStreamReader(parse_all=False)
    for now, chunk in enumerate(
        [said(content="so"), first, a_piece('"x":'), a_piece("1}"), second, said("tool_calls")]
    ):
        listener.feed(reader.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n"), float(now))
    heard = listener.heard()
    assert heard.first_call_at == 3.0
    assert [call["function"]["arguments"] for call in heard.calls] == ['{"x":1}', "{}"]
    assert not heard.whole


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    calls = [said(tool_calls=[{"index": 0, "id": one, "function": {"name": "f", "arguments": "{}"}}]) for one in "ab"]
    listener, reader = Listener(), ChatStreamReader(parse_all=False)
    for now, chunk in enumerate([*calls, said("tool_calls")]):
        listener.feed(reader.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n"), float(now))
    assert len(listener.heard().calls) == 2
    assert listener.heard().first_call_at == 0.0


def test_only_the_first_choice_is_heard() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "no", "tool_calls": [{"index": 0}]}, "finish_reason": None}]}
    heard = listened(sse(said(content="yes"), other, said("stop")))
    assert (heard.content, heard.begun, heard.calls) == ("yes", False, ())


@given(st.lists(st.binary(max_size=60)), st.booleans())
def test_a_listener_takes_any_chunks(pieces: list[bytes], parsed: bool) -> None:
    listener = Listener()
    parts: list[Part] = [Chunk(piece) for piece in pieces]
    parts += [Chunk(b'{"tool_calls"' + piece) for piece in pieces]
    parts += [
        Chunk(b"", {"choices": [{"delta": {"tool_calls": [piece.decode("latin-1")]}}, 7]}) for piece in pieces if parsed
    ]
    listener.feed(parts, 0.0)
    assert isinstance(listener.heard().calls, tuple)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "function", "id", "x"]), inner)
    ),
    max_leaves=12,
)


@given(st.lists(_JSON, max_size=3), _JSON, _JSON, st.sampled_from(Ended))
def test_any_answer_has_a_verdict(calls: list[Any], content: Any, choice: Any, ended: Ended) -> None:
    offered = offered_of({"tools": [a_tool()], "tool_choice": choice})
    assert offered is not None
    message = {"content": content, "tool_calls": calls}
    heard = heard_of({"choices": [{"message": message, "finish_reason": content}]})
    assert score(offered, heard, ended=ended, schemas=Schemas()).verdict in ToolVerdict
