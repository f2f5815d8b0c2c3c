"""What was missed while nobody looked is asked for once it is due, and a copy of it is kept, bounded."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopbacklink import LoopbackLink, LoopbackSession, a_node

from fleet.control.watch.backfill import DUE_SECONDS, FIRST_SECONDS, SPAN_SECONDS, Answered, Backfill, due
from fleet.control.watch.seriesfiles import KEPT_FIELDS, KEPT_SECONDS, SeriesFiles, rows_of
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.series import Series
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.secret import Secret

MINI = NodeName("mini-1")
NOW = 1_795_348_800
Serve = Callable[[bytes], tuple[int, list[bytes]]]


def a_series(start: int = NOW, *, step: int = 60, **values: tuple[float | None, ...]) -> Series:
    return Series(node=MINI, start_seconds=start, step_seconds=step, values=values or {"gpu_ratio": (0.5, None, 0.7)})


def kept(files: SeriesFiles, since: float = 0.0, until: float = 1e12) -> dict[int, dict[str, float]]:
    return {at: dict(row) for at, row in files.read(MINI, since_seconds=since, until_seconds=until)}


# ---------------------------------------------------------------- what is due


@given(st.one_of(st.none(), st.integers(NOW - 30 * 86400, NOW + 86400)), st.integers(NOW - 86400, NOW))
def test_what_is_due_goes_without_a_gap_up_to_now_and_no_further_back_than_is_kept(last: int | None, now: int) -> None:
    spans = due(last, now)
    since = now - FIRST_SECONDS if last is None else max(last, now - KEPT_SECONDS)
    assert bool(spans) == (now - since >= DUE_SECONDS)
    if spans:
        assert (spans[0][0], spans[-1][1]) == (since, now)
        assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
        assert all(0 < until - start <= SPAN_SECONDS for start, until in spans)


# ---------------------------------------------------------------- the copy


def test_a_copy_outlives_the_command_and_what_was_not_known_is_not_there(tmp_path: Path) -> None:
    SeriesFiles(tmp_path).add(
        MINI, a_series(gpu_ratio=(0.5, None, 0.7), foreign=(1.0, 2.0, 3.0), services_down=(None, None, 1))
    )
    assert kept(SeriesFiles(tmp_path)) == {NOW: {"gpu_ratio": 0.5}, NOW + 120: {"gpu_ratio": 0.7, "services_down": 1}}
    assert SeriesFiles(tmp_path).last_seconds(MINI) == NOW + 120
    assert kept(SeriesFiles(tmp_path), NOW + 1, NOW + 120) == {}
    assert SeriesFiles(tmp_path).last_seconds(NodeName("other/../node")) is None


def test_a_minute_that_was_not_over_is_replaced(tmp_path: Path) -> None:
    files = SeriesFiles(tmp_path)
    files.add(MINI, a_series(gpu_ratio=(0.1,)))
    files.add(MINI, a_series(gpu_ratio=(0.9,)))
    assert kept(files) == {NOW: {"gpu_ratio": 0.9}}


def test_a_copy_holds_a_week(tmp_path: Path) -> None:
    files = SeriesFiles(tmp_path)
    files.add(MINI, a_series(NOW - 2 * KEPT_SECONDS))
    files.add(MINI, a_series(NOW))
    assert [*kept(files)] == [NOW, NOW + 120]


values = st.lists(st.one_of(st.none(), st.floats(-1e18, 1e18)), max_size=20).map(tuple)
fields = st.dictionaries(st.sampled_from(KEPT_FIELDS[:3]), values)
Added = list[tuple[int, int, dict[str, tuple[float | None, ...]]]]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from([60, 600]), fields), max_size=5))
def test_what_is_read_is_what_was_added_last(tmp_path_factory: pytest.TempPathFactory, added: Added) -> None:
    files, model = SeriesFiles(tmp_path_factory.mktemp("series")), dict[int, dict[str, float]]()
    for minute, step, told in added:
        series = Series(node=MINI, start_seconds=NOW + 60 * minute, step_seconds=step, values=told)
        files.add(MINI, series)
        model |= {at: dict(row) for at, row in rows_of(series)}
    assert kept(files) == dict(sorted(model.items()))


def test_odd_series_are_no_rows() -> None:
    assert [*rows_of(a_series(step=0, gpu_ratio=(1.0, 2.0)))] == [
        (NOW, {"gpu_ratio": 1.0}),
        (NOW + 1, {"gpu_ratio": 2.0}),
    ]
    assert [*rows_of(a_series(foreign=(1.0,)))] == []
    assert [*rows_of(a_series(gpu_ratio=(1e300, None)))] == []


def test_a_broken_file_is_put_aside_and_one_of_an_older_release_gets_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "mini-1.db"
    path.write_bytes(b"no database" * 200)
    files = SeriesFiles(tmp_path)
    files.add(MINI, a_series())
    assert len(kept(files)) == 2
    assert (tmp_path / "mini-1.broken").read_bytes().startswith(b"no database")
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE minutes (at INTEGER PRIMARY KEY, gpu_ratio)")
    db.execute("INSERT INTO minutes VALUES (?, 0.25)", (NOW - 60,))
    db.commit()
    db.close()
    files.add(MINI, a_series(swap_used_bytes=(7,)))
    assert kept(files) == {NOW - 60: {"gpu_ratio": 0.25}, NOW: {"swap_used_bytes": 7}}


def test_a_folder_that_cannot_be_written_costs_only_the_copy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = SeriesFiles(tmp_path / "file")
    files.add(MINI, a_series())
    assert (files.last_seconds(MINI), kept(files)) == (None, {})


# ---------------------------------------------------------------- asking


def filler(tmp_path: Path, clock: FakeClock) -> Backfill:
    return Backfill(SeriesFiles(tmp_path), token_for=lambda node: Secret(f"token of {node.name}"), clock=clock)


def answered(link: LoopbackLink, port: int, now: float = NOW) -> Answered:
    return Answered(node=a_node(MINI, port=port), now_seconds=now, session=LoopbackSession(MINI, link))


def an_answer(data: object, status: str = "200 OK") -> bytes:
    body = msgspec.json.encode(data)
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def test_a_node_is_asked_for_a_day_then_for_what_was_missed_every_five_minutes(
    link: LoopbackLink, serve: Serve, tmp_path: Path
) -> None:
    port, asked = serve(an_answer(a_series(NOW - 120)))
    clock = FakeClock()
    fill = filler(tmp_path, clock)
    fill.catch_up([answered(link, port)])
    lines = [text.split(b" HTTP")[0].decode() for text in asked]
    assert lines == [
        f"GET /v1/series?since={NOW - 86400}&until={NOW - 43200}&step=60",
        f"GET /v1/series?since={NOW - 43200}&until={NOW}&step=60",
    ]
    assert b"Bearer token of mini-1" in asked[0]
    fill.catch_up([answered(link, port, NOW + 200)])
    clock.advance(DUE_SECONDS)
    fill.catch_up([answered(link, port, NOW + 300)])
    assert [text.split(b" HTTP")[0].decode() for text in asked[2:]] == [
        f"GET /v1/series?since={NOW}&until={NOW + 300}&step=60"
    ]


@pytest.mark.parametrize("answer", [an_answer({}, "404 Not Found"), an_answer({"node": 7}), b"", b"SSH-2.0\r\n"])
def test_an_agent_without_series_is_left_alone_for_five_minutes(
    link: LoopbackLink, serve: Serve, tmp_path: Path, answer: bytes
) -> None:
    port, asked = serve(answer)
    clock = FakeClock()
    fill = filler(tmp_path, clock)
    fill.catch_up([answered(link, port)])
    fill.catch_up([answered(link, port)])
    assert len(asked) == 1
    assert kept(SeriesFiles(tmp_path)) == {}


def test_what_a_real_agent_remembers_is_kept(
    link: LoopbackLink, start_agent: Callable[..., int], tmp_path: Path
) -> None:
    port = start_agent(MINI)
    clock = FakeClock()
    ends = time.monotonic() + 20
    while not (rows := kept(SeriesFiles(tmp_path))) and time.monotonic() < ends:
        filler(tmp_path, clock).catch_up([answered(link, port, time.time() + 60)])
        time.sleep(0.05)
    assert rows
    assert {"memory_pressure_level"} <= set(next(iter(rows.values())))
