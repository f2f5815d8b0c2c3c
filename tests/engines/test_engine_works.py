"""What each engine is asked for: unary or streamed, chat, completions, embeddings."""

from __future__ import annotations

from typing import Any

import pytest
from mlx_recordings import Recording, recordings

from fleet.engines import ENGINE_NAMES, RequestRefused, UpstreamFacts, engine
from fleet.traffic.work import Work

FACTS = UpstreamFacts(model="m", context_tokens=1000, default_max_tokens=300)
ASKED: dict[Work, dict[str, Any]] = {
    Work.CHAT: {"messages": [{"role": "user", "content": "hi"}]},
    Work.COMPLETIONS: {"prompt": "Hello"},
    Work.EMBEDDINGS: {"input": "Hello"},
}
HAS_ALL = [name for name in ENGINE_NAMES if name != "mlx_lm"]


def sent(name: str, request: dict[str, Any], *, work: Work = Work.CHAT, stream: bool = False) -> dict[str, Any]:
    return engine(name).normalize(request, FACTS, work=work, stream=stream)


@pytest.mark.parametrize("name", HAS_ALL)
@pytest.mark.parametrize("work", Work)
def test_a_unary_request_goes_unary_to_a_server_that_notices_who_left(name: str, work: Work) -> None:
    assert engine(name).capabilities.cancel_nonstream
    out = sent(name, {**ASKED[work], "stream": False, "stream_options": {"include_usage": True}}, work=work)
    assert not {"stream", "stream_options"} & out.keys()


@pytest.mark.parametrize("work", [Work.CHAT, Work.COMPLETIONS])
def test_mlx_is_asked_for_a_stream_whatever_the_client_wants(work: Work) -> None:
    out = sent("mlx_lm", ASKED[work], work=work, stream=False)
    assert (out["stream"], out["stream_options"]) == (True, {"include_usage": True})
    assert not engine("mlx_lm").capabilities.cancel_nonstream


def test_mlx_makes_no_embeddings_and_is_never_asked() -> None:
    assert engine("mlx_lm").capabilities.works == (Work.CHAT, Work.COMPLETIONS)
    with pytest.raises(RequestRefused):
        sent("mlx_lm", ASKED[Work.EMBEDDINGS], work=Work.EMBEDDINGS)


@pytest.mark.parametrize("name", HAS_ALL)
def test_embeddings_are_never_streamed_and_have_no_answer_to_bound(name: str) -> None:
    out = sent(name, {**ASKED[Work.EMBEDDINGS], "dimensions": 8}, work=Work.EMBEDDINGS, stream=True)
    assert out == {"input": "Hello", "dimensions": 8, "model": "m"}


@pytest.mark.parametrize("name", ENGINE_NAMES)
def test_a_completion_is_bounded_like_a_chat(name: str) -> None:
    assert sent(name, ASKED[Work.COMPLETIONS], work=Work.COMPLETIONS)["max_tokens"] == 300
    assert sent(name, {"prompt": "x", "max_tokens": 10**6}, work=Work.COMPLETIONS)["max_tokens"] == 1000


@pytest.mark.parametrize("name", HAS_ALL)
@pytest.mark.parametrize(
    ("work", "request_", "param"),
    [
        (Work.COMPLETIONS, {}, "prompt"),
        (Work.COMPLETIONS, {"prompt": []}, "prompt"),
        (Work.COMPLETIONS, {"prompt": 5}, "prompt"),
        (Work.COMPLETIONS, {"prompt": "x" * 8016}, "prompt"),
        (Work.COMPLETIONS, {"prompt": ["a", "x" * 8016]}, "prompt"),
        (Work.EMBEDDINGS, {}, "input"),
        (Work.EMBEDDINGS, {"input": ""}, "input"),
        (Work.EMBEDDINGS, {"input": {"a": 1}}, "input"),
        (Work.EMBEDDINGS, {"input": ["x" * 8016]}, "input"),
    ],
)
def test_what_cannot_be_answered_is_refused_before_it_is_sent(
    name: str, work: Work, request_: dict[str, Any], param: str
) -> None:
    with pytest.raises(RequestRefused) as caught:
        sent(name, request_, work=work)
    assert caught.value.param == param


def test_token_ids_pass_to_a_server_that_takes_them() -> None:
    assert sent("openai_compatible", {"prompt": [1, 2, 3]}, work=Work.COMPLETIONS)["prompt"] == [1, 2, 3]
    assert sent("openrouter", {"input": [[1, 2], [3]]}, work=Work.EMBEDDINGS)["input"] == [[1, 2], [3]]


@pytest.mark.parametrize("prompt", [[1, 2], ["a", "b"], [["a"]], [1]])
def test_mlx_takes_one_text_per_completion(prompt: object) -> None:
    assert sent("mlx_lm", {"prompt": ["one"]}, work=Work.COMPLETIONS)["prompt"] == "one"
    with pytest.raises(RequestRefused) as caught:
        sent("mlx_lm", {"prompt": prompt}, work=Work.COMPLETIONS)
    assert caught.value.param == "prompt"


def test_openrouters_own_fields_pass_and_its_former_switch_does_not() -> None:
    extras = {
        "provider": {"order": ["a"], "max_price": {"prompt": 1}},
        "models": ["a/b", "c/d"],
        "plugins": [{"id": "web"}],
        "reasoning": {"effort": "low"},
        "session_id": "s" * 256,
        "user": "u",
    }
    out = sent("openrouter", {**ASKED[Work.CHAT], **extras, "usage": {"include": True}, "fleet": {}})
    assert {name: out[name] for name in extras} == extras
    assert not {"usage", "fleet"} & out.keys()


@pytest.mark.parametrize("value", ["s" * 257, 5, {"a": 1}])
def test_a_name_that_openrouter_would_refuse_is_left_out(value: object) -> None:
    out = sent("openrouter", {**ASKED[Work.CHAT], "user": value, "session_id": value})
    assert not {"user", "session_id"} & out.keys()


def test_openrouter_may_fetch_an_image() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    messages = [{"role": "user", "content": [part]}]
    assert sent("openrouter", {"messages": messages})["messages"] is messages


def test_an_edge_gets_the_clients_words_to_fleet() -> None:
    assert engine("edge").capabilities.passes == ("x-fleet-lane", "x-fleet-session")
    assert all(not engine(name).capabilities.passes for name in ENGINE_NAMES if name != "edge")


REFUSED_BEFORE = {"err-max-tokens-0.txt", "err-no-messages.txt"}
ANSWERED = [one for one in recordings("*.txt") if one.request.startswith("{") and one.request.endswith("}")]


@pytest.mark.parametrize("one", ANSWERED, ids=lambda one: one.name)
def test_every_recorded_request_is_streamed_from_its_own_model_or_refused_as_it_was(one: Recording) -> None:
    work = next((work for work in Work if work.path in one.request_line), None)
    if work is None or work not in engine("mlx_lm").capabilities.works:
        return
    try:
        out = sent("mlx_lm", one.request_json, work=work)
    except RequestRefused:
        assert one.name in REFUSED_BEFORE
        return
    assert one.name not in REFUSED_BEFORE
    kept = {
        name: value for name, value in one.request_json.items() if name not in ("model", "stream_options", "stream")
    }
    assert kept.items() <= out.items() or one.name == "err-content-type-image.txt"
    assert (out["model"], out["stream"], out["stream_options"]) == ("m", True, {"include_usage": True})
