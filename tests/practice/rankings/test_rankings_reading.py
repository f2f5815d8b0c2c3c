"""Tables and datasets are read whole, whatever is in them, and what is odd is named by its line."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.practice.rankings.amounts import NotAnAmount, percent_in, shown_percent, shown_tokens, tokens_in
from fleet.practice.rankings.reading import read_dataset, read_text
from fleet.practice.rankings.saidweek import said_week
from fleet.practice.rankings.week import NotAWeek, Week, last_completed
from tests.practice.maytable import W20, W21, ranking_of, text_of


def test_the_table_of_may_is_read_to_the_token() -> None:
    found = ranking_of(W21)
    assert [(one.rank, one.name, one.vendor, one.tokens, one.printed) for one in found.models][:5] == [
        (1, "DeepSeek-V4-Flash", "DeepSeek", 3_430_000_000_000, Decimal(66)),
        (2, "Tencent Hy3 Preview", "Tencent", 3_070_000_000_000, Decimal(16)),
        (3, "Claude Sonnet 4.6", "Anthropic", 1_350_000_000_000, None),
        (4, "DeepSeek-V3.2", "DeepSeek", 1_310_000_000_000, None),
        (5, "Owl Alpha", "OpenRouter", 1_150_000_000_000, Decimal(29)),
    ]
    assert found.models[7].tokens == 806_000_000_000
    assert found.covers_top
    assert found.last_rank == 10


def test_markdown_csv_and_json_of_one_table_say_the_same() -> None:
    models = ranking_of(W21).models
    rows = [
        {"rank": one.rank, "model": one.name, "vendor": one.vendor, "tokens": one.tokens, "wow": str(one.printed or "")}
        for one in models
    ]
    lines = ["Rank;Model;Author;Weekly tokens;WoW"]
    lines += [";".join(str(cell) for cell in row.values()) for row in rows]
    for kind, text in (("json", json.dumps({"models": rows})), ("csv", "\ufeff" + "\r\n".join(lines))):
        read = read_text(text, kind=kind, week=W21, as_of="2026-05-24")
        assert read.odd == ()
        assert read.rankings[0].models == models


@pytest.mark.parametrize(
    ("cell", "tokens"),
    [("3.43T", 3_430_000_000_000), ("806B", 806_000_000_000), ("806 b", 806_000_000_000), ("1,234,567", 1_234_567),
     ("**1.0M** ", 1_000_000), ("12 tokens", 12), ("", None), ("—", None), ("n/a", None)],
)  # fmt: skip
def test_a_count_of_tokens_is_exact(cell: str, tokens: int | None) -> None:
    assert tokens_in(cell) == tokens


@pytest.mark.parametrize(
    "cell", ["many", "3,43T", "2,1T", "1,00,000", "1,234 567", "3.43X", "1e12", "-5B", "0.5", "∞", "٣B", "9" * 30]
)
def test_what_is_no_count_is_refused(cell: str) -> None:
    with pytest.raises(NotAnAmount):
        tokens_in(cell)


@pytest.mark.parametrize(
    ("cell", "percent"), [("+66%", 66), ("+19.89 %", "19.89"), ("-3%", -3), ("\u22123 %", -3), ("30", 30), ("", None)]
)
def test_a_change_is_exact(cell: str, percent: object) -> None:
    assert percent_in(cell) == (None if percent is None else Decimal(str(percent)))


def test_a_comma_before_decimals_is_told_and_never_makes_a_count_a_hundred_times_larger() -> None:
    head = "| model | tokens | WoW |\n|---|---|---|\n"
    read = read_text(f"{head}| A | 3,43T | +6,5% |\n", kind="markdown", week=W21)
    assert [str(one) for one in read.odd] == [
        "line 3: '3,43T' is no count of tokens: write its decimals after a point",
        "line 3: '+6,5%' is no change in percent: write its decimals after a point",
    ]


def test_odd_cells_are_named_by_their_line_and_nothing_else_is_lost() -> None:
    head = "x\n\n| # | model | tokens | WoW |\n|---|:--|--:|---|\n"
    text = head + "| 1 | A | lots | +5% |\n| two | B | 5B | up |\n| 3 | A | 1B | |\n| 4 | | | |\n"
    read = read_text(text, kind="markdown", week=W21, as_of="2026-05-24")
    assert [str(one) for one in read.odd] == [
        "line 5: 'lots' is no count of tokens",
        "line 6: 'two' is no rank: its place counts",
        "line 6: 'up' is no change in percent",
        "line 7: A is there twice: the first counts",
        "line 8: no model: left out",
    ]
    assert [(one.rank, one.name, one.tokens) for one in read.rankings[0].models] == [
        (1, "A", None),
        (2, "B", 5 * 10**9),
    ]


def test_a_name_that_would_steer_a_terminal_is_left_out() -> None:
    read = read_text("rank,model\n1,\x1b[31mA\n2,B\n", kind="csv", week=W21)
    assert [str(one) for one in read.odd] == ["line 2: '\\x1b[31mA' is no name of a model: left out"]
    assert [one.name for one in read.rankings[0].models] == ["B"]


def test_a_table_without_models_says_why_it_is_none() -> None:
    for kind, text in (
        ("markdown", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("csv", "a,b\n1,2"),
        ("json", "{]"),
        ("json", "7"),
    ):
        read = read_text(text, kind=kind, week=W21, as_of="2026-05-24")
        assert read.rankings == ()
        assert read.none


@settings(max_examples=60, deadline=None)
@given(
    st.text(alphabet='|-: \n,;"{}[]0123456789.TB%+modelrank', max_size=200),
    st.sampled_from(["json", "csv", "markdown"]),
)
def test_no_text_breaks_a_reader(text: str, kind: str) -> None:
    read_text(text, kind=kind, week=W21, as_of="2026-05-24")
    read_text("| rank | model |\n|---|---|\n" + text, kind="markdown", week=W21, as_of="2026-05-24")


def dataset(*rows: tuple[str, str, object], as_of: str = "2026-05-25T04:00:00Z") -> dict[str, object]:
    keys = ("date", "model_permaslug", "total_tokens")
    return {"data": [dict(zip(keys, row, strict=True)) for row in rows], "meta": {"as_of": as_of, "version": "v1"}}


def test_the_dataset_becomes_weeks_in_order_of_tokens() -> None:
    read = read_dataset(
        dataset(("2026-05-18", "a/x-2026-01-01", "5"), ("2026-05-18", "b/y-2026-02-02", "9"),
                ("2026-05-18", "other", "100"), ("2026-05-11", "a/x-2026-01-01", "4")),
        as_of="2026-05-25",
    )  # fmt: skip
    assert [one.week for one in read.rankings] == ["2026-W20", "2026-W21"]
    assert [(one.rank, one.slug, one.tokens) for one in read.rankings[1].models] == [
        (1, "b/y-2026-02-02", 9),
        (2, "a/x-2026-01-01", 5),
    ]
    assert read.rankings[1].total_tokens == 114
    assert read.rankings[1].attribution == "Source: OpenRouter (openrouter.ai/rankings), as of 2026-05-25T04:00:00Z"


def test_a_week_that_is_not_over_is_left_out_and_told() -> None:
    read = read_dataset(dataset(("2026-05-18", "a/x", "5"), as_of="2026-05-24T23:59:59Z"), as_of="2026-05-25")
    assert read.rankings == ()
    assert str(read.odd[0]) == "2026-W21: as of 2026-05-24T23:59:59Z, the week was not over: left out"


def test_odd_rows_of_the_dataset_are_named_by_their_place() -> None:
    read = read_dataset(
        dataset(("2026-05-18", "a/x", "5"), ("Monday", "a/x", "5"), ("2026-05-18", "b/y", -1), ("2026-05-18", "", "5")),
        as_of="2026-05-25",
    )
    assert [one.where for one in read.odd] == ["data[1]", "data[2]", "data[3]"]
    assert len(read.rankings[0].models) == 1


def test_weeks_go_over_the_year() -> None:
    assert str(Week.of(date(2027, 1, 3))) == "2026-W53"
    assert Week(2027, 1).previous == Week(2026, 53)
    assert str(last_completed(date(2026, 11, 23))) == "2026-W47"
    assert str(last_completed(date(2026, 11, 22))) == "2026-W46"
    assert Week.named("2026w5") == Week(2026, 5)
    for text in ("2026-W54", "2025-W53", "week 3", ""):
        with pytest.raises(NotAWeek):
            Week.named(text)


@given(st.integers(min_value=0, max_value=10**18))
def test_what_is_shown_is_read_back_within_its_digits(tokens: int) -> None:
    back = tokens_in(shown_tokens(tokens))
    assert back is not None
    assert abs(back - tokens) <= tokens / 100


def test_changes_read_well() -> None:
    assert [shown_percent(Decimal(text)) for text in ("66", "-3", "19.89", "0", "1240.4")] == [
        "+66 %", "-3 %", "+19.9 %", "+0 %", "+1240 %",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "week"),
    [
        ("## Week of 18-24 May 2026 (platform total 28.9T)", Week(2026, 21)),
        ("Week of 29 June - 5 July 2026", Week(2026, 27)),
        ("28 Dec 2026 \u2013 3 Jan 2027", Week(2026, 53)),
        ("Rankings of 2026-W21, as of 24 May", Week(2026, 21)),
        ("18-24 May 2026 against 11-17 May 2026", None),
        ("19-25 May 2026", None),
        ("18-24 Mai 2026, 2026-W77, 31-6 February 2026", None),
        ("", None),
    ],
)
def test_a_page_may_say_its_week(text: str, week: Week | None) -> None:
    assert said_week(text) == week


def test_the_week_is_read_from_the_heading_above_the_table_only() -> None:
    page = "# 2026-W01\n\ntext\n\n" + text_of(W21)
    read = read_text(page, kind="markdown", week=None)
    assert (read.rankings[0].week, read.rankings[0].as_of) == ("2026-W21", "2026-05-24")
    asked = read_text(page, kind="markdown", week=Week(2026, 1))
    assert (asked.rankings[0].week, asked.says) == ("2026-W01", Week(2026, 21))
    assert read_text(page, kind="markdown", week=W21).says is None


def test_a_page_with_two_weeks_tells_both_and_the_one_that_is_asked_for() -> None:
    page = text_of(W20) + "\n" + text_of(W21)
    assert [one.week for one in read_text(page, kind="markdown", week=None).rankings] == ["2026-W20", "2026-W21"]
    asked = read_text(page, kind="markdown", week=W21)
    assert (asked.says, asked.rankings) == (None, (ranking_of(W21),))
    assert read_text(page, kind="markdown", week=Week(2026, 1)).says == W20


def test_an_empty_table_says_that_no_model_is_in_it_not_that_its_week_is_unknown() -> None:
    text = "## Week of 4-10 May 2026\n\n| rank | model |\n|---|---|\n"
    assert read_text(text, kind="markdown", week=None).none == "no model in it"
