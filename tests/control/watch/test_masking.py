"""What others wrote is shown without the secrets in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.watch.masking import masked, masked_values

KEY = "sk-or-v1-" + "0a1b2c3d" * 8


@pytest.mark.parametrize(
    "text",
    [
        f"upstream said: bad key {KEY} for you",
        f'{{"Authorization": "Bearer {KEY}"}}',
        "HF_TOKEN=hf_" + "aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zA3c",
        "git clone https://anna:s3cr3t-Pass0rd@example.org/x.git",
        "fleet_key: sk-fleet-Zx8Yw7Vu6Ts5Rq4Po3Nm2",
    ],
)
def test_a_secret_is_masked_to_its_end(text: str) -> None:
    said = masked(text)
    assert "***" in said
    for secret in (KEY, "aB3dE6gH", "s3cr3t", "Zx8Yw7"):
        assert secret not in said
    assert KEY[-8:] not in said


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T12:00:00Z INFO request id=01ynk4 key=anna route=code prompt_tokens=512 seconds=0.25",
        "POST /v1/chat/completions HTTP/1.1 200",
        "sending 512 MiB to mini-03",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text


def test_a_document_is_masked_all_through() -> None:
    document = {"why": {"mini-1": f"env KEY={KEY}"}, "lines": [KEY, 1, None, True]}
    assert KEY not in str(masked_values(document))


@given(st.text(max_size=200))
def test_masking_is_total_and_twice_is_once(text: str) -> None:
    assert masked(masked(text)) == masked(text)


def test_a_line_that_was_made_to_take_long_is_read_like_any_other() -> None:
    assert masked("token=" * 20_000)
    assert masked("http://a:" * 20_000)
