"""Chat, completions and embeddings: passed through, under the client's name of the model."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from dialect_kit import CUT, SAID, asked_of, delta, event, events, openai_client, recording, said, voice_of, wire

from fleet.traffic.dialects.dialect import Said
from fleet.traffic.dialects.registry import dialect
from fleet.traffic.openai_error import Refused

CHAT = dialect("chat")
COMPLETIONS = dialect("completions")
EMBEDDINGS = dialect("embeddings")
UNARY: dict[str, Any] = {
    "id": "gen-1",
    "object": "chat.completion",
    "created": 1,
    "model": "vendor/model-2026-01-01",
    "provider": "Somebody",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.1},
}


def test_a_unary_chat_keeps_every_field_but_the_models_name() -> None:
    answer = CHAT.answer(UNARY, asked_of("chat"), SAID)
    assert answer == {**UNARY, "model": "token-track"}


@pytest.mark.parametrize("finish", ["", None])
def test_a_finish_reason_that_the_upstream_did_not_give_is_null_and_never_stop(finish: str | None) -> None:
    choice = {**UNARY["choices"][0], "finish_reason": finish}
    answer = CHAT.answer({**UNARY, "choices": [choice]}, asked_of("chat"), SAID)
    assert answer["choices"][0]["finish_reason"] is None


def test_an_answer_without_an_id_gets_the_requests() -> None:
    assert CHAT.answer({**UNARY, "id": ""}, asked_of("chat"), SAID)["id"] == SAID.request_id


def test_the_client_never_sees_by_which_dated_name_the_upstream_calls_its_model() -> None:
    out = said("chat", recording("chat_streams/openrouter-reasoning.sse"))
    assert b"deepseek" not in out
    assert {one["model"] for one in events(out)} == {"token-track"}


def test_fields_of_tomorrow_pass_in_both_ways() -> None:
    out = said("chat", wire({**delta(content="a"), "of_tomorrow": 1}, {**delta("stop"), "of_tomorrow": 2}))
    assert [one.get("of_tomorrow") for one in events(out)] == [1, 2]


@pytest.mark.parametrize("name", ["chat", "completions"])
def test_usage_is_in_the_stream_only_when_it_was_asked_for(name: str) -> None:
    data = recording("mlx/chat-stream-usage.sse.txt" if name == "chat" else "mlx/completion-stream.sse.txt")
    assert "usage" in events(said(name, data))[-1]
    assert b'"usage"' not in said(name, data, stream_options=None)


def test_a_failed_chat_ends_under_the_streams_own_id_without_done() -> None:
    voice = voice_of("chat")
    parts_of_one = said("chat", event(delta(content="Hel")))
    last = events(parts_of_one)[-1]
    assert (last["id"], last["created"], last["model"]) == ("chatcmpl-1", 1, "token-track")
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "error"}]
    assert events(voice.fail(CUT))[0]["created"] == SAID.created_seconds


@pytest.mark.parametrize(
    ("body", "param"),
    [({"model": 1}, "model"), ({"model": ["a"]}, "model"), ({"stream": "yes"}, "stream"), ({"stream": 1}, "stream")],
)
@pytest.mark.parametrize("name", ["chat", "completions", "responses", "messages"])
def test_a_model_or_stream_of_a_wrong_type_is_refused_by_name(name: str, body: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as refused:
        dialect(name).read({"input": "a", "messages": [], **({"prompt": "a"} if name == "completions" else {}), **body})
    assert (refused.value.error.status, refused.value.error.param) == (400, param)


def test_null_model_and_stream_are_as_good_as_none() -> None:
    asked = CHAT.read({"model": None, "stream": None, "stream_options": None, "messages": []})
    assert (asked.model, asked.stream, asked.wants_usage) == (None, False, False)


def test_completions_are_heard_whole_by_openais_sdk() -> None:
    out = said("completions", recording("mlx/completion-stream.sse.txt"))
    chunks = list(openai_client(out).completions.create(model="m", prompt="Hello", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "from the scripted model."
    assert {(chunk.model, chunk.object) for chunk in chunks} == {("token-track", "text_completion")}
    assert chunks[-1].usage is not None
    assert out.endswith(b"data: [DONE]\n\n")


def test_completions_split_at_any_byte_are_said_in_the_same_bytes() -> None:
    data = recording("mlx/completion-stream.sse.txt")
    whole = said("completions", data)
    assert all(said("completions", [data[:at], data[at:]]) == whole for at in range(1, len(data)))


def test_completions_cut_at_any_byte_end_in_an_error_of_their_form() -> None:
    data = recording("mlx/completion-stream.sse.txt")
    for at in range(data.index(b"[DONE]")):
        out = said("completions", data[:at])
        last = events(out)[-1]
        assert last["object"] == "text_completion"
        assert last["choices"] == [{"index": 0, "text": "", "logprobs": None, "finish_reason": "error"}]
        assert last["error"]["code"] == "stream_truncated"
        assert b"[DONE]" not in out
    with pytest.raises(openai.APIError, match="cut off"):
        list(openai_client(out).completions.create(model="m", prompt="Hello", stream=True))


@pytest.mark.parametrize("prompt", ["a", ["a", "b"], [1, 2, 3], [[1], [2]], []])
def test_a_prompt_is_text_texts_or_tokens(prompt: Any) -> None:
    assert COMPLETIONS.read({"prompt": prompt}).request == {"prompt": prompt}


@pytest.mark.parametrize("prompt", [None, 1, {"a": 1}])
def test_a_prompt_of_another_form_is_refused(prompt: Any) -> None:
    with pytest.raises(Refused, match="'prompt' must be"):
        COMPLETIONS.read({"prompt": prompt})


def test_a_unary_completion_is_called_what_it_is() -> None:
    answer = COMPLETIONS.answer({"id": "c", "object": "chat.completion", "choices": []}, asked_of("completions"), SAID)
    assert (answer["object"], answer["model"]) == ("text_completion", "token-track")


def test_embeddings_are_never_streamed_and_say_so_to_no_upstream() -> None:
    asked = EMBEDDINGS.read({"model": "m", "input": ["a"], "stream": True, "stream_options": {}, "dimensions": 3})
    assert asked.request == {"model": "m", "input": ["a"], "dimensions": 3}
    assert not asked.stream
    with pytest.raises(TypeError):
        EMBEDDINGS.voice(asked, SAID)
    with pytest.raises(Refused, match="'input' must be"):
        EMBEDDINGS.read({"model": "m"})


def test_embeddings_go_on_as_they_came_under_the_clients_name() -> None:
    answer = {"object": "list", "model": "bge", "data": [{"embedding": "AAAA", "index": 0}], "usage": {}}
    asked = EMBEDDINGS.read({"input": "a"})
    shown = Said(shown="embed", sent="bge", request_id="req_1", created_seconds=1)
    assert EMBEDDINGS.answer(answer, asked, shown) == {**answer, "model": "embed"}


@pytest.mark.parametrize("name", ["chat", "completions", "responses", "embeddings"])
def test_errors_of_openais_surfaces_have_openais_form(name: str) -> None:
    assert dialect(name).error(CUT, request_id="req_1") == CUT.json
    assert dialect(name).keepalive() == b": fleet-keepalive\n\n"
