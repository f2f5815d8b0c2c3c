"""What tail prints, as lines: whose, when, once; and total over whatever bytes come."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from fleet.control.actions.loglines import LineReader, LogLine, offset_seconds, stamp_of

NOON = 1_795_348_800.0
"""2026-11-22 12:00:00 UTC."""
PRINTED = b"""fleet-logs +0100
==> /opt/fleet/log/agent.log <==
2026-11-22T12:00:01Z agent: watches mini-1

==> /opt/fleet/log/sidecar.chat.log <==
2026-11-22 13:00:02,250 - INFO - ready
Traceback (most recent call last):

  File "x.py", line 1
127.0.0.1 - - [22/Nov/2026 13:00:02] "POST /v1/chat/completions HTTP/1.1" 200 -
"""


def reader() -> LineReader:
    return LineReader("mini-1", now=lambda: NOON + 100, count=itertools.count())


def told(lines: list[LogLine]) -> list[tuple[float, str, str]]:
    return [(line.at - NOON, line.service, line.said) for line in lines]


def test_a_line_knows_its_service_and_its_time_in_utc_and_what_has_no_time_stays_with_the_line_before() -> None:
    assert told(reader().feed(PRINTED)) == [
        (1.0, "agent", "agent: watches mini-1"),
        (2.25, "sidecar.chat", "- INFO - ready"),
        (2.25, "sidecar.chat", "Traceback (most recent call last):"),
        (2.25, "sidecar.chat", ""),
        (2.25, "sidecar.chat", '  File "x.py", line 1'),
        (2.25, "sidecar.chat", '127.0.0.1 - - [22/Nov/2026 13:00:02] "POST /v1/chat/completions HTTP/1.1" 200 -'),
    ]


def test_lines_of_many_nodes_are_in_the_order_of_time() -> None:
    count = itertools.count()
    readers = [LineReader(f"mini-{number}", now=lambda: NOON, count=count) for number in (1, 2)]
    texts = (b"2026-11-22T12:00:03Z c\n", b"2026-11-22T12:00:01Z a\n2026-11-22T12:00:04Z d\n")
    found = [line for one, text in zip(readers, texts, strict=True) for line in one.feed(text)]
    assert [line.said for line in sorted(found)] == ["a", "c", "d"]


def test_after_a_break_nothing_is_told_twice_and_nothing_is_missing() -> None:
    one = reader()
    head = b"fleet-logs +0000\n==> /opt/fleet/log/agent.log <==\n"
    assert len(one.feed(head + b"2026-11-22T12:00:01Z a\n2026-11-22T12:00:02Z b\nmore of b\n")) == 3
    one.end()
    one.again()
    again = one.feed(head + b"2026-11-22T12:00:02Z b\nmore of b\n2026-11-22T12:00:02Z c\n2026-11-22T12:00:03Z d\n")
    assert [line.said for line in again] == ["c", "d"]


def test_a_warning_that_stands_in_the_log_and_in_stderr_is_one_line() -> None:
    warning = b'2026-11-22T12:00:02.038Z WARNING policy problem="a new ledger was begun"\n'
    lines = reader().feed(
        b"fleet-logs +0000\n==> /x/log/gateway.err.log <==\n" + warning + b"\n==> /x/log/gateway.log <==\n" + warning
    )
    assert [line.service for line in lines] == ["gateway.err"]


def test_what_is_skipped_is_counted_and_the_service_that_speaks_after_it_is_known() -> None:
    one = reader()
    one.feed(b"fleet-logs +0000\n==> /x/log/agent.log <==\n2026-11-22T12:00:01Z a\n")
    assert one.skip(b"b\nc\n\n==> /x/log/gateway.log <==\n2026-11-22T12:00:02Z d\n2026-11-22T12:00:0") == 5
    assert told(one.feed(b"3Z e\n2026-11-22T12:00:04Z f\n")) == [(4.0, "gateway", "f")]


def test_times_are_read_in_every_way_that_services_write_them() -> None:
    assert stamp_of("2026-11-22T12:00:00Z agent: x", 3600.0) == (NOON, 21)
    assert stamp_of("2026-11-22T12:00:00.500Z INFO x", 3600.0) == (NOON + 0.5, 25)
    assert stamp_of("2026-11-22 13:00:00,250 - INFO - x", 3600.0) == (NOON + 0.25, 24)
    assert stamp_of('127.0.0.1 - - [22/Nov/2026 13:00:00] "GET /', 3600.0) == (NOON, 0)
    assert stamp_of("2026-99-22T12:00:00Z no such month", 0.0) is None
    assert stamp_of("nothing here", 0.0) is None
    assert [offset_seconds(text) for text in ("+0130", "-0800", "", "CET")] == [5400.0, -28800.0, 0.0, 0.0]


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_whatever_comes_is_lines_and_cutting_it_elsewhere_changes_none(chunks: list[bytes]) -> None:
    whole, parts = reader(), reader()
    expected = [line.text for line in [*whole.feed(b"".join(chunks)), *whole.end()]]
    found = [line.text for chunk in chunks for line in parts.feed(chunk)]
    assert [*found, *(line.text for line in parts.end())] == expected


@given(st.text(max_size=60))
def test_a_stamp_is_never_longer_than_its_line(text: str) -> None:
    found = stamp_of(text, 0.0)
    assert found is None or 0 <= found[1] <= len(text)
