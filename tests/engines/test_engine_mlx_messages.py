"""Messages as mlx_lm.server takes them, checked against its own function where it is installed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.engines import UpstreamFacts, engine
from fleet.engines.mlx_lm_messages import plain_messages

FACTS = UpstreamFacts(model="default_model")
USER = {"role": "user", "content": "hi"}


def sent(messages: list[Any], **more: Any) -> dict[str, Any]:
    return engine("mlx_lm").normalize({"messages": messages, **more}, FACTS)


def one(message: dict[str, Any]) -> Any:
    return sent([message])["messages"][0]


def call(arguments: Any) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}


def test_messages_that_need_nothing_are_not_copied() -> None:
    messages = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call('{"a": 1}')]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
    ]
    assert sent(messages)["messages"] is messages


def test_a_developer_speaks_as_the_system() -> None:
    assert one({"role": "developer", "content": "be brief"}) == {"role": "system", "content": "be brief"}


def test_there_is_one_system_message_and_that_at_the_start() -> None:
    first = [{"role": "developer", "content": "be brief"}, {"role": "system", "content": "be kind"}]
    later = {"role": "system", "content": "it is late"}
    assert sent([*first, USER, later])["messages"] == [
        {"role": "system", "content": "be brief\n\nbe kind"},
        USER,
        {"role": "user", "content": "it is late"},
    ]
    assert sent([USER, later])["messages"][1]["role"] == "user"


@pytest.mark.parametrize("role", ["user", "system", "tool", "assistant"])
def test_parts_of_text_become_one_text(role: str) -> None:
    parts = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "output_text", "text": "b"},
        {"type": "refusal", "refusal": "c"},
        {"text": "d"},
        "e",
    ]
    assert one({"role": role, "content": parts})["content"] == "abcde"
    assert one({"role": role, "content": []})["content"] == ""


def test_an_image_stays_beside_its_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts = [{"type": "input_text", "text": "what is it?"}, {**image, "cache_control": {}, "detail": None}]
    assert one({"role": "user", "content": parts})["content"] == [{"type": "text", "text": "what is it?"}, image]


def test_nulls_and_cache_hints_go_and_the_rest_stays() -> None:
    message = {"role": "assistant", "content": "x", "tool_calls": None, "name": "n", "cache_control": {}, "audio": None}
    assert one(message) == {"role": "assistant", "content": "x", "name": "n"}
    assert one({"role": "assistant", "content": "x", "tool_calls": []}) == {"role": "assistant", "content": "x"}


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ("", "{}"),
        ("  ", "{}"),
        ('{"city": "Pa', '{"arguments": "{\\"city\\": \\"Pa"}'),
        ("[1]", '{"arguments": "[1]"}'),
        ('{"a": 1}', '{"a": 1}'),
    ],
)
def test_a_broken_call_of_the_history_does_not_end_the_conversation(arguments: str, kept: str) -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [call(arguments)]}
    assert one(message)["tool_calls"][0]["function"]["arguments"] == kept


def test_with_tool_choice_none_no_tools_are_offered() -> None:
    """The server does not read tool_choice: it would call."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert not {"tools", "tool_choice"} & sent([USER], tools=tools, tool_choice="none").keys()
    assert sent([USER], tools=tools, tool_choice="auto")["tools"] == tools


def test_a_tool_loses_its_cache_hint_only() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    assert sent([USER], tools=[{**tool, "cache_control": {}}, tool])["tools"] == [tool, tool]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
parts = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "refusal", "output_text"]), "text": st.text(), "refusal": st.text()}
)
chats = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "developer", "system"])},
        optional={
            "content": st.none() | st.text() | st.lists(parts, max_size=3),
            "tool_calls": st.none() | st.lists(st.text().map(call) | json_values.map(json.dumps).map(call), max_size=2),
        },
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None)  # the first example imports the server
@given(messages=chats)
def test_the_server_takes_every_chat_that_was_made_plain(messages: list[Any]) -> None:
    server = pytest.importorskip("mlx_lm.server")
    plain = json.loads(json.dumps(plain_messages(messages)))
    server.process_message_content(plain)
    assert all(isinstance(message["content"], str) for message in plain)
    calls = [one for message in plain for one in message.get("tool_calls", [])]
    assert all(isinstance(one["function"]["arguments"], dict) for one in calls)


@given(
    messages=st.lists(json_values | st.dictionaries(st.sampled_from(["role", "content", "tool_calls"]), json_values))
)
def test_any_messages_are_made_plain_and_stay_as_they_were(messages: list[Any]) -> None:
    before = repr(messages)
    once = plain_messages(messages)
    assert plain_messages(once) == once
    assert repr(messages) == before
