"""Sums of a ledger: whatever they are cut by, the pieces are the whole; days and months are those of budget_tz."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_rows import request as ended
from ledger_rows import reservation, settlement

from fleet.node.gateway.ledger.queries import oldest, summed, tickets_before
from fleet.node.gateway.ledger.store import LedgerFile
from fleet.vocabulary.contracts.ledger import Adjustment, Owner, Request, Reservation, Row
from fleet.vocabulary.contracts.ledger_admin import LedgerBy, LedgerLine, LedgerQuery
from fleet.vocabulary.names import Track


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def filled(tmp_path: Path, *rows: Row) -> Path:
    file = LedgerFile(tmp_path / "ledger.db")
    file.put(rows)
    file.close()
    return file.path


def lines(path: Path, *by: LedgerBy, zone: str = "UTC", since: str = "", until: str = "") -> list[LedgerLine]:
    query = LedgerQuery(
        by=by, since_milliseconds=at(since) if since else None, until_milliseconds=at(until) if until else None
    )
    return list(summed(path, query, budget_tz=zone))


def test_requests_tokens_and_money_stand_in_one_line(tmp_path: Path) -> None:
    path = filled(
        tmp_path,
        ended("a", prompt_tokens=100, completion_tokens=20, cached_tokens=7),
        ended("b", outcome="failed"),
        ended("c"),
        reservation("a", 900),
        settlement("a", 400),
        reservation("b", 900),
        Adjustment(id="x", of="a/1", at_milliseconds=at("2026-12-01"), pico=-30, track=Track.DOLLAR, note=""),
    )

    (line,) = lines(path, LedgerBy.ROUTE, LedgerBy.PERSON)

    assert line == LedgerLine(
        names=("big", "ada"),
        requests=3,
        failed=1,
        untold=1,
        prompt_tokens=100,
        completion_tokens=20,
        cached_tokens=7,
        attempts=2,
        spent_pico=370,
        reserved_pico=900,
    )


def test_a_correction_of_a_whole_track_has_a_track_and_no_key(tmp_path: Path) -> None:
    row = Adjustment(id="reconcile/a/2026-11/1", of="", at_milliseconds=1, pico=55, track=Track.DOLLAR, note="")
    path = filled(tmp_path, row)

    assert [(line.names, line.spent_pico) for line in lines(path, LedgerBy.TRACK, LedgerBy.KEY)] == [
        (("dollar", ""), 55)
    ]


@pytest.mark.parametrize(
    ("moment", "zone", "day", "week", "month"),
    [
        ("2027-01-01T12:00", "UTC", "2027-01-01", "2026-W53", "2027-01"),
        ("2026-12-31T23:30", "Europe/Berlin", "2027-01-01", "2026-W53", "2027-01"),
        ("2026-11-30T23:59", "UTC", "2026-11-30", "2026-W49", "2026-11"),
        ("2026-11-30T18:29", "Asia/Kolkata", "2026-11-30", "2026-W49", "2026-11"),
        ("2026-11-30T18:31", "Asia/Kolkata", "2026-12-01", "2026-W49", "2026-12"),
        ("2026-03-29T01:30", "Europe/Berlin", "2026-03-29", "2026-W13", "2026-03"),
        ("1969-12-31T23:59", "UTC", "1969-12-31", "1970-W01", "1969-12"),
    ],
)
def test_days_and_months_are_those_of_the_time_zone_and_weeks_are_iso_weeks_in_utc(
    tmp_path: Path, moment: str, zone: str, day: str, week: str, month: str
) -> None:
    path = filled(tmp_path, ended("a", at=at(moment)))

    (line,) = lines(path, LedgerBy.DAY, LedgerBy.WEEK, LedgerBy.MONTH, zone=zone)

    assert line.names == (day, week, month)


def test_a_time_begins_with_since_and_ends_before_until(tmp_path: Path) -> None:
    path = filled(tmp_path, *(ended(day, at=at(day)) for day in ("2026-11-01", "2026-11-02", "2026-11-03")))

    found = lines(path, LedgerBy.DAY, since="2026-11-02", until="2026-11-03")

    assert [line.names for line in found] == [("2026-11-02",)]
    assert oldest(path) == at("2026-11-01")


def test_an_empty_ledger_has_no_lines_and_no_oldest_row(tmp_path: Path) -> None:
    path = filled(tmp_path)

    assert lines(path, LedgerBy.MODEL) == []
    assert oldest(path) is None


def test_a_ticket_is_told_what_it_spent_or_holds_before_a_moment(tmp_path: Path) -> None:
    path = filled(
        tmp_path,
        reservation("a", 900, at=5),
        settlement("a", 400),
        reservation("b", 300, at=6),
        reservation("c", 1, at=50),
        Adjustment(id="x", of="a/1", at_milliseconds=7, pico=-30, track=Track.DOLLAR, note=""),
    )

    assert tickets_before(path, 50) == {"SEC-1": 670}


_NAMES = st.sampled_from(["a", "b", ""])
_TIMES = st.integers(at("2026-10-25"), at("2027-01-05"))


@given(
    st.lists(st.tuples(_TIMES, _NAMES, _NAMES, st.integers(0, 10**12), st.booleans()), max_size=15),
    st.permutations([LedgerBy.KEY, LedgerBy.TEAM, LedgerBy.DAY, LedgerBy.WEEK, LedgerBy.MONTH]),
)
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_however_a_ledger_is_cut_the_pieces_are_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    attempts: list[tuple[int, str, str, int, bool]],
    by: list[LedgerBy],
) -> None:
    rows: list[Row] = []
    for number, (moment, key, team, pico, settled) in enumerate(attempts):
        owner = Owner(key=key, team=team)
        name = str(number)
        rows.append(
            Reservation(
                id=f"{name}/1",
                request=name,
                at_milliseconds=moment,
                owner=owner,
                route="r",
                track=Track.TOKEN,
                upstream="u",
                model="m",
                pico=pico,
            )
        )
        rows.append(
            Request(
                id=name,
                at_milliseconds=moment,
                owner=owner,
                asked="r",
                route="r",
                track=Track.TOKEN,
                prompt_tokens=pico % 1000,
            )
        )
        if settled:
            rows.append(settlement(name, pico // 2))
    path = filled(tmp_path_factory.mktemp("cut"), *rows) if rows else filled(tmp_path_factory.mktemp("cut"))
    found = lines(path, *by[:3], zone="Europe/Berlin")

    assert sum(line.requests for line in found) == len(attempts)
    assert sum(line.prompt_tokens for line in found) == sum(pico % 1000 for *_, pico, _ in attempts)
    assert sum(line.spent_pico for line in found) == sum(pico // 2 for *_, pico, settled in attempts if settled)
    assert sum(line.reserved_pico for line in found) == sum(pico for *_, pico, settled in attempts if not settled)
    assert len({line.names for line in found}) == len(found)
