"""Responses: a stateless request as a chat, its answer as items, in OpenAI's form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dialect_kit import (
    CUT,
    SAID,
    SAMPLES,
    asked_of,
    call,
    delta,
    events,
    heard_by_openai,
    recording,
    said,
    sent,
    unary,
    usage,
    voice_of,
    wire,
)
from openai.types.responses import Response

from fleet.traffic.dialects.registry import dialect
from fleet.traffic.openai_error import ApiError, Refused

RESPONSES = dialect("responses")


def asked(**body: Any) -> dict[str, Any]:
    return dict(RESPONSES.read({"input": "hi", **body}).request)


def messages(*items: Any, **body: Any) -> list[Any]:
    found: list[Any] = asked(input=list(items), **body)["messages"]
    return found


def refused(**body: Any) -> ApiError:
    with pytest.raises(Refused) as caught:
        RESPONSES.read({"input": "hi", **body})
    return caught.value.error


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("previous_response_id", "resp_1", "previous_response_not_supported"),
        ("conversation", {"id": "conv_1"}, "conversation_not_supported"),
        ("conversation", "conv_1", "conversation_not_supported"),
        ("background", True, "background_not_supported"),
        ("prompt", {"id": "pmpt_1"}, "prompt_not_supported"),
    ],
)
def test_what_needs_a_server_with_a_memory_is_refused_and_named(field: str, value: Any, code: str) -> None:
    error = refused(**{field: value})
    assert (error.status, error.code, error.param) == (400, code, field)
    assert "stores nothing" in error.message


@pytest.mark.parametrize("field", ["previous_response_id", "conversation", "background", "prompt", "store"])
def test_null_or_false_state_is_no_state(field: str) -> None:
    assert asked(**{field: None})
    assert asked(background=False, store=True)


def test_a_response_says_that_it_was_not_stored() -> None:
    assert unary("responses", recording("clients/response.chat.stream.sse"), store=True)["store"] is False


@pytest.mark.parametrize("kind", ["item_reference", "compaction"])
def test_an_item_that_lives_elsewhere_is_refused_and_named(kind: str) -> None:
    error = refused(input=[{"role": "user", "content": "hi"}, {"type": kind, "id": "msg_1"}])
    assert (error.status, error.param) == (400, "input[1]")


@pytest.mark.parametrize(
    ("value", "param"),
    [(None, "input"), (1, "input"), ({}, "input"), ([1], "input[0]"), ([{}], "input[0].role")],
)
def test_an_input_of_another_form_is_refused_and_named(value: Any, param: str) -> None:
    assert refused(input=value).param == param


def test_files_and_stored_images_are_refused_and_named() -> None:
    file = {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_file", "file_id": "f"}]}
    assert refused(input=[file]).param == "input[0].content[1]"
    image = {"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}
    assert refused(input=[image]).param == "input[0].content[0]"


def test_instructions_come_first_and_developers_speak_as_the_system() -> None:
    found = messages(
        {"role": "developer", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
        {"type": "message", "role": "user", "content": "c"},
        {"role": "user", "content": [{"type": "input_text", "text": "d"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "e"}, {"type": "refusal", "refusal": "f"}]},
        instructions="first",
    )
    assert found == [
        {"role": "system", "content": "first"},
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "content": "c"},
        {"role": "user", "content": "d"},
        {"role": "assistant", "content": [{"type": "text", "text": "e"}, {"type": "text", "text": "f"}]},
    ]


def test_an_image_goes_as_chats_image() -> None:
    parts = [{"type": "input_text", "text": "what"}, {"type": "input_image", "image_url": "data:x", "detail": "low"}]
    (found,) = messages({"role": "user", "content": parts})
    assert found["content"] == [
        {"type": "text", "text": "what"},
        {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}},
    ]


def test_calls_and_their_outputs_become_one_assistant_message_and_the_results_after_it() -> None:
    found = messages(
        {"role": "user", "content": "go"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": ""},
        {"role": "assistant", "content": "I called two."},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
        {"role": "user", "content": "and?"},
    )
    assert [message["role"] for message in found] == ["user", "assistant", "tool", "tool", "user"]
    assert found[1]["content"] == "I called two."
    assert [one["function"] for one in found[1]["tool_calls"]] == [
        {"name": "f", "arguments": '{"a":1}'},
        {"name": "g", "arguments": "{}"},
    ]
    assert found[2:4] == [
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
    ]


def test_a_tools_picture_follows_all_results_as_the_users() -> None:
    found = messages(
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_image", "image_url": "data:x"}]},
        {"type": "function_call_output", "call_id": "c2", "output": {"odd": True}},
    )
    assert [message["role"] for message in found] == ["assistant", "tool", "tool", "user"]
    assert found[2]["content"] == '{"odd":true}'
    assert found[3]["content"] == [{"type": "image_url", "image_url": {"url": "data:x"}}]


def test_hosted_tools_and_their_records_go_in_silence() -> None:
    tools = [{"type": "web_search"}, {"type": "local_shell"}, {"type": "file_search", "vector_store_ids": []}, "odd"]
    request = asked(
        tools=tools,
        tool_choice="required",
        parallel_tool_calls=False,
        input=[{"type": "web_search_call", "id": "ws_1", "status": "completed"}, {"role": "user", "content": "a"}],
    )
    assert set(request) == {"messages"}
    assert request["messages"] == [{"role": "user", "content": "a"}]


FUNCTION = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
CUSTOM = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Patch.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: A"},
}
NAMESPACE = {"type": "namespace", "name": "agents", "description": "d", "tools": [{**FUNCTION, "name": "spawn"}]}
TOOLS = [FUNCTION, CUSTOM, NAMESPACE, {"type": "web_search"}]


def test_functions_custom_tools_and_namespaces_are_chats_functions() -> None:
    found = asked(tools=TOOLS, tool_choice="auto", parallel_tool_calls=False)
    assert [one["function"]["name"] for one in found["tools"]] == ["f", "apply_patch", "agents__spawn"]
    assert found["tools"][0] == {"type": "function", "function": {k: v for k, v in FUNCTION.items() if k != "type"}}
    custom = found["tools"][1]["function"]
    assert custom["parameters"]["required"] == ["input"]
    assert "start: A" in custom["description"]
    assert (found["tool_choice"], found["parallel_tool_calls"]) == ("auto", False)


@pytest.mark.parametrize(
    ("choice", "said_to_chat"),
    [
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "custom", "name": "apply_patch"}, {"type": "function", "function": {"name": "apply_patch"}}),
        ({"type": "web_search"}, None),
        ("of_tomorrow", None),
    ],
)
def test_a_choice_of_tools_is_said_in_chats_form(choice: Any, said_to_chat: Any) -> None:
    assert asked(tools=TOOLS, tool_choice=choice).get("tool_choice") == said_to_chat


def test_allowed_tools_leave_only_those() -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}
    found = asked(tools=TOOLS, tool_choice=choice)
    assert found["tool_choice"] == "required"
    assert [one["function"]["name"] for one in found["tools"]] == ["f"]


def test_tools_that_come_in_the_midst_of_a_conversation_are_offered() -> None:
    item = {"type": "additional_tools", "role": "developer", "tools": [FUNCTION]}
    found = asked(input=[{"role": "user", "content": "a"}, item])
    assert [one["function"]["name"] for one in found["tools"]] == ["f"]
    assert len(found["messages"]) == 1


def test_limits_effort_and_format_are_said_in_chats_words() -> None:
    form = {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}
    found = asked(
        max_output_tokens=9,
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": form, "verbosity": "low"},
        temperature=0.5,
        top_p=0.9,
        user="u",
        metadata={"a": "b"},
        prompt_cache_key="k",
        session_id="s",
        of_tomorrow=1,
        include=["reasoning.encrypted_content"],
        client_metadata={},
    )
    del found["messages"]
    assert found == {
        "max_tokens": 9,
        "reasoning_effort": "low",
        "verbosity": "low",
        "response_format": {"type": "json_schema", "json_schema": {k: v for k, v in form.items() if k != "type"}},
        "temperature": 0.5,
        "top_p": 0.9,
        "user": "u",
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "session_id": "s",
    }
    assert asked(text={"format": {"type": "json_object"}})["response_format"] == {"type": "json_object"}
    assert "response_format" not in asked(text={"format": {"type": "text"}})


def test_the_events_of_a_text_come_in_the_recorded_order_with_the_recorded_fields() -> None:
    ours = events(said("responses", recording("clients/response.chat.stream.sse")))
    theirs = events((SAMPLES / "clients" / "response.responses.stream.sse").read_bytes())
    assert [one["type"] for one in ours] == [one["type"] for one in theirs]
    for mine, recorded in zip(ours, theirs, strict=True):
        assert recorded.keys() <= mine.keys()
        assert set(recorded.get("response", ())) <= mine.get("response", {}).keys()
        assert set(recorded.get("item", ())) <= mine.get("item", {}).keys()
    assert [one["sequence_number"] for one in ours] == list(range(len(ours)))
    assert ours[-1]["response"]["output"][0]["content"] == [
        {**theirs[-1]["response"]["output"][0]["content"][0], "logprobs": []}
    ]


def test_a_thought_is_an_item_of_its_own_before_the_message() -> None:
    out = said("responses", wire(delta(reasoning_content="hm"), delta(content="yes"), delta("stop")))
    kinds = [one["type"] for one in events(out)][2:10]
    assert kinds == [
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert [one.type for one in heard_by_openai(out).output] == ["reasoning", "message"]


def test_a_refusal_is_said_as_one() -> None:
    heard = heard_by_openai(said("responses", wire(delta(refusal="I "), delta(refusal="won't"), delta("stop"))))
    assert heard.model_dump()["output"][0]["content"] == [{"type": "refusal", "refusal": "I won't"}]


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_stopped_is_incomplete_and_says_why(finish: str, reason: str) -> None:
    data = wire(delta(content="Once"), delta(finish), usage(5, 1))
    last = events(said("responses", data))[-1]
    assert last["type"] == "response.incomplete"
    answer = unary("responses", data)
    for one in (last["response"], answer):
        assert one["status"] == one["output"][0]["status"] == "incomplete"
        assert one["incomplete_details"] == {"reason": reason}


def test_usage_is_told_and_null_where_the_upstream_did_not_tell() -> None:
    last = events(said("responses", recording("chat_streams/openrouter-reasoning.sse")))[-1]
    assert last["response"]["usage"] == {
        "input_tokens": 120,
        "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 16},
        "output_tokens": 44,
        "output_tokens_details": {"reasoning_tokens": 9},
        "total_tokens": 164,
    }
    assert events(said("responses", wire(delta(content="a"), delta("stop"))))[-1]["response"]["usage"] is None


def test_a_custom_tools_input_comes_back_as_the_client_knows_it() -> None:
    arguments = json.dumps({"input": "*** Begin Patch"})
    data = wire(
        delta(tool_calls=[call(arguments[:9], id="c1", name="apply_patch")]),
        delta(tool_calls=[call(arguments[9:])]),
        delta("tool_calls"),
    )
    out = said("responses", data, tools=TOOLS)
    assert [one["type"].split(".")[1:] for one in events(out)][2:6] == [
        ["output_item", "added"],
        ["custom_tool_call_input", "delta"],
        ["custom_tool_call_input", "done"],
        ["output_item", "done"],
    ]
    assert heard_by_openai(out).output[0].type == "custom_tool_call"
    for item in (events(out)[-1]["response"]["output"][0], unary("responses", data, tools=TOOLS)["output"][0]):
        assert item["type"] == "custom_tool_call"
        assert (item["call_id"], item["name"], item["input"]) == ("c1", "apply_patch", "*** Begin Patch")
    again = messages(
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin Patch"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        tools=TOOLS,
    )
    assert json.loads(again[0]["tool_calls"][0]["function"]["arguments"]) == {"input": "*** Begin Patch"}
    assert again[1] == {"role": "tool", "tool_call_id": "c1", "content": "done"}


def test_a_custom_tools_input_that_was_not_wrapped_is_kept_as_it_is() -> None:
    data = wire(delta(tool_calls=[call("*** Begin", id="c1", name="apply_patch")]), delta("tool_calls"))
    assert events(said("responses", data, tools=TOOLS))[-1]["response"]["output"][0]["input"] == "*** Begin"


def test_a_namespaced_tool_comes_back_with_its_namespace_and_goes_again_under_the_same_name() -> None:
    data = wire(delta(tool_calls=[call("{}", id="c1", name="agents__spawn")]), delta("tool_calls"))
    item = events(said("responses", data, tools=TOOLS))[-1]["response"]["output"][0]
    assert (item["type"], item["namespace"], item["name"]) == ("function_call", "agents", "spawn")
    (again,) = messages(item, tools=TOOLS)
    assert again["tool_calls"][0]["function"]["name"] == "agents__spawn"


def test_call_ids_that_a_client_changed_are_passed_on_as_they_are() -> None:
    """OpenClaw takes the underscore out: nothing may be kept by the ids."""
    found = messages(
        {"type": "function_call", "call_id": "callmock1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "callmock1", "output": "x"},
    )
    assert found[0]["tool_calls"][0]["id"] == found[1]["tool_call_id"] == "callmock1"


def test_a_response_repeats_what_was_asked_and_satisfies_the_sdks_model() -> None:
    request = {
        **sent("codex.responses")["body"],
        "instructions": "Be kind.",
        "tools": TOOLS,
        "temperature": 0.5,
        "metadata": {"a": "b"},
        "max_output_tokens": 9,
    }
    answer = unary("responses", recording("mlx/tool-call-stream.sse.txt"), **request)
    response = Response.model_validate(answer)
    assert response.instructions == "Be kind."
    assert answer["tools"] == TOOLS
    assert (response.tool_choice, response.parallel_tool_calls, response.temperature) == ("auto", True, 0.5)
    assert (response.max_output_tokens, response.metadata) == (9, {"a": "b"})
    assert response.model == "token-track"
    first, last = (events(said("responses", recording("mlx/chat-stream.sse.txt"), **request))[at] for at in (0, -1))
    for one in (first, last):
        assert one["response"]["tools"] == TOOLS
        assert one["response"]["instructions"] == "Be kind."
        Response.model_validate(one["response"])


def test_a_recorded_agents_tool_turn_is_one_conversation() -> None:
    """Codex's second request: what we answered comes back beside the result."""
    body = sent("codex.responses")["body"]
    out = said("responses", recording("mlx/tool-call-stream.sse.txt"), **body)
    (item,) = events(out)[-1]["response"]["output"]
    result = {"type": "function_call_output", "call_id": item["call_id"], "output": "sunny"}
    found = asked(**{**body, "input": [*body["input"], item, result]})["messages"]
    assert [message["role"] for message in found[-3:]] == ["user", "assistant", "tool"]
    assert found[-1]["tool_call_id"] == found[-2]["tool_calls"][0]["id"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CUT, "server_error"),
        (ApiError(status=429, message="m", code="upstream_busy"), "rate_limit_exceeded"),
        (ApiError(status=400, message="m", code="context_length_exceeded"), "context_length_exceeded"),
        (ApiError(status=400, message="m"), "invalid_prompt"),
    ],
)
def test_a_failure_is_told_with_a_code_that_clients_of_the_surface_know(error: ApiError, code: str) -> None:
    voice = voice_of("responses")
    last = events(voice.fail(error))[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["code"] == code
    assert last["response"]["error"]["message"] == error.message


def test_the_parts_of_a_failed_response_are_marked_incomplete() -> None:
    out = said("responses", wire(delta(content="Hel"))[: -len("data: [DONE]\n\n")])
    (item,) = events(out)[-1]["response"]["output"]
    assert item["status"] == "incomplete"


def test_a_plain_string_is_what_the_user_says() -> None:
    assert asked_of("responses").request["messages"] == [{"role": "user", "content": "hi"}]
    assert RESPONSES.answer({"choices": []}, asked_of("responses"), SAID)["output"] == []
