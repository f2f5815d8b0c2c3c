"""OpenAI's own SDK against the front: front, edge and a real mlx_lm server, TLS by the front's own certificate."""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import psutil
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.integration.conftest import Room
from tests.integration.story import front_url, gateway_key, trust, until

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

MODEL, SIDECAR = "scripted", "org.fleet-macs.sidecar.chat"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello?"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def client_of(room: Room, *, key: str | None = None) -> openai.OpenAI:
    """The SDK as a user sets it up; it asks once, so that a refusal is seen as it is."""
    return openai.OpenAI(
        base_url=f"{front_url(room)}/v1",
        api_key=key or gateway_key(room),
        max_retries=0,
        timeout=60.0,
        http_client=openai.DefaultHttpxClient(verify=trust(room), trust_env=False),
    )


@pytest.fixture(scope="module")
def client(room: Room) -> Iterator[openai.OpenAI]:
    with client_of(room) as made:
        yield made


@pytest.mark.xdist_group("room")
def test_a_unary_answer_comes_with_its_usage(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.model == MODEL
    assert answer.choices[0].message.content == "Hello from the scripted model."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.xdist_group("room")
def test_a_streamed_answer_ends_with_the_usage_that_a_unary_one_has(client: openai.OpenAI) -> None:
    unary = client.chat.completions.create(model=MODEL, messages=HELLO)
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True})
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello from the scripted model."
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert unary.usage is not None
    assert chunks[-1].usage.completion_tokens == unary.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens == unary.usage.prompt_tokens
    assert {chunk.model for chunk in chunks} == {MODEL}


@pytest.mark.xdist_group("room")
def test_a_stream_without_include_usage_has_no_usage_that_nobody_asked_for(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert [chunk.usage for chunk in chunks if chunk.usage] == []


@pytest.mark.xdist_group("room")
def test_a_tool_is_called_and_its_result_is_answered(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, tools=[WEATHER])
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls is not None
    (call,) = answer.choices[0].message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})

    turns: list[ChatCompletionMessageParam] = [
        *HELLO,
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
            ],
        },
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    then = client.chat.completions.create(model=MODEL, messages=turns, tools=[WEATHER])
    assert then.choices[0].message.content == "It is sunny in Paris."
    assert then.choices[0].finish_reason == "stop"


@pytest.mark.xdist_group("room")
def test_a_streamed_tool_call_is_put_together_by_the_sdk(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=HELLO, tools=[WEATHER]) as stream:
        answer = stream.get_final_completion()
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls is not None
    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})


@pytest.mark.xdist_group("room")
def test_the_models_are_listed_by_the_names_that_they_are_asked_for(client: openai.OpenAI) -> None:
    assert next(iter(client.models.list())).id == MODEL


@pytest.mark.xdist_group("room")
def test_a_wrong_key_and_an_unknown_model_are_the_sdks_own_errors(room: Room, client: openai.OpenAI) -> None:
    with client_of(room, key="sk-wrong") as stranger, pytest.raises(openai.AuthenticationError) as refused:
        stranger.chat.completions.create(model=MODEL, messages=HELLO)
    assert "key" in refused.value.message
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-9", messages=HELLO)
    assert unknown.value.code == "model_not_found"
    assert "gpt-9" in unknown.value.message
    assert MODEL in unknown.value.message


@pytest.mark.xdist_group("room")
def test_with_every_sidecar_held_down_the_answer_is_503_and_comes_again_after_release(
    room: Room, client: openai.OpenAI
) -> None:
    serving = ("mac-2", "mac-3")
    for node in serving:
        room.sim("fault", node, "hold=sidecar")
    try:
        until(lambda: all(room.services(node)[SIDECAR]["pid"] is None for node in serving))
        for stream in (False, True):
            with pytest.raises(openai.APIStatusError) as refused:
                client.chat.completions.create(model=MODEL, messages=HELLO, stream=stream)
            assert refused.value.status_code == 503
            assert refused.value.code == "upstream_unavailable"
            assert int(refused.value.response.headers["retry-after"]) > 0
            assert MODEL in refused.value.message
    finally:
        for node in serving:
            room.sim("fault", node, "hold", "--clear")

    def answered() -> bool:
        try:
            return bool(client.chat.completions.create(model=MODEL, messages=HELLO).choices)
        except openai.InternalServerError:
            return False

    until(answered, within_seconds=60.0)


@pytest.mark.xdist_group("endless")
def test_closing_a_stream_stops_generation_at_the_sidecar(endless: Room) -> None:
    sidecar = psutil.Process(int(str(endless.services("mac-2")[SIDECAR]["pid"])))

    def busy_seconds() -> float:
        """Processor time of the sidecar while it is watched for half a second."""
        before = sidecar.cpu_times()
        psutil.cpu_percent(interval=0.5)
        after = sidecar.cpu_times()
        return after.user - before.user

    until(lambda: busy_seconds() < 0.05)
    with client_of(endless) as client:
        stream = client.chat.completions.create(model="tiny", messages=HELLO, stream=True, max_tokens=8000)
        said = [next(stream) for _ in range(20)]
        assert all(chunk.choices[0].finish_reason is None for chunk in said)
        until(lambda: busy_seconds() > 0.1)
        stream.close()
        until(lambda: busy_seconds() < 0.05, within_seconds=15.0)
    log = endless.root("mac-2") / "log" / "gateway.log"
    until(lambda: "outcome=cancelled status=499" in log.read_text())
