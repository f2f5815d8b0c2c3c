"""OpenAI's Python SDK through the gateway: chat and responses, text, stream and tool round trip, and its own errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.clients.conftest import Speaker
from tests.clients.rig.front import Front

pytestmark = [pytest.mark.model, pytest.mark.xdist_group("clients"), pytest.mark.timeout(180)]

HELLO: Any = [{"role": "user", "content": "hello?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
RESPONSE_TOOLS: Any = [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}]
USAGE: Any = {"include_usage": True}


def client_of(gateway: Front, *, key: str | None = None) -> openai.OpenAI:
    """The SDK as a user sets it up; it asks once, so that a refusal is seen as it is."""
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key or gateway.key, max_retries=0, timeout=60.0)


@pytest.fixture(scope="module")
def client(gateway: Front) -> Iterator[openai.OpenAI]:
    with client_of(gateway) as made:
        yield made


def failing(how: str) -> Any:
    """A chat turn that makes the scripted upstream fail."""
    return [{"role": "user", "content": f"@@err={how}@@"}]


class TestChat:
    def test_a_unary_answer_comes_with_its_usage(self, client: openai.OpenAI, speaker: Speaker) -> None:
        answer = client.chat.completions.create(model=speaker.model, messages=HELLO)
        assert answer.choices[0].message.content == speaker.hello
        assert answer.choices[0].finish_reason == "stop"
        assert answer.model == speaker.model
        assert answer.usage is not None
        assert answer.usage.prompt_tokens > 0
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

    def test_a_stream_says_the_same_and_ends_with_usage(self, client: openai.OpenAI, speaker: Speaker) -> None:
        chunks = list(
            client.chat.completions.create(model=speaker.model, messages=HELLO, stream=True, stream_options=USAGE)
        )
        said = [chunk.choices[0] for chunk in chunks if chunk.choices]
        assert "".join(one.delta.content or "" for one in said) == speaker.hello
        assert [one.finish_reason for one in said if one.finish_reason] == ["stop"]
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens > 0
        assert {chunk.model for chunk in chunks} == {speaker.model}

    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_tool_is_called_and_its_result_is_answered(
        self, client: openai.OpenAI, speaker: Speaker, streamed: bool
    ) -> None:
        chat = client.chat.completions
        question: Any = [{"role": "user", "content": speaker.asks}]
        if streamed:
            with chat.stream(model=speaker.model, messages=question, tools=CHAT_TOOLS) as stream:
                asked = stream.get_final_completion().choices[0]
        else:
            asked = chat.create(model=speaker.model, messages=question, tools=CHAT_TOOLS).choices[0]
        assert asked.finish_reason == "tool_calls"
        (call,) = asked.message.tool_calls or ()
        assert call.type == "function"
        assert call.id
        assert call.function.name == "get_weather"
        assert json.loads(call.function.arguments) == {"city": "Paris"}
        called = {
            "id": call.id,
            "type": "function",
            "function": call.function.model_dump(include={"name", "arguments"}),
        }
        turns: Any = [
            *question,
            {"role": "assistant", "content": None, "tool_calls": [called]},
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ]
        told = chat.create(model=speaker.model, messages=turns, tools=CHAT_TOOLS)
        assert told.choices[0].message.content == speaker.told
        assert told.choices[0].finish_reason == "stop"


class TestResponses:
    def test_a_unary_answer_comes_with_its_usage(self, client: openai.OpenAI, speaker: Speaker) -> None:
        answer = client.responses.create(model=speaker.model, input="hello?", instructions="Be kind.")
        assert answer.output_text == speaker.hello
        assert answer.status == "completed"
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0

    def test_a_stream_says_the_same_and_completes_with_usage(self, client: openai.OpenAI, speaker: Speaker) -> None:
        with client.responses.stream(model=speaker.model, input="hello?") as stream:
            events = list(stream)
            final = stream.get_final_response()
        assert events[0].type == "response.created"
        assert events[-1].type == "response.completed"
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert "".join(one.delta for one in events if one.type == "response.output_text.delta") == speaker.hello
        assert final.output_text == speaker.hello
        assert final.usage is not None
        assert final.usage.output_tokens > 0

    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_tool_is_called_and_its_result_is_answered(
        self, client: openai.OpenAI, speaker: Speaker, streamed: bool
    ) -> None:
        question: Any = [{"role": "user", "content": speaker.asks}]
        if streamed:
            with client.responses.stream(model=speaker.model, input=question, tools=RESPONSE_TOOLS) as stream:
                output = list(stream.get_final_response().output)
        else:
            output = list(client.responses.create(model=speaker.model, input=question, tools=RESPONSE_TOOLS).output)
        (call,) = (item for item in output if item.type == "function_call")
        assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
        turns: Any = [
            *question,
            {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
            {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
        ]
        told = client.responses.create(model=speaker.model, input=turns, tools=RESPONSE_TOOLS)
        assert told.output_text == speaker.told

    def test_a_conversation_that_the_server_should_remember_is_refused(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError, match="previous_response_id"):
            client.responses.create(model="mock", input="hello?", previous_response_id="resp_1")


class TestModels:
    def test_they_are_listed_and_found_by_names_with_slash_and_colon(
        self, client: openai.OpenAI, speaker: Speaker
    ) -> None:
        assert {speaker.model, "org/mock:free"} <= {model.id for model in client.models.list()}
        assert client.models.retrieve("org/mock:free").id == "org/mock:free"

    def test_embeddings_come_one_per_text(self, client: openai.OpenAI) -> None:
        answer = client.embeddings.create(model="mock", input=["a", "b"], encoding_format="float")
        assert [one.index for one in answer.data] == [0, 1]


class TestErrors:
    """What fails is the SDK's own exception, with words of ours."""

    def test_a_wrong_key_is_an_authentication_error(self, gateway: Front) -> None:
        with client_of(gateway, key="sk-wrong") as stranger:
            for ask in asking(stranger):
                with pytest.raises(openai.AuthenticationError, match="key"):
                    ask("mock", "hello?")

    def test_an_unknown_model_is_not_found_and_the_message_says_what_there_is(self, client: openai.OpenAI) -> None:
        for ask in asking(client):
            with pytest.raises(openai.NotFoundError, match=r"gpt-9.*org/mock:free") as refused:
                ask("gpt-9", "hello?")
            assert refused.value.code == "model_not_found"

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_busy_upstream_is_a_rate_limit_with_a_time_to_come_back(
        self, client: openai.OpenAI, stream: bool
    ) -> None:
        for ask in asking(client, stream=stream):
            with pytest.raises(openai.RateLimitError) as refused:
                ask("mock", "@@err=429@@")
            assert int(refused.value.response.headers["retry-after"]) >= 1

    @pytest.mark.parametrize("stream", [False, True])
    def test_an_upstream_that_cannot_serve_is_503_with_a_time_to_come_back(
        self, client: openai.OpenAI, stream: bool
    ) -> None:
        for ask in asking(client, stream=stream):
            with pytest.raises(openai.InternalServerError) as refused:
                ask("mock", "@@err=503@@")
            assert refused.value.status_code == 503
            assert int(refused.value.response.headers["retry-after"]) >= 1
            assert "mock error" not in refused.value.message

    def test_an_upstreams_401_is_never_the_clients(self, client: openai.OpenAI) -> None:
        for ask in asking(client):
            with pytest.raises(openai.InternalServerError) as refused:
                ask("mock", "@@err=401@@")
            assert refused.value.status_code in (502, 503)

    def test_a_unary_answer_that_was_cut_is_an_error(self, client: openai.OpenAI) -> None:
        for ask in asking(client):
            with pytest.raises(openai.InternalServerError):
                ask("mock", "@@err=cut@@")

    def test_a_chat_stream_that_was_cut_raises_and_never_ends_quietly(self, client: openai.OpenAI) -> None:
        stream = client.chat.completions.create(model="mock", messages=failing("cut"), stream=True)
        said: list[str] = []
        with pytest.raises(openai.APIError, match="upstream"):
            said.extend(chunk.choices[0].delta.content or "" for chunk in stream)
        assert all("finish" not in one for one in said)

    def test_a_responses_stream_that_was_cut_is_never_completed(self, client: openai.OpenAI) -> None:
        kinds: list[str] = []

        def listen() -> None:
            with client.responses.stream(model="mock", input="@@err=cut@@") as stream:
                kinds.extend(event.type for event in stream)
                stream.get_final_response()

        with pytest.raises((openai.APIError, RuntimeError)):
            listen()
        assert "response.completed" not in kinds

    def test_the_next_request_is_answered(self, client: openai.OpenAI) -> None:
        for how in ("401", "429", "500", "503", "cut", "cuthead"):
            with pytest.raises(openai.APIError):
                client.chat.completions.create(model="mock", messages=failing(how))
            assert client.chat.completions.create(model="mock", messages=HELLO).choices[0].finish_reason == "stop"


def asking(client: openai.OpenAI, *, stream: bool = False) -> tuple[Any, ...]:
    """Ask (MODEL, TEXT) on each surface."""

    def chat(model: str, text: str) -> object:
        turn: Any = [{"role": "user", "content": text}]
        return client.chat.completions.create(model=model, messages=turn, stream=stream)

    return chat, lambda model, text: client.responses.create(model=model, input=text, stream=stream)
