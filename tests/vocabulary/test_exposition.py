"""Prometheus text: what is written is what a parser reads."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from fleet.vocabulary.exposition import Exposition

# The parser ends lines at more than newlines, which no label of ours holds; and it has no lone surrogates.
texts = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]) | st.just("\n"))


@given(texts, st.floats(allow_nan=False, allow_infinity=False))
def test_a_label_and_a_value_are_read_as_they_were_written(label: str, value: float) -> None:
    text = Exposition()
    text.family("fleet_x", "gauge", 'About \\ and\na "line".', [((("name", label),), value)])
    (family,) = text_string_to_metric_families(text.encode().decode())
    assert family.samples[0].labels == {"name": label}
    assert family.samples[0].value == value


def test_what_is_unknown_or_no_number_leaves_no_trace() -> None:
    text = Exposition()
    text.one("fleet_none", "gauge", "About.", None)
    text.one("fleet_nan", "gauge", "About.", math.nan)
    text.family("fleet_empty", "gauge", "About.", [])
    text.histogram("fleet_never", "About.", (1.0,), [((), [0, 0], 0.0)])
    assert text.encode() == b"\n"


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4))
def test_buckets_only_rise_and_end_at_the_count(counts: list[int]) -> None:
    text = Exposition()
    text.histogram("fleet_h", "About.", (0.5, 1.0, 2.5), [((("a", "b"),), counts, 7.25)])
    families = list(text_string_to_metric_families(text.encode().decode()))
    if not any(counts):
        assert families == []
        return
    samples = families[0].samples
    buckets = [sample.value for sample in samples if sample.name == "fleet_h_bucket"]
    assert buckets == sorted(buckets)
    assert [sample.labels["le"] for sample in samples[:4]] == ["0.5", "1", "2.5", "+Inf"]
    assert buckets[-1] == next(sample.value for sample in samples if sample.name == "fleet_h_count") == sum(counts)
