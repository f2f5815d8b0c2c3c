"""Server-sent events, however the bytes are split."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.sse import SseComment, SseEvent, SseOverflow, SseParser, comment, event


def parsed(*chunks: bytes, longest_bytes: int = 1024) -> list[SseEvent | SseComment]:
    parser = SseParser(longest_bytes=longest_bytes)
    return list(itertools.chain.from_iterable(parser.feed(chunk) for chunk in chunks))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"data: a\n\n", [SseEvent(b"a")]),
        (b"data:a\r\n\r\n", [SseEvent(b"a")]),
        (b"data: a\r\r", [SseEvent(b"a")]),
        (b"data: a\ndata: b\n\n", [SseEvent(b"a\nb")]),
        (b"data\n\n", [SseEvent(b"")]),
        (b"data:  a\n\n", [SseEvent(b" a")]),
        (b": keepalive 1/2\n\ndata: a\n\n", [SseComment(b"keepalive 1/2"), SseEvent(b"a")]),
        (b":\n", [SseComment(b"")]),
        (b"event: error\ndata: x\nid: 7\nretry: 1\n\n", [SseEvent(b"x", b"error")]),
        (b"event: lonely\n\ndata: a\n\n", [SseEvent(b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [SseEvent(b"a")]),
        (b"\n\n\n", []),
        (b"data: unfinished\n", []),
    ],
)
def test_a_stream_is_read_as_the_standard_says(text: bytes, found: list[SseEvent | SseComment]) -> None:
    assert parsed(text) == found


def test_an_unfinished_event_is_pending_and_no_event() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.pending
    assert parser.feed(b"\n") == [SseEvent(b"a")]
    assert not parser.pending


def test_a_line_without_an_end_is_cut_off_at_the_bound() -> None:
    parser = SseParser(longest_bytes=100)
    parser.feed(b"data: " + b"x" * 94)
    with pytest.raises(SseOverflow):
        parser.feed(b"x")


def test_an_event_of_many_short_lines_is_bounded_too() -> None:
    with pytest.raises(SseOverflow):
        parsed(b"data: 12345678\n" * 20, longest_bytes=100)


pieces = st.sampled_from(
    [
        b"data: ",
        b"data:",
        b"a",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b":",
        b": x",
        b"event: e",
        "é".encode(),
        b"[DONE]",
        b" ",
    ]
)


@given(parts=st.lists(pieces, max_size=30), cuts=st.lists(st.integers(0, 80), max_size=6))
def test_where_the_bytes_are_split_changes_nothing(parts: list[bytes], cuts: list[int]) -> None:
    text = b"".join(parts)
    whole = parsed(text)
    assert parsed(*(text[i : i + 1] for i in range(len(text)))) == whole
    bounds = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    assert parsed(*(text[a:b] for a, b in itertools.pairwise(bounds))) == whole


@given(data=st.binary(max_size=60))
def test_what_is_written_is_read_back(data: bytes) -> None:
    normal = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert parsed(event(data) + comment(b"x")) == [SseEvent(normal), SseComment(b"x")]


@given(text=st.binary(max_size=200))
def test_any_bytes_are_read_without_a_crash(text: bytes) -> None:
    parsed(text)
