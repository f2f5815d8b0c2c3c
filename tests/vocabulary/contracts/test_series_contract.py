"""The series contract: there and back, and a newer agent's extra fields are passed over."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fleet.vocabulary.contracts.series import Series

numbers = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))


@given(
    st.builds(
        Series,
        node=st.text(max_size=10),
        start_seconds=st.integers(0, 2**40),
        step_seconds=st.integers(1, 86400),
        values=st.dictionaries(st.text(max_size=8), st.lists(numbers, max_size=5).map(tuple), max_size=3),
    )
)
def test_a_series_comes_back_as_it_was_sent(series):
    assert msgspec.json.decode(msgspec.json.encode(series), type=Series) == series


def test_a_later_agents_fields_are_passed_over():
    text = b'{"node":"n","start_seconds":5,"step_seconds":5,"values":{"cpu_ratio":[null,0.5]},"schema":2,"new":1}'
    series = msgspec.json.decode(text, type=Series)
    assert series.values == {"cpu_ratio": (None, 0.5)}
