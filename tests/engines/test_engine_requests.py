"""What is sent to an engine: the model rewritten, nothing that loads, always a stream."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.engines import ENGINE_NAMES, RequestRefused, UpstreamFacts, engine
from fleet.traffic.work import Work

HELLO = [{"role": "user", "content": "hi"}]
FACTS = UpstreamFacts(model="default_model", context_tokens=1000, default_max_tokens=300)


def sent(
    request: dict[str, Any],
    *,
    name: str = "mlx_lm",
    facts: UpstreamFacts = FACTS,
    work: Work = Work.CHAT,
    stream: bool = True,
) -> dict[str, Any]:
    return engine(name).normalize(request, facts, work=work, stream=stream)


@pytest.mark.parametrize("name", ENGINE_NAMES)
def test_every_engine_is_asked_for_a_stream_with_usage_of_its_own_model(name: str) -> None:
    out = sent({"model": "/etc", "messages": HELLO, "stream": False, "stream_options": {}}, name=name)
    assert out["model"] == "default_model"
    assert out["stream"] is True
    assert out["stream_options"] == {"include_usage": True}
    assert out["max_tokens"] == 300


def test_fields_that_make_the_server_load_something_are_dropped() -> None:
    loading = {"adapters": "/etc", "draft_model": "x", "num_draft_tokens": 2, "role_mapping": {}, "seed": 7}
    assert sent({"messages": HELLO, **loading}).keys() == {
        "messages",
        "model",
        "stream",
        "stream_options",
        "max_tokens",
    }


def test_an_engine_that_can_take_a_seed_gets_it() -> None:
    assert sent({"messages": HELLO, "seed": 7}, name="openai_compatible")["seed"] == 7
    assert sent({"messages": HELLO, "seed": 7}, name="edge")["seed"] == 7


def test_fleets_own_object_never_leaves_and_nulls_mean_not_said() -> None:
    out = sent({"messages": HELLO, "fleet": {"sensitivity": "high"}, "temperature": None, "tools": None})
    assert not {"fleet", "temperature", "tools"} & out.keys()


def test_unknown_fields_pass_untouched() -> None:
    extra = {"store": False, "prompt_cache_key": "k", "client_metadata": {"a": [1, {"b": None}]}, "stop": ["x"]}
    assert {**sent({"messages": HELLO, **extra}), **extra} == sent({"messages": HELLO, **extra})


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_answer_is_bounded_by_the_context(field: str) -> None:
    assert sent({"messages": HELLO, field: 50})[field] == 50
    assert sent({"messages": HELLO, field: 10**9})[field] == 1000


@pytest.mark.parametrize("value", [0, -1, "9", 2.0, True])
def test_a_token_bound_that_is_no_count_is_refused_before_it_is_sent(value: object) -> None:
    with pytest.raises(RequestRefused) as caught:
        sent({"messages": HELLO, "max_tokens": value})
    assert caught.value.param == "max_tokens"


@pytest.mark.parametrize("messages", [None, [], "hi", {}])
def test_a_request_without_messages_is_refused(messages: object) -> None:
    with pytest.raises(RequestRefused) as caught:
        sent({"messages": messages})
    assert caught.value.param == "messages"


def test_a_prompt_that_cannot_fit_is_refused_and_one_that_might_passes() -> None:
    """36,010 tokens on a context of 8,192 were accepted by the server itself (mlx/FACTS section 3)."""
    with pytest.raises(RequestRefused) as caught:
        sent({"messages": [{"role": "user", "content": "x" * 8 * 1002}]})
    assert caught.value.code == "context_length_exceeded"
    parts = [{"type": "text", "text": "x" * 8 * 1002}]
    with pytest.raises(RequestRefused):
        sent({"messages": [{"role": "user", "content": parts}]})
    sent({"messages": [{"role": "user", "content": "x" * 7000}]})
    sent({"messages": [{"role": "user", "content": "x" * 10**6}]}, facts=UpstreamFacts(model="m"))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/x"}},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "input_image", "image_url": "HTTP://example.com"},
        {"type": "image", "image": "file:///etc/passwd"},
        {"type": "image_url", "image_url": {}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"image_url": {"url": "http://169.254.169.254/x"}},
        {"type": "video_url", "video_url": {"url": "http://169.254.169.254/x"}},
        {"type": "video", "video": ["file:///etc/passwd"]},
        {"type": "audio_url", "audio_url": {"url": "https://example.com/a.wav"}},
        {"type": "file", "file": {"file_data": "https://example.com/a.pdf"}},
    ],
)
@pytest.mark.parametrize("name", ["mlx_lm", "openai_compatible"])
def test_an_image_from_elsewhere_is_refused(name: str, part: dict[str, Any]) -> None:
    with pytest.raises(RequestRefused, match="data: URLs"):
        sent({"messages": [{"role": "user", "content": [part]}]}, name=name)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
        {"type": "text", "text": "see http://example.com/a.png", "source": "web"},
    ],
)
def test_what_is_in_the_request_is_not_taken_for_an_address(part: dict[str, Any]) -> None:
    request = {"messages": [{"role": "user", "content": [part]}]}
    assert engine("openai_compatible").normalize(request, FACTS)["messages"] == request["messages"]


def test_an_image_in_the_request_passes() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert sent({"messages": [{"role": "user", "content": [part]}]})["messages"][0]["content"] == [part]


def test_a_server_that_gives_one_choice_is_not_asked_for_two() -> None:
    assert sent({"messages": HELLO, "n": 1})["n"] == 1
    with pytest.raises(RequestRefused):
        sent({"messages": HELLO, "n": 2})


@pytest.mark.parametrize("name", ENGINE_NAMES)
def test_readiness_is_proven_by_an_answer(name: str) -> None:
    probe = engine(name).ready("m")
    if name in ("edge", "openrouter"):
        assert (probe.method, probe.body) == ("GET", None)
    else:
        assert probe.body is not None
        assert probe.body["max_tokens"] == 1
        assert probe.body["stream"] is True


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(
    request=st.dictionaries(
        st.text(max_size=12) | st.sampled_from(["messages", "max_tokens", "n", "prompt", "input", "tools", "user"]),
        json_values,
    ),
    work=st.sampled_from(Work),
    stream=st.booleans(),
)
def test_any_request_is_refused_or_normalised_and_never_changed_itself(
    request: dict[str, Any], work: Work, stream: bool
) -> None:
    before = repr(request)
    for name in ENGINE_NAMES:
        try:
            out = sent(request, name=name, work=work, stream=stream)
        except RequestRefused:
            continue
        assert work in engine(name).capabilities.works
        assert ("stream_options" in out) is ("stream" in out)
        assert "fleet" not in out
    assert repr(request) == before
