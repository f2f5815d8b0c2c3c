"""The gateway benchmark says pass only when every demand was measured and is met. Recorded rows; nothing is run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bench.gateway import table
from bench.gateway.cases import AGENT_92K, ALL, CHAT, FRESH, MESSAGES, RESPONSES, STREAM_200, UNARY_C1
from bench.gateway.demands import DEMANDS, Verdict, verdicts
from bench.gateway.rows import CASES, Results, Row, Stalled, Start, load, median_starts, medians, save
from bench.gateway.run import QUICK_RESULTS

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests/samples/bench/gateway-good.json"

Change = Callable[[Results], Results]


def good() -> Results:
    return load(SAMPLE)


def with_row(target: str, case: str, **changes: float | None) -> Change:
    def change(results: Results) -> Results:
        assert results.row(target, case) is not None
        rows = tuple(
            msgspec.structs.replace(row, **changes) if (row.target, row.case) == (target, case) else row
            for row in results.rows
        )
        return msgspec.structs.replace(results, rows=rows)

    return change


def with_start(**changes: float) -> Change:
    def change(results: Results) -> Results:
        starts = tuple(
            msgspec.structs.replace(start, **changes) if start.target == "fleet" else start for start in results.starts
        )
        return msgspec.structs.replace(results, starts=starts)

    return change


def with_stalled(megabytes: float) -> Change:
    one = Stalled(target="fleet", readers=100, rss_mb_per_reader=megabytes)
    return lambda results: msgspec.structs.replace(results, stalled=(one,))


def without(target: str) -> Change:
    def change(results: Results) -> Results:
        return msgspec.structs.replace(
            results,
            rows=tuple(row for row in results.rows if row.target != target),
            starts=tuple(start for start in results.starts if start.target != target),
            stalled=tuple(one for one in results.stalled if one.target != target),
        )

    return change


def failed(results: Results) -> list[str]:
    return [f"{one.demand.against}: {one.demand.text}" for one in verdicts(results) if not one.holds]


def test_a_run_that_meets_every_demand_passes() -> None:
    assert failed(good()) == []


@pytest.mark.parametrize(
    ("change", "demand"),
    [
        (with_row("litellm", "unary_c64", rps=7000 / 39), "litellm: requests/s"),
        (with_row("litellm", "unary_c1", p50_ms=0.06 + 24 * 0.24), "litellm: added p50, 1 connection"),
        (with_row("litellm", "agent_92k", p50_ms=0.15 + 11 * 0.4), "litellm: added p50, 92 KB"),
        (with_row("portkey", "unary_c64", rps=7000 / 9), "portkey: requests/s"),
        (with_row("portkey", "unary_c1", p50_ms=0.06 + 3 * 0.24), "portkey: added p50"),
        (with_row("p_aiohttp", "unary_c64", rps=7000 / 0.69), "p_aiohttp: requests/s"),
        (with_row("p_aiohttp", "stream_200", cpu_us_per_unit=38 / 1.51), "p_aiohttp: CPU per chunk"),
        (with_row("fleet", "stream_200", chunks_per_second=0.97 * 18535), "direct: chunks/s"),
        (with_row("fleet", "stream_200", p50_ms=1.0), "direct: age of a chunk"),
        (with_row("fleet", "stream_1000", first_chunk_p99_ms=250), "itself: first chunk p99"),
        (with_row("fleet", "stream_2000", rss_mb=200), "itself: memory with 2,000 streams"),
        (with_row("fleet", "agent_92k", failed=1), "itself: answers that were not whole"),
        (with_start(idle_rss_mb=60), "itself: memory when idle"),
        (with_start(start_seconds=1), "itself: exec to /healthz"),
        (with_stalled(1), "itself: memory of a stalled reader"),
    ],
)
def test_a_run_that_misses_one_demand_fails_by_that_one(change: Change, demand: str) -> None:
    missed = failed(change(good()))
    assert len(missed) == 1
    assert missed[0].startswith(demand)


def test_a_stream_that_is_not_whole_fails_two_demands() -> None:
    missed = failed(with_row("fleet", "stream_1000", failed=1)(good()))
    assert missed == ["itself: whole streams of 1,000 × 50 ms", "itself: answers that were not whole, all cases"]


@pytest.mark.parametrize("target", ["direct", "fleet", "p_aiohttp", "portkey", "litellm"])
def test_a_target_that_was_not_measured_fails_what_is_demanded_against_it(target: str) -> None:
    missed = [one for one in verdicts(without(target)(good())) if not one.holds]
    assert missed
    assert {one.shown for one in missed} == {"not measured"}
    against = {one.demand.against for one in missed}
    if target == "fleet":
        assert len(missed) == len(DEMANDS)
    elif target == "direct":
        assert against == {"direct", "litellm", "portkey"}
    else:
        assert against == {target}


def test_nothing_measured_is_nothing_met() -> None:
    empty = Results(date="", seconds=0, machine={}, versions={}, priority="")
    assert not any(one.holds for one in verdicts(empty))


def test_not_a_number_is_not_met() -> None:
    assert not any(Verdict(demand, float("nan")).holds for demand in DEMANDS)


def test_a_peer_without_answers_gives_no_ratio() -> None:
    assert "p_aiohttp: requests/s, 64 connections" in failed(with_row("p_aiohttp", "unary_c64", rps=0)(good()))


def test_a_quick_run_is_asked_only_what_it_measures() -> None:
    quick = without("litellm")(without("portkey")(good()))
    said = verdicts(quick, ("direct", "p_aiohttp", "itself"))
    assert all(one.holds for one in said)
    assert {one.demand.against for one in said} == {"direct", "p_aiohttp", "itself"}


def test_every_demand_of_the_issue_has_its_bound() -> None:
    bounds = [f"{demand.against} {demand.bound}" for demand in DEMANDS]
    assert bounds == [
        *("litellm ≥ 40 ×", "litellm ≥ 25 ×", "litellm ≥ 12 ×", "portkey ≥ 10 ×", "portkey ≥ 4 ×"),
        *("p_aiohttp ≥ 0.7 ×", "p_aiohttp ≤ 1.5 ×", "direct ≥ 0.98 ×", "direct < 1 ms"),
        *("itself ≥ 1000", "itself < 250 ms", "itself < 200 MB", "itself < 1 MB", "itself < 60 MB", "itself < 1 s"),
        "itself ≤ 0",
    ]


def test_a_row_names_what_the_issue_names() -> None:
    row = Row(
        target="fleet", case="unary_c1", rps=1, p50_ms=1, p99_ms=1, rss_mb=1, cpu_us_per_unit=1, asked=1, failed=0
    )
    named = {"target", "case", "rps", "p50_ms", "p99_ms", "rss_mb", "cpu_us_per_unit"}
    assert named <= set(msgspec.to_builtins(row))
    assert CASES == ("unary_c1", "unary_c64", "agent_92k", "stream_200", "stream_1000", "stream_2000")


def test_the_median_is_taken_field_by_field_and_none_stays_none() -> None:
    def row(rps: float, p50_ms: float | None) -> Row:
        return Row(
            target="a", case="b", rps=rps, p50_ms=p50_ms, p99_ms=2, rss_mb=3, cpu_us_per_unit=4, asked=5, failed=0
        )

    middle, unknown = medians([row(1, 9), row(3, 7), row(2, 8)]), medians([row(1, None), row(2, None)])
    assert [(one.rps, one.p50_ms, one.repetitions) for one in middle] == [(2, 8, 3)]
    assert [(one.rps, one.p50_ms, one.repetitions) for one in unknown] == [(1.5, None, 2)]


def test_one_failure_in_three_repetitions_is_not_forgotten() -> None:
    base = good().row("fleet", "unary_c1")
    assert base is not None
    thrice = [msgspec.structs.replace(base, failed=failed) for failed in (0, 2, 0)]
    assert [row.failed for row in medians(thrice)] == [2]


def test_starts_are_medians_too() -> None:
    starts = [Start(target="fleet", start_seconds=seconds, idle_rss_mb=40) for seconds in (0.3, 0.9, 0.4)]
    assert [(one.start_seconds, one.repetitions) for one in median_starts(starts)] == [(0.4, 3)]


def test_results_survive_their_file(tmp_path: Path) -> None:
    save(tmp_path / "out/gateway.json", good())
    assert load(tmp_path / "out/gateway.json") == good()


def test_what_was_recorded_for_the_project_reads_and_is_on_its_page() -> None:
    results = load(table.RESULTS)
    assert {row.case for row in results.rows if row.target == "fleet"} == set(CASES)
    assert table.put(table.PAGE.read_text(), table.tables(results)) == table.PAGE.read_text()


def test_the_page_keeps_what_people_wrote() -> None:
    page = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
    fresh = table.put(page, "new\n")
    assert fresh == f"before\n{table.BEGIN}\n\nnew\n\n{table.END}\nafter\n"
    assert table.put(fresh, "new\n") == fresh
    with pytest.raises(ValueError, match="the page wants"):
        table.put("no markers", "new\n")


def test_a_table_says_no_where_a_demand_is_not_met() -> None:
    assert "**no**" not in table.tables(good())
    assert "**no**" in table.tables(with_stalled(3)(good()))


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES, RESPONSES], ids=lambda one: one.path)
@pytest.mark.parametrize("case", ALL, ids=lambda one: one.name)
def test_no_text_can_be_remembered(case: object, dialect: object) -> None:
    """The first words of every text are a number that is used once."""
    body = case.body(dialect, "mock").decode()  # type: ignore[attr-defined]
    texts = re.findall(r'"(?:content|input)":"([^"]*)"', body)
    assert texts
    assert all(text.startswith(FRESH) for text in texts)


def test_the_agents_request_has_its_size_and_small_ones_stay_small() -> None:
    assert 88_000 <= len(AGENT_92K.body(CHAT, "mock")) <= 96_000
    assert len(UNARY_C1.body(CHAT, "mock")) < 200
    assert b"@@chunks=64,delay=10@@" in STREAM_200.body(MESSAGES, "mock")


def test_a_quick_run_does_not_overwrite_the_projects_results() -> None:
    assert QUICK_RESULTS != table.RESULTS
    ignored = subprocess.run(
        ["git", "-C", str(ROOT), "check-ignore", "-q", str(QUICK_RESULTS)], capture_output=True, check=False
    )
    assert ignored.returncode in (0, 128)  # 128: not a checkout


@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / "bench/gateway").glob("*.lock")), *sorted((ROOT / "bench/gateway/portkey").glob("*.json"))],
    ids=lambda path: path.name,
)
def test_a_lock_names_no_place_to_fetch_from(path: Path) -> None:
    text = path.read_text()
    assert '"resolved"' not in text
    assert "--index-url" not in text
    if path.suffix == ".lock":
        assert "://" not in text
        assert text.count("==") <= text.count("--hash=")
