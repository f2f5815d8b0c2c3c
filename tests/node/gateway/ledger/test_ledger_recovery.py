"""Recovery's decisions: nothing is released on a guess, and what is divided stays what it was together."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.node.gateway.ledger.cost import cost_of_answer, cost_of_generation, counters_of
from fleet.node.gateway.ledger.recovery import (
    BEGUN,
    READING,
    RECONCILED,
    RESTORED,
    Reading,
    disagreement,
    missing,
    most_held,
    must_reconcile,
    reading_before,
    retry_seconds,
)
from fleet.vocabulary.contracts.ledger import Note
from fleet.vocabulary.money import PICO_PER_USD

_PICO = st.integers(0, 10**15)


@given(_PICO, _PICO, st.lists(_PICO, max_size=8))
def test_held_attempts_together_cost_what_the_counters_leave_for_them_and_none_more_than_was_reserved(
    billed: int, settled: int, reserved: list[int]
) -> None:
    costs = most_held(billed, settled, reserved)

    assert len(costs) == len(reserved)
    assert all(0 <= cost <= most for cost, most in zip(costs, reserved, strict=True))
    assert sum(costs) == min(max(0, billed - settled), sum(reserved))


@given(_PICO, _PICO)
def test_what_is_missing_makes_the_ledger_no_smaller_than_the_bill(billed: int, counted: int) -> None:
    assert counted + missing(billed, counted) >= billed
    assert missing(billed, counted) >= 0


def test_the_provider_is_asked_after_a_second_and_at_least_every_ten_minutes() -> None:
    assert [retry_seconds(tries) for tries in (0, 1, 2, 9, 10, 10_000)] == [1, 2, 4, 512, 600, 600]


def _note(kind: str, subject: str = "why", at: int = 1, data: str = "{}") -> Note:
    return Note(id=f"{kind}{at}", kind=kind, subject=subject, at_milliseconds=at, data=data)


def test_sums_are_trusted_when_somebody_compared_them_since_the_file_was_begun_or_restored() -> None:
    assert must_reconcile([]) == "it is new"
    assert must_reconcile([_note(BEGUN)]) == "why"
    assert must_reconcile([_note(BEGUN), _note(RECONCILED), _note("alert")]) == ""
    assert must_reconcile([_note(BEGUN), _note(RECONCILED), _note(RESTORED, "restored from x")]) == "restored from x"


def test_the_newest_reading_before_an_instant_is_found_and_a_damaged_one_is_passed_over() -> None:
    good = msgspec.json.encode(Reading(total_pico=5, month_pico=2)).decode()
    notes = [
        _note(READING, "acct", 10, good),
        _note(READING, "other", 11, good),
        _note(READING, "acct", 12, "{"),
        _note(READING, "acct", 99, good),
    ]

    assert reading_before(notes, "acct", 50) == (10, Reading(total_pico=5, month_pico=2))
    assert reading_before(notes, "acct", 9) is None


def test_a_difference_is_told_from_half_a_dollar_and_one_percent_on() -> None:
    usd = PICO_PER_USD
    assert disagreement(10 * usd, 10 * usd + usd // 2) == ""
    assert disagreement(1000 * usd, 991 * usd) == ""
    assert "1.00 USD more than the ledger knows of (11.00 against 10.00)" in disagreement(11 * usd, 10 * usd)
    assert "11.00 USD less" in disagreement(1000 * usd, 1011 * usd)


def test_a_cost_is_read_exactly_from_the_raw_text() -> None:
    assert cost_of_answer(b'{"usage":{"cost":0.000000000001}}') == 1
    assert cost_of_answer(b'{"usage":{"cost":1e-13}}') == 1
    assert cost_of_answer(b'{"usage":{"cost":0.1,"prompt_tokens":3}}') == 100_000_000_000
    assert cost_of_answer(b'{"usage":{"cost":1.23456789012345678901}}') == 1_234_567_890_124
    own = b'{"usage":{"cost":0.05,"is_byok":true,"cost_details":{"upstream_inference_cost":0.95}}}'
    assert cost_of_answer(own) == PICO_PER_USD
    assert cost_of_generation(b'{"data":{"total_cost":0.25}}') == 250_000_000_000


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{", b"[]", b"null", b'{"usage":null}', b'{"usage":{}}', b'{"usage":{"cost":null}}', b"\xff"),
        *(b'{"usage":{"cost":"many"}}', b'{"usage":{"cost":-1}}', b'{"usage":{"cost":1e400}}'),
        b'{"usage":{"cost":1e99}}',
    ],
)
def test_an_answer_that_says_no_cost_costs_an_unknown_amount_and_never_nothing(raw: bytes) -> None:
    assert cost_of_answer(raw) is None


@given(st.binary(max_size=60))
def test_no_bytes_of_a_provider_raise(raw: bytes) -> None:
    assert cost_of_answer(raw) is None or raw
    assert cost_of_generation(raw) is None or raw
    assert counters_of(raw) is None or raw


def test_counters_without_a_months_figure_are_no_counters() -> None:
    found = counters_of(b'{"data":{"usage":1.5,"usage_monthly":0.5,"limit":null}}')
    assert found is not None
    assert (found.total_pico, found.month_pico) == (3 * PICO_PER_USD // 2, PICO_PER_USD // 2)
    assert counters_of(b'{"data":{"usage":1.5}}') is None
    assert counters_of(b'{"data":{"usage":-1,"usage_monthly":0}}') is None
    assert counters_of(b'{"error":{"code":401}}') is None
