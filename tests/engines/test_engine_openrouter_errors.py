"""What OpenRouter's errors mean (gateway/SPEC section 4.2)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.engines import ErrorKind, UpstreamError, engine

OURS = (ErrorKind.MISCONFIGURED, ErrorKind.UNAVAILABLE, ErrorKind.BUSY, ErrorKind.BROKEN, ErrorKind.TIMEOUT)


def meant(status: int, **error: Any) -> UpstreamError:
    body = {"error": {"code": status, "message": "its own words", **error}}
    return engine("openrouter").map_error(status, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ErrorKind.BAD_REQUEST),
        (401, ErrorKind.MISCONFIGURED),
        (402, ErrorKind.MISCONFIGURED),
        (403, ErrorKind.BAD_REQUEST),
        (404, ErrorKind.MISCONFIGURED),
        (408, ErrorKind.TIMEOUT),
        (412, ErrorKind.BAD_REQUEST),
        (413, ErrorKind.BAD_REQUEST),
        (422, ErrorKind.BAD_REQUEST),
        (429, ErrorKind.BUSY),
        (500, ErrorKind.BROKEN),
        (502, ErrorKind.BROKEN),
        (503, ErrorKind.UNAVAILABLE),
        (504, ErrorKind.TIMEOUT),
        (524, ErrorKind.TIMEOUT),
        (529, ErrorKind.UNAVAILABLE),
        (302, ErrorKind.BROKEN),
    ],
)
def test_a_status_has_one_meaning_and_ours_may_be_asked_elsewhere(status: int, kind: ErrorKind) -> None:
    error = meant(status)
    assert error.kind is kind
    assert error.retryable is (kind in OURS)


@pytest.mark.parametrize("code", [429, "429", "rate_limit_exceeded"])
@pytest.mark.parametrize("status", [200, 500])
def test_within_an_answer_of_200_the_code_counts_int_or_string(status: int, code: object) -> None:
    assert meant(status, code=code).kind is ErrorKind.BUSY


def test_the_error_of_a_choice_is_read_too() -> None:
    body = {"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "provider died"}}]}
    error = engine("openrouter").map_error(200, json.dumps(body).encode())
    assert (error.kind, error.detail) == (ErrorKind.BROKEN, "provider died")


@pytest.mark.parametrize("place", ["metadata", "error"])
@pytest.mark.parametrize(
    ("status", "error_type", "kind"),
    [
        (400, "context_length_exceeded", ErrorKind.BAD_REQUEST),
        (400, "provider_overloaded", ErrorKind.UNAVAILABLE),
        (403, "permission_denied", ErrorKind.MISCONFIGURED),
        (403, "content_policy_violation", ErrorKind.BAD_REQUEST),
        (502, "invalid_prompt", ErrorKind.BAD_REQUEST),
        (502, "refusal", ErrorKind.BAD_REQUEST),
        (400, "image_too_large", ErrorKind.BAD_REQUEST),
        (400, "timeout", ErrorKind.TIMEOUT),
        (400, "server", ErrorKind.BROKEN),
        (429, "unmapped", ErrorKind.BUSY),
        (429, "never heard of", ErrorKind.BUSY),
    ],
)
def test_the_error_type_says_more_than_the_status(status: int, error_type: str, kind: ErrorKind, place: str) -> None:
    where: dict[str, Any] = {"error_type": error_type}
    assert meant(status, **({"metadata": where} if place == "metadata" else where)).kind is kind


def test_no_credit_and_no_key_are_the_gateways_own_trouble() -> None:
    for status in (401, 402):
        error = meant(status, message="This request requires more credits, visit https://openrouter.ai/credits")
        assert error.kind is ErrorKind.MISCONFIGURED
        assert "credits," not in error.message
        assert (error.code, error.status) == (None, None)
    assert meant(401).eject
    assert not meant(402).eject, "another request may be cheap enough"


def test_what_was_moderated_is_the_clients_to_change() -> None:
    error = meant(403, metadata={"reasons": ["violence"], "flagged_input": "the text"})
    assert (error.kind, error.status, error.code) == (ErrorKind.BAD_REQUEST, 403, "content_policy_violation")
    assert "the text" not in error.message


@pytest.mark.parametrize(
    "error",
    [
        {"metadata": {"error_type": "context_length_exceeded"}},
        {"message": "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000."},
        {"code": "context_length_exceeded"},
    ],
)
def test_a_prompt_that_is_too_long_is_told_in_openais_code(error: dict[str, Any]) -> None:
    said = meant(400, **error)
    assert (said.kind, said.code, said.retryable) == (ErrorKind.BAD_REQUEST, "context_length_exceeded", False)


@pytest.mark.parametrize(
    ("code", "retryable", "kind"),
    [
        ("model_not_found", False, ErrorKind.MISCONFIGURED),
        ("model_deprecated", False, ErrorKind.MISCONFIGURED),
        ("free_variant_ended", False, ErrorKind.MISCONFIGURED),
        ("no_endpoints", False, ErrorKind.MISCONFIGURED),
        ("no_endpoints", True, ErrorKind.UNAVAILABLE),
        ("temporarily_unavailable", True, ErrorKind.UNAVAILABLE),
        ("capacity_exhausted", True, ErrorKind.BUSY),
        ("privacy_restricted", False, ErrorKind.MISCONFIGURED),
        ("not yet invented", True, ErrorKind.UNAVAILABLE),
        ("not yet invented", False, ErrorKind.MISCONFIGURED),
        (None, None, ErrorKind.MISCONFIGURED),
    ],
)
def test_availability_is_told_by_whether_it_comes_back(code: object, retryable: object, kind: ErrorKind) -> None:
    error = meant(404, availability={"code": code, "retryable": retryable, "retry_after": 7})
    assert error.kind is kind
    assert error.retryable, "another upstream may do in any case"
    assert error.retry_after_seconds == 7


@pytest.mark.parametrize("value", [-1, 0, "soon", True, 1e9, None, [1]])
def test_an_odd_wait_is_no_wait(value: object) -> None:
    assert meant(503, availability={"code": "x", "retryable": True, "retry_after": value}).retry_after_seconds is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
errors = st.dictionaries(
    st.sampled_from(["code", "message", "type", "param", "metadata", "error_type", "http_status", "availability"]),
    json_values
    | st.dictionaries(st.sampled_from(["error_type", "code", "retryable", "retry_after", "reasons"]), json_values),
)


@given(status=st.integers(100, 599), error=errors | json_values, nested=st.booleans())
def test_any_error_has_a_meaning_and_an_upstreams_401_is_never_the_clients(
    status: int, error: Any, nested: bool
) -> None:
    body = {"choices": [{"error": error}]} if nested else {"error": error}
    found = engine("openrouter").map_error(status, json.dumps(body).encode())
    assert found.message
    assert found.status in (None, 403, 413, 422)
    assert found.retryable is (found.kind is not ErrorKind.BAD_REQUEST)
    assert found.kind is ErrorKind.BAD_REQUEST or found.code is None
