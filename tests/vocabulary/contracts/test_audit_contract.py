"""The audit's chain tells every change of what was written, and stands on what was rotated away."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fleet.vocabulary.contracts.audit import AuditLine, broken_chain, chained, parse_audit
from fleet.vocabulary.contracts.codec import canonical


def a_chain(count: int) -> list[AuditLine]:
    lines: list[AuditLine] = []
    for number in range(count):
        line = AuditLine(seq=0, at_seconds=number, action="deploy", outcome="committed", run_id=f"r{number}")
        lines.append(chained(line, lines[-1] if lines else None))
    return lines


def raw(lines: list[AuditLine]) -> bytes:
    return b"".join(canonical(line) + b"\n" for line in lines)


def test_a_whole_chain_holds_and_survives_the_disk() -> None:
    lines = a_chain(5)
    assert [line.seq for line in lines] == [1, 2, 3, 4, 5]
    assert parse_audit(raw(lines)) == (tuple(lines), None)
    assert parse_audit(b"") == ((), None)


@given(count=st.integers(1, 8), data=st.data())
def test_a_chain_whose_beginning_was_rotated_away_holds(count: int, data: st.DataObject) -> None:
    lines = a_chain(count)
    assert broken_chain(lines[data.draw(st.integers(0, count - 1)) :]) is None


@given(count=st.integers(3, 8), data=st.data())
def test_a_line_that_was_changed_taken_out_or_swapped_is_told(count: int, data: st.DataObject) -> None:
    lines = a_chain(count)
    at = data.draw(st.integers(1, count - 2))
    changed = [*lines[:at], replace(lines[at], operator="nobody"), *lines[at + 1 :]]
    assert broken_chain(changed) == f"line {at + 1} is not the one that was written"
    assert broken_chain([*lines[:at], *lines[at + 1 :]]) == f"behind {at} comes {at + 2}"
    assert broken_chain([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]) is not None
    renumbered = [*lines[:at], *(replace(line, seq=line.seq - 1) for line in lines[at + 1 :])]
    assert broken_chain(renumbered) == f"line {at + 1} is not the one that was written"


@given(st.binary(max_size=200))
def test_any_bytes_are_read(noise: bytes) -> None:
    lines, broken = parse_audit(noise)
    assert lines == ()
    assert (broken is None) == (b"\n" not in noise)


def test_a_torn_last_line_is_not_there_and_a_spoilt_one_is_told() -> None:
    lines = a_chain(3)
    whole = raw(lines)
    assert parse_audit(whole[:-5]) == (tuple(lines[:2]), None)
    assert parse_audit(whole.replace(b'"r1"', b'"r1')) == ((lines[0], lines[2]), "line 2 cannot be read")
