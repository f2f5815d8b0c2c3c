"""What a ledger says of usage: what a naive count over its rows says, and money that `fleet ledger` has as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_rows import NOON, request, reservation, settlement

from fleet.node.gateway.ledger.queries import summed
from fleet.node.gateway.ledger.retention import Keep
from fleet.node.gateway.ledger.store import LedgerFile
from fleet.node.gateway.ledger.usage import TooManyLines, first_request, usage
from fleet.vocabulary.contracts.ledger import Adjustment, Owner, Request, Reservation, Row, Settlement, ToolVerdict
from fleet.vocabulary.contracts.ledger_admin import LedgerBy, LedgerQuery
from fleet.vocabulary.contracts.usage import Measure, UsageBy, UsageLine, UsageQuery
from fleet.vocabulary.names import Track
from fleet.vocabulary.quantiles import counted

BERLIN = "Europe/Berlin"
_BEGIN = int(datetime(2026, 10, 24, tzinfo=UTC).timestamp() * 1000)
_TIMES = st.integers(_BEGIN, _BEGIN + 75 * 86_400_000)
_TOKENS = st.none() | st.integers(0, 300_000)
_SECONDS = st.integers(0, 90_000).map(lambda milliseconds: milliseconds / 1000)
_OWNERS = st.builds(Owner, key=st.sampled_from(["a", "b"]), team=st.sampled_from(["red", ""]))
_REQUESTS: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    at_milliseconds=_TIMES,
    owner=_OWNERS,
    asked=st.sampled_from(["code", "docs"]),
    route=st.sampled_from(["code", "owl"]),
    track=st.sampled_from(list(Track)),
    upstream=st.sampled_from(["", "u"]),
    node=st.sampled_from(["", "mini-1"]),
    model=st.sampled_from(["flash", "owl"]),
    outcome=st.sampled_from(["ok", "failed", "truncated", "cancelled"]),
    surface=st.sampled_from(["chat", "messages"]),
    stream=st.booleans(),
    eligible=st.booleans(),
    gray=st.booleans(),
    session=st.sampled_from(["", "s1", "s2", "s3"]),
    prompt_tokens=_TOKENS,
    completion_tokens=_TOKENS,
    cached_tokens=_TOKENS,
    reasoning_tokens=st.sampled_from([None, 0, 5]),
    seconds=_SECONDS,
    first_token_seconds=st.none() | _SECONDS,
    tools_at_seconds=st.none() | _SECONDS,
    tools_offered=st.integers(0, 2),
    tool_verdict=st.none() | st.sampled_from(ToolVerdict),
)
_MONEY = st.tuples(st.integers(0, 10**13), st.none() | st.integers(0, 10**13), st.none() | st.integers(-(10**9), 10**9))


def of(rows: Iterable[Row], path: Path, *, keep: Keep | None = None) -> Path:
    file = LedgerFile(path / "ledger.db", keep=keep, now=lambda: datetime(2026, 12, 31, tzinfo=UTC))
    file.put(list(rows))
    while file.let_go():
        pass
    file.close()
    return file.path


def named(row: Request, by: UsageBy) -> str:
    """The name of a request, as the contract says it."""
    utc = datetime.fromtimestamp(row.at_milliseconds / 1000, UTC)
    local = utc.astimezone(ZoneInfo(BERLIN))
    match by:
        case UsageBy.KEY | UsageBy.PERSON | UsageBy.TEAM | UsageBy.APP:
            return str(getattr(row.owner, by.value))
        case UsageBy.TIER:
            return "fleet" if row.node else "api" if row.upstream else ""
        case UsageBy.REASONING:
            return "" if row.reasoning_tokens is None else "yes" if row.reasoning_tokens else "no"
        case UsageBy.GRAY:
            return "yes" if row.gray else "no"
        case UsageBy.HOUR:
            return utc.strftime("%Y-%m-%dT%H")
        case UsageBy.DAY:
            return local.strftime("%Y-%m-%d")
        case UsageBy.WEEK:
            return "{}-W{:02}".format(*utc.isocalendar()[:2])
        case UsageBy.MONTH:
            return local.strftime("%Y-%m")
        case _:
            return str(getattr(row, by.value))


def naive(rows: Sequence[Request], names: tuple[str, ...]) -> UsageLine:
    """The line of these requests, one at a time, without money."""

    def total(name: str) -> Any:
        return sum(getattr(row, name) or 0 for row in rows)

    def spread(name: str) -> dict[int, int]:
        return counted(value for row in rows if (value := getattr(row, name)) is not None)

    sessions = Counter(row.session for row in rows if row.session)
    spreads: dict[Measure, dict[int, int]] = {Measure.TURNS: counted(sessions.values())}
    spreads |= {one: spread(one.value) for one in Measure if one is not Measure.TURNS}
    return UsageLine(
        names=names,
        requests=len(rows),
        failed=sum(row.outcome != "ok" for row in rows),
        broken=sum(row.outcome in ("failed", "truncated") for row in rows),
        untold=sum(row.outcome == "ok" and row.prompt_tokens is None and row.completion_tokens is None for row in rows),
        gray=total("gray"),
        eligible=total("eligible"),
        streamed=total("stream"),
        prompt_tokens=total("prompt_tokens"),
        completion_tokens=total("completion_tokens"),
        cached_tokens=total("cached_tokens"),
        reasoning_tokens=total("reasoning_tokens"),
        reasoned=sum(bool(row.reasoning_tokens) for row in rows),
        with_tools=sum(row.tools_offered > 0 for row in rows),
        verdicts=dict(Counter(row.tool_verdict for row in rows if row.tool_verdict is not None)),
        sessions=len(sessions),
        busy_seconds=pytest.approx(total("seconds")),  # type: ignore[arg-type]
        spreads={one: found for one, found in spreads.items() if found},
    )


@given(
    st.lists(_REQUESTS, max_size=14),
    st.lists(st.sampled_from(UsageBy), max_size=4, unique=True),
    st.none() | _TIMES,
    st.none() | _TIMES,
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_every_line_is_what_a_naive_count_over_the_rows_says(
    tmp_path_factory: pytest.TempPathFactory,
    asked: list[dict[str, Any]],
    by: list[UsageBy],
    since: int | None,
    until: int | None,
) -> None:
    rows = [Request(id=str(number), **values) for number, values in enumerate(asked)]
    query = UsageQuery(by=tuple(by), since_milliseconds=since, until_milliseconds=until, measures=tuple(Measure))
    groups: dict[tuple[str, ...], list[Request]] = {}
    for row in rows:
        if (since is None or row.at_milliseconds >= since) and (until is None or row.at_milliseconds < until):
            groups.setdefault(tuple(named(row, one) for one in by), []).append(row)

    found = usage(of(rows, tmp_path_factory.mktemp("usage")), query, budget_tz=BERLIN)

    assert list(found) == [naive(some, names) for names, some in sorted(groups.items())]


_SAME = {UsageBy.ASKED: LedgerBy.ROUTE} | {UsageBy(one.value): one for one in LedgerBy if one is not LedgerBy.ROUTE}


@given(
    st.lists(st.tuples(_REQUESTS, _MONEY, st.booleans()), max_size=10),
    st.integers(-(10**12), 10**12),
    st.lists(st.sampled_from(list(_SAME)), min_size=1, max_size=3, unique=True),
    st.none() | _TIMES,
    st.integers(1, 3),
)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_counts_and_money_are_those_of_the_ledger_whatever_both_are_cut_by(
    tmp_path_factory: pytest.TempPathFactory,
    asked: list[tuple[dict[str, Any], tuple[int, int | None, int | None], bool]],
    correction: int,
    by: list[UsageBy],
    since: int | None,
    months: int,
) -> None:
    rows: list[Row] = [Adjustment(id="x", of="", at_milliseconds=NOON, pico=correction, track=Track.DOLLAR, note="")]
    for number, (values, (reserved, settled, corrected), lost) in enumerate(asked):
        name, at = str(number), values["at_milliseconds"]
        if not lost:  # a killed process leaves attempts without a request
            rows.append(Request(id=name, **values))
        held = Reservation(
            id=f"{name}/1",
            request=name,
            at_milliseconds=at - 4000,
            owner=values["owner"],
            route=values["asked"],
            track=Track.TOKEN,  # it fell back: the attempt that cost something was another one
            upstream="first",
            model="flash",
            pico=reserved,
        )
        rows.append(held)
        if settled is not None:
            rows.append(settlement(name, settled))
        if corrected is not None:
            late = at + 90_000_000
            rows.append(
                Adjustment(id=name, of=held.id, at_milliseconds=late, pico=corrected, track=Track.TOKEN, note="")
            )
    path = of(rows, tmp_path_factory.mktemp("money"), keep=Keep(months, BERLIN))
    ledger = summed(path, LedgerQuery(by=tuple(_SAME[one] for one in by), since_milliseconds=since), budget_tz=BERLIN)

    found = usage(path, UsageQuery(by=tuple(by), since_milliseconds=since), budget_tz=BERLIN)

    assert [line.names for line in found] == [line.names for line in ledger]
    for mine, theirs in zip(found, ledger, strict=True):
        for name in ("requests", "failed", "untold", "prompt_tokens", "completion_tokens", "cached_tokens"):
            assert getattr(mine, name) == getattr(theirs, name)
        assert (mine.spent_pico, mine.reserved_pico) == (theirs.spent_pico, theirs.reserved_pico)


def test_money_is_told_by_what_only_the_row_of_its_request_knows(tmp_path: Path) -> None:
    rows: list[Row] = [
        request("a", surface="messages", reasoning_tokens=7, upstream="u"),
        *(reservation("a"), settlement("a", 400), reservation("b", 900)),
    ]

    found = usage(of(rows, tmp_path), UsageQuery(by=(UsageBy.SURFACE, UsageBy.REASONING, UsageBy.TIER)))

    assert [(line.names, line.requests, line.spent_pico, line.reserved_pico) for line in found] == [
        (("", "", "api"), 0, 0, 900),
        (("messages", "yes", "api"), 1, 400, 0),
    ]


def test_a_ledger_without_rows_has_no_line_not_even_of_everything(tmp_path: Path) -> None:
    path = of([], tmp_path)

    assert usage(path, UsageQuery(by=(), measures=tuple(Measure))) == ()
    assert first_request(path) is None


def test_requests_that_were_let_go_count_in_their_month_and_say_no_more_than_is_kept(tmp_path: Path) -> None:
    october = int(datetime(2026, 10, 5, tzinfo=UTC).timestamp() * 1000)
    path = of([request("a", at=october, prompt_tokens=9, surface="chat")], tmp_path, keep=Keep(1))

    (line,) = usage(path, UsageQuery(by=(UsageBy.MONTH, UsageBy.SURFACE, UsageBy.GRAY), measures=tuple(Measure)))

    assert (line.names, line.requests, line.prompt_tokens, line.spreads) == (("2026-10", "", ""), 1, 9, {})
    assert first_request(path) == int(datetime(2026, 10, 1, tzinfo=UTC).timestamp() * 1000)


def test_more_lines_than_anybody_reads_are_refused(tmp_path: Path) -> None:
    path = of([request(str(hour), at=NOON + hour * 3_600_000) for hour in range(3)], tmp_path)

    assert len(usage(path, UsageQuery(by=(UsageBy.HOUR,)), most=3)) == 3
    with pytest.raises(TooManyLines, match="more than 2 lines"):
        usage(path, UsageQuery(by=(UsageBy.HOUR,)), most=2)


def test_the_writer_goes_on_while_usage_is_read_and_every_answer_is_of_one_state(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.db")
    query = UsageQuery(by=(), measures=(Measure.TURNS, Measure.PROMPT_TOKENS))

    def write() -> None:
        for number in range(300):
            file.put([request(str(number), session=str(number), prompt_tokens=10)])

    with ThreadPoolExecutor(1) as pool:
        writing, found = pool.submit(write), list[UsageLine]()
        while not writing.done():
            found += usage(file.path, query)
        writing.result()
    (last,) = usage(file.path, query)
    file.close()

    assert last.requests == 300
    for line in (*found, last):
        assert {one: sum(counts.values()) for one, counts in line.spreads.items()} == dict.fromkeys(
            query.measures, line.requests
        )


def test_a_clock_that_was_set_back_before_1970_has_a_day_as_well(tmp_path: Path) -> None:
    at = int((datetime(1970, 1, 1, tzinfo=UTC) - timedelta(minutes=1)).timestamp() * 1000)

    (line,) = usage(of([request("a", at=at)], tmp_path), UsageQuery(by=(UsageBy.DAY, UsageBy.HOUR)))

    assert line.names == ("1969-12-31", "1969-12-31T23")


def test_settlements_of_two_attempts_of_a_request_are_added_once(tmp_path: Path) -> None:
    second = Reservation(
        **{name: getattr(reservation("a", 50), name) for name in Reservation.__struct_fields__ if name != "id"},
        id="a/2",
    )
    rows: list[Row] = [
        request("a"),
        reservation("a", 70),
        second,
        settlement("a", 60),
        Settlement(id="a/2", at_milliseconds=NOON, pico=40, source=settlement("a", 0).source),
    ]

    (line,) = usage(of(rows, tmp_path), UsageQuery(by=(UsageBy.SURFACE,)))

    assert (line.requests, line.spent_pico, line.reserved_pico) == (1, 100, 0)
