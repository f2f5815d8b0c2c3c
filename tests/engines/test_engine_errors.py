"""What an engine's failure means, by its text; read from the recordings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx_recordings import recording, recordings

from fleet.engines import ENGINE_NAMES, ErrorKind, engine
from fleet.engines.error_text import read_error, shown

MEANINGS = {
    "err-bad-temperature.txt": (ErrorKind.BAD_REQUEST, "temperature must be of type"),
    "err-content-type-image.txt": (ErrorKind.BAD_REQUEST, "Only 'text' content type is supported."),
    "err-generation-dead.txt": (ErrorKind.UNAVAILABLE, "not able to generate"),
    "err-malformed-json.txt": (ErrorKind.BAD_REQUEST, "Invalid JSON"),
    "err-max-tokens-0.txt": (ErrorKind.BAD_REQUEST, "max_tokens must be at least 1"),
    "err-no-messages.txt": (ErrorKind.BAD_REQUEST, "Request did not contain messages"),
    "err-not-dict.txt": (ErrorKind.BAD_REQUEST, "JSON dictionary"),
    "err-unknown-model-offline.txt": (ErrorKind.MISCONFIGURED, "could not load its model"),
    "err-unknown-path.txt": (ErrorKind.MISCONFIGURED, "does not offer this surface"),
    "metrics-404.txt": (ErrorKind.MISCONFIGURED, "does not offer this surface"),
    "health-load-failed.txt": (ErrorKind.UNAVAILABLE, "not able to generate"),
}


@pytest.mark.parametrize("name", MEANINGS)
def test_a_recorded_failure_is_told_by_its_text(name: str) -> None:
    said = recording(name)
    kind, words = MEANINGS[name]
    error = engine("mlx_lm").map_error(said.status, said.body)
    assert error.kind is kind
    assert words in error.message
    assert error.retryable is (kind is not ErrorKind.BAD_REQUEST)


def test_every_recorded_failure_is_covered() -> None:
    failures = {one.name for one in recordings("*.txt") if one.status >= 400}
    assert failures == set(MEANINGS)


def test_a_dead_generation_thread_takes_the_node_out() -> None:
    said = recording("err-generation-dead.txt")
    assert engine("mlx_lm").map_error(said.status, said.body).eject


def test_a_path_oracle_tells_the_client_nothing() -> None:
    body = b'{"error": "[Errno 2] No such file or directory: \'/opt/fleet/models/smol/config.json\'"}'
    error = engine("mlx_lm").map_error(404, body)
    assert error.kind is ErrorKind.MISCONFIGURED
    assert "/opt" not in error.message
    assert "/opt" not in error.detail


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ErrorKind.BAD_REQUEST),
        (401, ErrorKind.MISCONFIGURED),
        (402, ErrorKind.MISCONFIGURED),
        (403, ErrorKind.MISCONFIGURED),
        (404, ErrorKind.MISCONFIGURED),
        (408, ErrorKind.TIMEOUT),
        (413, ErrorKind.BAD_REQUEST),
        (429, ErrorKind.BUSY),
        (500, ErrorKind.BROKEN),
        (503, ErrorKind.UNAVAILABLE),
        (504, ErrorKind.TIMEOUT),
        (302, ErrorKind.BROKEN),
    ],
)
def test_a_status_of_any_other_server_has_one_meaning(status: int, kind: ErrorKind) -> None:
    body = b'{"error": {"message": "no", "param": "top_p", "code": "bad"}}'
    error = engine("openai_compatible").map_error(status, body)
    assert error.kind is kind
    assert (error.param, error.code) == (("top_p", "bad") if kind is ErrorKind.BAD_REQUEST else (None, None))


def test_an_upstreams_words_about_our_key_stay_inside() -> None:
    error = engine("edge").map_error(401, b'{"error": {"message": "Incorrect API key provided: sk-abcdef123456"}}')
    assert "sk-" not in error.message
    assert "sk-" not in error.detail


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": "text"}', "text"),
        (b'{"error": {"message": "deep"}}', "deep"),
        (b'{"message": "flat"}', "flat"),
        (b'{"detail": "fastapi"}', "fastapi"),
        (b'"just a string"', "just a string"),
        (b"plain\nwords", "plain words"),
        (b"<html><body>502</body></html>", ""),
        (b"[1, 2]", ""),
        (b"", ""),
        (b'{"error": null}', ""),
        (b'{"error": {"message": 5}}', ""),
        (b"\xff\xfe", "��"),
    ],
)
def test_an_error_body_of_any_shape_is_read(body: bytes, message: str) -> None:
    assert read_error(body).message == message


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("see /Users/ann/models/x.json now", "see [path] now"),
        ("application/json is fine, and/or this, 3/4", "application/json is fine, and/or this, 3/4"),
        ("https://example.com/a/b stays", "https://example.com/a/b stays"),
        ("Bearer abcdefgh123", "[key]"),
        ("hf_abcdefgh", "[key]"),
        ("x" * 600, "x" * 499 + "…"),
    ],
)
def test_what_is_shown_has_no_path_no_key_and_an_end(text: str, clean: str) -> None:
    assert shown(text) == clean


@given(status=st.integers(100, 599), body=st.binary(max_size=200))
def test_any_answer_has_a_meaning(status: int, body: bytes) -> None:
    for name in ENGINE_NAMES:
        assert engine(name).map_error(status, body).message
