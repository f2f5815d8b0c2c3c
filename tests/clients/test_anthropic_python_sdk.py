"""Anthropic's Python SDK through the gateway: text, stream and tool round trip, token counts, and its own errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.clients.conftest import Speaker
from tests.clients.rig.front import Front

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("clients"), pytest.mark.timeout(180)]

HELLO: Any = [{"role": "user", "content": "hello?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"name": "get_weather", "description": "The weather of a city.", "input_schema": SCHEMA}]


def client_of(gateway: Front, *, key: str | None = None) -> anthropic.Anthropic:
    """The SDK as a user sets it up (it shows the key as x-api-key); it asks once."""
    return anthropic.Anthropic(base_url=gateway.url, api_key=key or gateway.key, max_retries=0, timeout=60.0)


@pytest.fixture(scope="module")
def client(gateway: Front) -> Iterator[anthropic.Anthropic]:
    with client_of(gateway) as made:
        yield made


def say(client: anthropic.Anthropic, model: str, text: str = "hello?", *, stream: bool = False) -> Any:
    turn: Any = [{"role": "user", "content": text}]
    return client.messages.create(model=model, max_tokens=64, messages=turn, stream=stream)


def test_a_unary_answer_comes_with_its_usage(client: anthropic.Anthropic, speaker: Speaker) -> None:
    answer = client.messages.create(model=speaker.model, max_tokens=64, system="Be kind.", messages=HELLO)
    assert [block.type for block in answer.content] == ["text"]
    assert answer.content[0].text == speaker.hello  # type: ignore[union-attr]
    assert (answer.stop_reason, answer.model, answer.role) == ("end_turn", speaker.model, "assistant")
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


def test_a_stream_says_the_same_and_ends_with_usage(client: anthropic.Anthropic, speaker: Speaker) -> None:
    with client.messages.stream(model=speaker.model, max_tokens=64, messages=HELLO) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert final.content[0].text == speaker.hello  # type: ignore[union-attr]
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 0


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_called_and_its_result_is_answered(
    client: anthropic.Anthropic, speaker: Speaker, streamed: bool
) -> None:
    fields: Any = {"model": speaker.model, "max_tokens": 256, "tools": TOOLS}
    question: Any = [{"role": "user", "content": speaker.asks}]
    if streamed:
        with client.messages.stream(messages=question, **fields) as stream:
            asked = stream.get_final_message()
    else:
        asked = client.messages.create(messages=question, **fields)
    assert asked.stop_reason == "tool_use"
    (call,) = (block for block in asked.content if block.type == "tool_use")
    assert (call.name, call.input) == ("get_weather", {"city": "Paris"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "sunny"}]}
    turns = [*question, {"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
    told = client.messages.create(messages=turns, **fields)
    assert told.content[0].text == speaker.told
    assert told.stop_reason == "end_turn"


def test_tokens_are_counted_and_models_listed(client: anthropic.Anthropic, speaker: Speaker) -> None:
    short = client.messages.count_tokens(model=speaker.model, messages=HELLO).input_tokens
    longer: Any = [{"role": "user", "content": "hello? " * 400}]
    assert 0 < short < client.messages.count_tokens(model=speaker.model, messages=longer).input_tokens
    assert speaker.model in {model.id for model in client.models.list()}


def test_a_wrong_key_is_an_authentication_error(gateway: Front) -> None:
    with client_of(gateway, key="sk-wrong") as stranger, pytest.raises(anthropic.AuthenticationError) as refused:
        say(stranger, "mock")
    assert kind(refused.value) == "authentication_error"


def test_an_unknown_model_is_not_found_and_the_message_says_what_there_is(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match=r"claude-9.*org/mock:free") as refused:
        say(client, "claude-9")
    assert kind(refused.value) == "not_found_error"


@pytest.mark.parametrize("stream", [False, True])
def test_a_busy_upstream_is_a_rate_limit_with_a_time_to_come_back(client: anthropic.Anthropic, stream: bool) -> None:
    with pytest.raises(anthropic.RateLimitError) as refused:
        say(client, "mock", "@@err=429@@", stream=stream)
    assert kind(refused.value) == "rate_limit_error"
    assert int(refused.value.response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_cannot_serve_is_503_with_a_time_to_come_back(
    client: anthropic.Anthropic, stream: bool
) -> None:
    with pytest.raises(anthropic.APIStatusError) as refused:
        say(client, "mock", "@@err=503@@", stream=stream)
    assert refused.value.status_code == 503
    assert int(refused.value.response.headers["retry-after"]) >= 1


def test_an_upstreams_401_is_never_the_clients(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.APIStatusError) as refused:
        say(client, "mock", "@@err=401@@")
    assert refused.value.status_code in (502, 503)


def test_a_stream_that_was_cut_raises_and_never_ends_quietly(client: anthropic.Anthropic) -> None:
    kinds: list[str] = []
    with pytest.raises(anthropic.APIError):
        kinds.extend(event.type for event in say(client, "mock", "@@err=cut@@", stream=True))
    assert kinds[0] == "message_start"
    assert "message_stop" not in kinds
    assert "message_delta" not in kinds


def kind(error: anthropic.APIStatusError) -> str:
    """The `type` within Anthropic's error body."""
    body: Any = error.body
    assert body["type"] == "error"
    found: str = body["error"]["type"]
    return found
