"""Messages: Anthropic's request as a chat, its answer as content blocks, in Anthropic's form."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import anthropic
import pytest
from dialect_kit import (
    CUT,
    SAID,
    anthropic_client,
    call,
    delta,
    events,
    heard_by_anthropic,
    recording,
    said,
    sent,
    unary,
    usage,
    wire,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.traffic.dialects.messages import count_tokens
from fleet.traffic.dialects.registry import dialect
from fleet.traffic.openai_error import ApiError, Refused

MESSAGES = dialect("messages")
TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}


def asked(*turns: Any, **body: Any) -> dict[str, Any]:
    return dict(MESSAGES.read({"messages": list(turns) or [{"role": "user", "content": "hi"}], **body}).request)


def history(*turns: Any, **body: Any) -> list[Any]:
    found: list[Any] = asked(*turns, **body)["messages"]
    return found


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def use(name: str, given: Any, *, call_id: str = "c1") -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


def result(content: Any, *, call_id: str = "c1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **more}


def refused(*turns: Any, **body: Any) -> ApiError:
    with pytest.raises(Refused) as caught:
        MESSAGES.read({"messages": list(turns), **body})
    return caught.value.error


PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
PNG_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def test_text_after_a_tool_use_stays_with_it_and_the_result_follows() -> None:
    """free-claude-code#206: such a history was not convertible."""
    found = history(
        user(text("go")),
        assistant(text("I look."), use("f", {"a": 1}), text("Wait.")),
        user(result("42"), text("and now?")),
    )
    assert [message["role"] for message in found] == ["user", "assistant", "tool", "user"]
    assert found[1]["content"] == [text("I look."), text("Wait.")]
    assert found[1]["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    ]
    assert found[2:] == [
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "user", "content": "and now?"},
    ]


def test_results_come_right_after_their_calls_wherever_they_stand() -> None:
    found = history(
        assistant(use("f", {}), use("g", {}, call_id="c2")),
        user(text("by the way"), result("1"), PNG, result([text("2"), PNG], call_id="c2")),
    )
    assert [message["role"] for message in found] == ["assistant", "tool", "tool", "user", "user"]
    assert [one["id"] for one in found[0]["tool_calls"]] == ["c1", "c2"]
    assert found[0]["content"] is None
    assert found[3]["content"] == [PNG_PART]
    assert found[4]["content"] == [text("by the way"), PNG_PART]


def test_two_messages_of_a_user_in_a_row_stay_two() -> None:
    found = history(*sent("openclaw.agent.messages")["body"]["messages"])
    assert [message["role"] for message in found] == ["user", "user"]


def test_a_system_prompt_is_one_text_and_the_header_for_billing_is_not_in_it() -> None:
    """It changes with each request of Claude Code: with it no prompt would begin as another."""
    header = text("x-anthropic-billing-header: cc_version=2.1.330.b31; cch=0a1b2;")
    found = history(system=[header, text("You are.", cache_control={"type": "ephemeral"}), text("Be kind.")])
    assert found[0] == {"role": "system", "content": "You are.\n\nBe kind."}
    assert history(system="plain")[0] == {"role": "system", "content": "plain"}
    assert history(system=[])[0]["role"] == history(system=None)[0]["role"] == "user"


def test_a_system_message_in_the_midst_stays_where_it_is() -> None:
    found = history({"role": "user", "content": "a"}, {"role": "system", "content": [text("b")]})
    assert found == [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]


def test_cache_control_and_thinking_are_not_said_to_upstreams() -> None:
    found = history(
        user(text("a", cache_control={"type": "ephemeral"})),
        assistant({"type": "thinking", "thinking": "hm", "signature": "s"}, text("b")),
        assistant({"type": "redacted_thinking", "data": "x"}),
        user(text("c")),
    )
    assert found == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]


def test_an_image_by_url_and_documents_of_text_go_as_parts() -> None:
    document = {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "D"}}
    inner = {"type": "document", "source": {"type": "content", "content": [text("E")]}}
    search = {"type": "search_result", "title": "S", "source": "http://s", "content": [text("F")]}
    (found,) = history(user({"type": "image", "source": {"type": "url", "url": "http://i"}}, document, inner, search))
    assert found["content"] == [
        {"type": "image_url", "image_url": {"url": "http://i"}},
        text("T"),
        text("D"),
        text("E"),
        text("S\nhttp://s\nF"),
    ]


@pytest.mark.parametrize(
    "source", [{"type": "base64", "media_type": "application/pdf", "data": ""}, {"type": "url", "url": "u"}, None]
)
def test_a_document_that_is_no_plain_text_is_refused_and_named(source: Any) -> None:
    error = refused(user(text("a"), {"type": "document", "source": source}))
    assert (error.status, error.param) == (400, "messages[0].content[1]")
    assert "plain text" in error.message


@pytest.mark.parametrize(
    ("turns", "param"),
    [
        ([{"role": "tool", "content": "a"}], "messages[0].role"),
        (["a"], "messages[0].role"),
        ([{"role": "user", "content": 1}], "messages[0].content"),
        ([{"role": "user", "content": [1]}], "messages[0].content[0]"),
        ([user({"type": "image", "source": {"type": "file", "file_id": "f"}})], "messages[0].content[0].source"),
    ],
)
def test_messages_of_another_form_are_refused_and_named(turns: list[Any], param: str) -> None:
    assert refused(*turns).param == param


def test_a_request_without_messages_is_refused() -> None:
    with pytest.raises(Refused, match="'messages' must be a list"):
        MESSAGES.read({"max_tokens": 1})


def test_a_result_of_a_tool_that_failed_says_so() -> None:
    found = history(assistant(use("f", {})), user(result("no such file", is_error=True)))
    assert found[1]["content"] == "The tool failed:\nno such file"


@pytest.mark.parametrize("content", [None, "", []])
def test_a_result_without_content_is_an_empty_one(content: Any) -> None:
    assert history(assistant(use("f", {})), user(result(content)))[1]["content"] == ""


def test_call_ids_that_a_client_changed_are_passed_on_as_they_are() -> None:
    found = history(assistant(use("f", {}, call_id="callmock1")), user(result("x", call_id="callmock1")))
    assert found[0]["tool_calls"][0]["id"] == found[1]["tool_call_id"] == "callmock1"


def test_the_clients_tools_are_functions_and_anthropics_own_go_in_silence() -> None:
    found = asked(
        tools=[
            TOOL,
            {"type": "custom", "name": "g", "cache_control": {"type": "ephemeral"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
            {"type": "bash_20250124", "name": "bash"},
            "odd",
        ]
    )
    assert [one["function"]["name"] for one in found["tools"]] == ["f", "g"]
    assert found["tools"][0]["function"] == {"name": "f", "description": "d", "parameters": TOOL["input_schema"]}
    assert found["tools"][1]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert "tools" not in asked(
        tools=[{"type": "web_search_20250305", "name": "web_search"}], tool_choice={"type": "any"}
    )


@pytest.mark.parametrize(
    ("choice", "said_to_chat"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "of_tomorrow"}, None),
        (None, None),
    ],
)
def test_a_choice_of_tools_is_said_in_chats_form(choice: Any, said_to_chat: Any) -> None:
    found = asked(tools=[TOOL], tool_choice=choice)
    assert found.get("tool_choice") == said_to_chat
    assert "parallel_tool_calls" not in found
    if choice:
        alone = asked(tools=[TOOL], tool_choice={**choice, "disable_parallel_tool_use": True})
        assert alone["parallel_tool_calls"] is False


def test_limits_and_sampling_are_said_in_chats_words_and_the_rest_goes() -> None:
    found = asked(
        model="m",
        max_tokens=9,
        stop_sequences=["END"],
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        metadata={"user_id": "u"},
        context_management={"edits": []},
        output_config={"effort": "high"},
        betas=["x"],
        service_tier="auto",
        container=None,
        of_tomorrow=1,
    )
    del found["messages"]
    assert found == {
        "model": "m",
        "max_tokens": 9,
        "stop": ["END"],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 4,
        "user": "u",
    }


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, "low"),
        ({"type": "enabled", "budget_tokens": 10_000}, "medium"),
        ({"type": "enabled", "budget_tokens": 31_999}, "high"),
        ({"type": "enabled"}, None),
        ({"type": "adaptive"}, None),
        ({"type": "disabled"}, None),
        (None, None),
    ],
)
def test_a_stated_budget_of_thought_is_an_effort_and_no_other_thinking_asks_for_any(thinking: Any, effort: Any) -> None:
    assert asked(thinking=thinking).get("reasoning_effort") == effort


def test_a_schema_for_the_answer_is_asked_in_chats_form() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    found = asked(output_config={"effort": "high", "format": form})["response_format"]
    assert found == {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}


def test_a_stream_starts_pings_and_stops_as_the_surface_does() -> None:
    kinds = [one["type"] for one in events(said("messages", recording("clients/response.chat.stream.sse")))]
    assert kinds == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_the_real_counts_come_at_the_end_and_the_sdk_takes_them() -> None:
    heard = heard_by_anthropic(said("messages", recording("chat_streams/openrouter-reasoning.sse")))
    counts = heard.usage
    assert counts.input_tokens == 120 - 64 - 16
    assert (counts.cache_read_input_tokens, counts.cache_creation_input_tokens) == (64, 16)
    assert counts.output_tokens == 44


@pytest.mark.parametrize("thinking", [None, {"type": "disabled"}, {"type": "adaptive", "display": "omitted"}])
def test_a_thought_that_was_not_asked_for_is_a_sign_of_life_and_no_block(thinking: Any) -> None:
    """A script reads `content[0].text`: a thought there would break it."""
    data = wire(delta(reasoning="hm"), delta(content="yes"), delta("stop"))
    out = said("messages", data, thinking=thinking)
    assert [block.type for block in heard_by_anthropic(out).content] == ["text"]
    assert [one["type"] for one in events(out)][:3] == ["message_start", "ping", "ping"]
    assert [block["type"] for block in unary("messages", data, thinking=thinking)["content"]] == ["text"]


def test_a_thought_that_was_asked_for_is_a_block_before_the_text() -> None:
    data = wire(delta(reasoning="hm"), delta(content="yes"), delta("stop"))
    heard = heard_by_anthropic(said("messages", data))
    assert [block.type for block in heard.content] == ["thinking", "text"]
    assert unary("messages", data)["content"][0] == {"type": "thinking", "thinking": "hm", "signature": ""}


@pytest.mark.parametrize(
    ("finish", "calls", "reason"),
    [
        ("stop", False, "end_turn"),
        ("length", False, "max_tokens"),
        ("content_filter", False, "refusal"),
        ("tool_calls", True, "tool_use"),
        ("stop", True, "tool_use"),
        ("length", True, "max_tokens"),
        ("tool_calls", False, "end_turn"),
        ("eos", False, "end_turn"),
    ],
)
def test_the_reason_to_stop_follows_what_was_said(finish: str, calls: bool, reason: str) -> None:
    made = [delta(tool_calls=[call("{}", id="c", name="f")])] if calls else [delta(content="a")]
    data = wire(*made, delta(finish))
    assert heard_by_anthropic(said("messages", data)).stop_reason == reason
    assert unary("messages", data)["stop_reason"] == reason


@pytest.mark.parametrize("field", ["stop_reason", "matched_stop"])
def test_a_stop_sequence_is_named_where_the_upstream_names_it(field: str) -> None:
    last = delta("stop")
    last["choices"][0][field] = "END"
    data = wire(delta(content="a"), last)
    heard = heard_by_anthropic(said("messages", data, stop_sequences=["END"]))
    assert (heard.stop_reason, heard.stop_sequence) == ("stop_sequence", "END")
    assert heard_by_anthropic(said("messages", data, stop_sequences=["X"])).stop_reason == "end_turn"


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", '"a"', "nonsense"])
def test_arguments_that_are_no_object_are_kept_as_text_and_never_become_an_empty_object(arguments: str) -> None:
    data = wire(delta(tool_calls=[call(arguments, id="c", name="f")]), delta("tool_calls"))
    (block,) = unary("messages", data)["content"]
    assert block["input"] == {"unparsed_arguments": arguments}
    deltas = [
        one["delta"]["partial_json"] for one in events(said("messages", data)) if "partial_json" in one.get("delta", {})
    ]
    assert "".join(deltas) == arguments


def test_blanks_before_arguments_do_not_end_the_stream_in_anthropics_sdk() -> None:
    data = wire(
        delta(tool_calls=[call(" ", id="c", name="f")]), delta(tool_calls=[call('\n {"a":1}')]), delta("tool_calls")
    )
    (heard,) = heard_by_anthropic(said("messages", data)).content
    assert isinstance(heard, anthropic.types.ToolUseBlock)
    assert heard.input == {"a": 1}


@pytest.mark.parametrize("arguments", ["", " ", None])
def test_no_arguments_at_all_are_an_empty_object(arguments: Any) -> None:
    data = wire(delta(tool_calls=[call(arguments, id="c", name="f")]), delta("tool_calls"))
    (block,) = unary("messages", data)["content"]
    assert block["input"] == {}
    (heard,) = heard_by_anthropic(said("messages", data)).content
    assert isinstance(heard, anthropic.types.ToolUseBlock)
    assert heard.input == {}


def test_a_unary_message_satisfies_the_sdks_model() -> None:
    answer = unary("messages", wire(delta(content="hi"), delta("stop"), usage(5, 1)))
    assert anthropic.types.Message.model_validate(answer).usage.input_tokens == 5
    assert (answer["id"], answer["model"], answer["role"]) == ("msg_0123456789ab", "token-track", "assistant")


def test_an_agents_tool_turn_is_one_conversation() -> None:
    """Claude Code's second request: what we answered comes back before the result."""
    body = sent("claude-code.messages")["body"]
    heard = heard_by_anthropic(said("messages", recording("mlx/tool-call-stream.sse.txt"), **body))
    turn = {"role": "assistant", "content": [block.model_dump() for block in heard.content]}
    found = asked(*body["messages"], turn, user(result("sunny", call_id=heard.content[0].model_dump()["id"])))[
        "messages"
    ]
    assert [message["role"] for message in found[-2:]] == ["assistant", "tool"]
    assert found[-1]["tool_call_id"] == found[-2]["tool_calls"][0]["id"]
    assert json.loads(found[-2]["tool_calls"][0]["function"]["arguments"]) == {"city": "Paris"}


@pytest.mark.parametrize(
    ("status", "kind", "raises"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError),
        (401, "authentication_error", anthropic.AuthenticationError),
        (403, "permission_error", anthropic.PermissionDeniedError),
        (404, "not_found_error", anthropic.NotFoundError),
        (408, "invalid_request_error", anthropic.APIStatusError),
        (413, "request_too_large", anthropic.APIStatusError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (500, "api_error", anthropic.InternalServerError),
        (502, "api_error", anthropic.InternalServerError),
        (503, "overloaded_error", anthropic.InternalServerError),
        (504, "api_error", anthropic.InternalServerError),
        (529, "overloaded_error", anthropic.InternalServerError),
    ],
)
def test_an_error_has_anthropics_form_and_its_word_for_the_status(
    status: int, kind: str, raises: type[anthropic.APIStatusError]
) -> None:
    body = MESSAGES.error(ApiError(status=status, message="so it is"), request_id="req_1")
    assert json.loads(body) == {
        "type": "error",
        "error": {"type": kind, "message": "so it is"},
        "request_id": "req_1",
    }
    client = anthropic_client(body, kind="application/json", status=status)
    with pytest.raises(raises, match="so it is"):
        client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "a"}])


def test_nothing_follows_an_error_in_a_stream() -> None:
    out = said("messages", wire(delta(content="a"))[: -len("data: [DONE]\n\n")])
    assert events(out)[-1]["error"] == {"type": "api_error", "message": CUT.message}


def test_tokens_are_estimated_from_what_would_be_asked() -> None:
    body = sent("anthropic.count_tokens")["body"]
    assert count_tokens(body, 0.25) == 4
    long = {"messages": [{"role": "user", "content": "a" * 4000}], "system": "b" * 400}
    assert count_tokens(long, 0.25) == 1100 + 8
    picture = {"messages": [user(PNG | {"source": {**PNG["source"], "data": "A" * 100_000}}, text("what"))]}
    assert count_tokens(picture, 0.25) == 1600 + 1 + 4
    assert count_tokens({**long, "tools": [TOOL]}, 0.25) > count_tokens(long, 0.25)
    assert count_tokens({"messages": []}, 0.25) == 1
    with pytest.raises(Refused):
        count_tokens({}, 0.25)


@given(st.lists(st.text(max_size=50), max_size=5), st.text(min_size=8, max_size=60))
def test_more_text_is_never_counted_as_fewer_tokens(texts: list[str], more: str) -> None:
    turns = [{"role": "user", "content": one} for one in texts]
    fewer = count_tokens({"messages": turns}, 0.3)
    assert count_tokens({"messages": [*turns, {"role": "user", "content": more}]}, 0.3) > fewer or not texts


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "source", "input", "name", "output", "tools", "id"]),
            st.one_of(inner, st.sampled_from(["user", "assistant", "tool_use", "tool_result", "image", "message"])),
            max_size=4,
        ),
    ),
    max_leaves=10,
)


FIELDS = (
    *("messages", "input", "system", "instructions", "tools", "tool_choice", "text", "thinking", "reasoning"),
    *("metadata", "output_config", "stop_sequences", "max_tokens", "max_output_tokens", "background"),
)


@pytest.mark.parametrize("name", ["messages", "responses"])
@settings(max_examples=120, deadline=None)
@given(odd=json_values, field=st.sampled_from(FIELDS))
def test_odd_requests_are_read_or_refused_and_never_crash(name: str, odd: Any, field: str) -> None:
    body = {"messages": [{"role": "user", "content": "a"}], "input": "a", field: odd}
    bodies = (
        body,
        {**body, "messages": [odd], "input": [odd]},
        {**body, "messages": [{"role": "user", "content": [odd]}], "input": [{"role": "user", "content": [odd]}]},
        {**body, "tools": [odd, {"type": "function", "name": "f"}, {"name": "f"}], "tool_choice": odd},
        {
            **body,
            "tools": [{"type": "function", "name": "f"}, {"name": "f"}],
            "tool_choice": {"type": odd, "name": odd},
        },
    )
    for one in bodies:
        with contextlib.suppress(Refused):
            asked = dialect(name).read(one)
            json.dumps(asked.request)
            json.dumps(dialect(name).answer({"choices": [odd, {"message": odd}]}, asked, SAID))
            assert dialect(name).voice(asked, SAID).fail(CUT)
