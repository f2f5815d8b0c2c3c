"""History, in real SQLite files: kept as it was, bounded, with gaps as gaps; and no file ever takes the agent down."""

import itertools
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.node.agent.columns import COLUMNS, FIELDS, Kind, row_of
from fleet.node.agent.history import History, HistoryProblem, slot_of
from fleet.node.agent.historyfile import SCHEMA, open_history
from fleet.node.agent.seriesquery import MOST_VALUES, SeriesQuery, parse_series_query
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.snapshot import (
    Disk,
    Memory,
    ServiceReading,
    SidecarReading,
    Snapshot,
    Swap,
    Thermal,
)

START = 1_795_348_800
"""A whole minute, and FakeClock's beginning."""


def a_sample(at: float, **changes) -> Snapshot:
    return Snapshot(node="mini-1", at_seconds=at, agent_version="0", readings="macos", **changes)


def a_history(path: Path, clock: FakeClock | None = None, **options) -> History:
    return History(path / "history.sqlite3", clock or FakeClock(), node="mini-1", pace_seconds=5.0, **options)


def asked(*fields: str, since: float = START, until: float = START + 3600, step: float | None = None) -> SeriesQuery:
    return SeriesQuery(since_seconds=since, until_seconds=until, step_seconds=step, fields=fields)


def remember(history: History, clock: FakeClock, samples) -> None:
    """Append a sample every five seconds; None is a sample that was never taken."""
    for changes in samples:
        if changes is not None:
            history.append(a_sample(clock.now().timestamp(), **changes))
        clock.advance(5)
    history.flush()


def test_what_was_sampled_is_what_is_told(tmp_path):
    clock = FakeClock()
    history = a_history(tmp_path, clock)
    remember(history, clock, [{"cpu_ratio": 0.1}, {"cpu_ratio": None}, {"cpu_ratio": 0.3}])
    series = history.series(asked("cpu_ratio", "cpu_ratio.max"))
    assert (series.node, series.start_seconds, series.step_seconds) == ("mini-1", START, 5)
    assert series.values["cpu_ratio"][:3] == series.values["cpu_ratio.max"][:3] == (0.1, None, 0.3)


def test_a_gap_is_a_gap(tmp_path):
    clock = FakeClock()
    history = a_history(tmp_path, clock)
    remember(history, clock, [{"load_1m": 1.0}, None, None, {"load_1m": 2.0}])
    assert history.series(asked("load_1m")).values["load_1m"][:4] == (1.0, None, None, 2.0)


def test_a_reading_of_0_is_0_and_not_a_gap(tmp_path):
    clock = FakeClock()
    history = a_history(tmp_path, clock)
    remember(history, clock, [{"cpu_ratio": 0.0, "thermal": Thermal(pressure_level=0)}])
    values = history.series(asked("cpu_ratio", "thermal_pressure_level")).values
    assert (values["cpu_ratio"][0], values["thermal_pressure_level"][0]) == (0.0, 0)


def test_a_minute_is_a_mean_a_least_and_a_most_the_highest_level_and_the_last_count(tmp_path):
    clock = FakeClock()
    history = a_history(tmp_path, clock)
    remember(
        history,
        clock,
        [
            {
                "load_1m": float(index),
                "memory": Memory(pressure_level=4 if index == 3 else 1),
                "swap": Swap(swapouts_bytes_total=1000 * index),
            }
            for index in range(12)
        ],
    )
    fields = ("load_1m", "load_1m.min", "load_1m.max", "memory_pressure_level", "swapouts_bytes_total")
    series = history.series(asked(*fields, step=60))
    assert series.step_seconds == 60
    assert [series.values[name][0] for name in fields] == [5.5, 0.0, 11.0, 4, 11_000]


def test_a_counter_that_began_anew_within_a_minute_is_told_as_it_was_last(tmp_path):
    clock = FakeClock()
    history = a_history(tmp_path, clock)
    remember(history, clock, [{"swap": Swap(swapins_bytes_total=count)} for count in (9000, 9500, 10)])
    assert history.series(asked("swapins_bytes_total")).values["swapins_bytes_total"] == (9000, 9500, 10)
    assert history.series(asked("swapins_bytes_total", step=60)).values["swapins_bytes_total"] == (10,)


def test_an_hour_of_minutes_weighs_a_minute_by_its_samples(tmp_path):
    clock = FakeClock()
    history = a_history(tmp_path, clock)
    remember(history, clock, [{"load_1m": 1.0}] * 12 + [{"load_1m": 5.0}] + [None] * 11)
    (mean,) = history.series(asked("load_1m", since=START, until=START + 3600, step=3600)).values["load_1m"]
    assert mean == pytest.approx(17 / 13)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 100)), min_size=1, max_size=60), st.integers(1, 12))
def test_every_step_tells_the_least_and_the_most_of_the_same_samples(values, every):
    with tempfile.TemporaryDirectory() as folder:
        clock = FakeClock()
        history = a_history(Path(folder), clock)
        remember(history, clock, [{"load_1m": value} for value in values])
        for step in (5 * every, 60 * every):
            series = history.series(asked("load_1m.min", "load_1m.max", step=step))
            size = series.step_seconds // 5
            offset = (START - series.start_seconds) // 5
            padded = [None] * offset + values
            chunks = [padded[at : at + size] for at in range(0, len(padded), size)]
            for index, chunk in enumerate(chunks):
                known = [value for value in chunk if value is not None]
                assert series.values["load_1m.min"][index] == min(known, default=None)
                assert series.values["load_1m.max"][index] == max(known, default=None)
        history.close()


def test_everything_there_is_begins_with_the_first_sample(tmp_path):
    clock = FakeClock()
    clock.advance(25)
    history = a_history(tmp_path, clock)
    remember(history, clock, [{"load_1m": 1.0}] * 2)
    series = history.series(asked("load_1m", since=0))
    assert (series.start_seconds, series.values["load_1m"]) == (START + 25, (1.0, 1.0))


def test_what_was_flushed_is_there_after_the_process_was_killed_and_the_rest_of_it_after_a_good_end(tmp_path):
    clock = FakeClock()
    history = a_history(tmp_path, clock)
    remember(history, clock, [{"load_1m": 1.0}])
    history.append(a_sample(clock.now().timestamp(), load_1m=2.0))
    assert a_history(tmp_path, clock).series(asked("load_1m")).values["load_1m"] == (1.0,)
    history.close()
    assert a_history(tmp_path, clock).series(asked("load_1m")).values["load_1m"][:2] == (1.0, 2.0)


def test_a_minute_that_a_restart_cut_is_whole(tmp_path):
    clock = FakeClock()
    for load in (2.0, 4.0):
        history = a_history(tmp_path, clock)
        remember(history, clock, [{"load_1m": load}] * 3)
        history.close()
    series = a_history(tmp_path, clock).series(asked("load_1m", "load_1m.min", step=60))
    assert (series.values["load_1m"], series.values["load_1m.min"]) == ((3.0,), (2.0,))


def test_both_tables_are_capped_by_rows_and_the_oldest_go_first(tmp_path):
    clock = FakeClock()
    history = a_history(tmp_path, clock, kept_samples=20, kept_minutes=3)
    remember(history, clock, [{"load_1m": float(index)} for index in range(120)])
    assert (history.reading.samples, history.reading.minutes) == (20, 3)
    fine = history.series(asked("load_1m", since=START + 500, step=5))
    assert fine.values["load_1m"][:20] == tuple(float(index) for index in range(100, 120))
    coarse = history.series(asked("load_1m.max", since=0, step=60))
    assert coarse.values["load_1m.max"] == (95.0, 107.0, 119.0)


def test_a_time_before_the_samples_is_told_in_minutes(tmp_path):
    clock = FakeClock()
    history = a_history(tmp_path, clock, kept_samples=20)
    remember(history, clock, [{"load_1m": float(index)} for index in range(120)])
    series = history.series(asked("load_1m.max", since=START, step=5))
    assert series.step_seconds == 60
    assert series.values["load_1m.max"] == tuple(float(12 * minute + 11) for minute in range(10))


def test_the_file_is_capped_by_bytes_and_goes_on_with_less(tmp_path):
    clock = FakeClock()
    history = a_history(tmp_path, clock, most_bytes=300_000)
    full = Memory(**dict.fromkeys(Memory.__struct_fields__, 2**40 + 1))
    for _ in range(60):
        remember(history, clock, [{"load_1m": 1.0, "memory": full}] * 60)
    reading = history.reading
    assert (reading.paused, reading.lost_total, reading.resets_total) == (None, 0, 0)
    assert 100 < reading.samples < 3600
    assert (
        history.series(asked("load_1m", since=clock.now().timestamp() - 60, until=1e10)).values["load_1m"]
        == (1.0,) * 12
    )
    history.close()
    assert (tmp_path / "history.sqlite3").stat().st_size <= 300_000


def test_a_full_disk_pauses_it_and_room_lets_it_go_on(tmp_path):
    """A share so small that not even the tables fit is what a full disk says: SQLITE_FULL."""
    clock = FakeClock()
    full = a_history(tmp_path, clock, most_bytes=4096)
    remember(full, clock, [{"load_1m": 1.0}] * 3)
    assert "full" in full.reading.paused
    assert (full.reading.lost_total, full.reading.resets_total) == (3, 0)
    with pytest.raises(HistoryProblem, match="full"):
        full.series(asked("load_1m"))
    full._most_bytes = 10**7
    remember(full, clock, [{"load_1m": 2.0}])
    assert full.reading.lost_total == 4, "it waits a minute before it tries again"
    clock.advance(60)
    remember(full, clock, [{"load_1m": 3.0}])
    assert full.reading.paused is None
    assert 3.0 in full.series(asked("load_1m")).values["load_1m"]


def test_a_folder_that_is_not_there_pauses_it(tmp_path):
    clock = FakeClock()
    history = a_history(tmp_path / "absent", clock)
    remember(history, clock, [{"load_1m": 1.0}])
    assert history.reading.paused
    (tmp_path / "absent").mkdir()
    clock.advance(60)
    remember(history, clock, [{"load_1m": 1.0}])
    assert history.reading.paused is None


@pytest.mark.parametrize("damage", ["not a database", "a page in the middle"])
def test_a_broken_file_is_put_aside_and_begun_anew(tmp_path, damage):
    clock, path = FakeClock(), tmp_path / "history.sqlite3"
    history = a_history(tmp_path, clock)
    for _ in range(10):
        remember(history, clock, [{"load_1m": 1.0}] * 60)
    history.close()
    raw = bytearray(path.read_bytes())
    if damage == "not a database":
        raw[:200] = b"x" * 200
    else:
        raw[4096 : len(raw) // 2] = b"\xff" * (len(raw) // 2 - 4096)
    path.write_bytes(raw)
    history = a_history(tmp_path, clock)
    remember(history, clock, [{"load_1m": 2.0}])
    remember(history, clock, [{"load_1m": 3.0}])
    assert (history.reading.resets_total, history.reading.paused) == (1, None)
    assert (tmp_path / "history.sqlite3.broken").stat().st_size == len(raw)
    assert 3.0 in history.series(asked("load_1m")).values["load_1m"]


def test_a_file_that_breaks_while_it_is_open_is_put_aside_too(tmp_path):
    clock, path = FakeClock(), tmp_path / "history.sqlite3"
    history = a_history(tmp_path, clock)
    for _ in range(10):
        remember(history, clock, [{"load_1m": 1.0}] * 60)
    history._close()
    size = path.stat().st_size
    history._db = sqlite3.connect(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    try:
        history.series(asked("load_1m"))
    except HistoryProblem:
        pass
    remember(history, clock, [{"load_1m": 2.0}])
    remember(history, clock, [{"load_1m": 3.0}])
    assert (history.reading.resets_total, history.reading.paused) == (1, None)


def test_an_earlier_fleets_file_gets_the_columns_that_it_lacks(tmp_path):
    path = tmp_path / "history.sqlite3"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE samples (at INTEGER PRIMARY KEY, load_1m)")
    db.execute("INSERT INTO samples VALUES (?, 7.0)", (START,))
    db.commit()
    db.close()
    clock = FakeClock()
    history = a_history(tmp_path, clock)
    clock.advance(5)
    remember(history, clock, [{"load_1m": 1.0, "cpu_ratio": 0.5}])
    values = history.series(asked("load_1m", "cpu_ratio")).values
    assert (values["load_1m"][:2], values["cpu_ratio"][:2]) == ((7.0, 1.0), (None, 0.5))
    assert history.reading.resets_total == 0
    history.close()
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (SCHEMA,)


def test_a_later_fleets_file_is_used_as_it_is(tmp_path):
    path = tmp_path / "history.sqlite3"
    db = open_history(path, most_bytes=10**7)
    db.execute("ALTER TABLE samples ADD COLUMN of_tomorrow")
    db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    db.commit()
    db.close()
    clock = FakeClock()
    history = a_history(tmp_path, clock)
    remember(history, clock, [{"load_1m": 1.0}])
    assert history.reading.paused is None
    history.close()
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (SCHEMA + 1,)


def test_a_clock_that_was_never_set_writes_nothing(tmp_path):
    history = a_history(tmp_path)
    history.append(a_sample(12.0, load_1m=1.0))
    history.flush()
    assert (history.reading.lost_total, history.reading.samples) == (1, None)


def test_a_clock_that_was_years_ahead_does_not_push_out_what_is_true(tmp_path):
    clock = FakeClock()
    history = a_history(tmp_path, clock, kept_samples=10)
    for index in range(10):
        history.append(a_sample(START + 10**9 + 5 * index, load_1m=99.0))
    history.flush()
    for index in range(15):
        history.append(a_sample(START + 5 * index, load_1m=float(index)))
    history.flush()
    clock.advance(75)
    values = history.series(asked("load_1m", since=START, until=START + 75)).values["load_1m"]
    assert [value for value in values if value is not None][-10:] == [float(index) for index in range(5, 15)]
    assert history.reading.samples == 20


def test_an_answer_is_bounded_and_the_step_grows_instead(tmp_path):
    clock = FakeClock()
    history = a_history(tmp_path, clock)
    remember(history, clock, [{"load_1m": 1.0}])
    clock.advance(7 * 86400)
    remember(history, clock, [{"load_1m": 2.0}])
    fields = tuple(FIELDS)
    series = history.series(asked(*fields, since=0, until=10**11, step=1))
    assert sum(len(column) for column in series.values.values()) <= MOST_VALUES + len(fields)
    assert series.values["load_1m"][0] == 1.0
    assert series.values["load_1m"][-1] == 2.0


def test_a_history_without_rows_has_series_without_values(tmp_path):
    assert a_history(tmp_path).series(asked("load_1m")).values == {"load_1m": ()}


@settings(deadline=None)
@given(st.floats(0, 5, exclude_max=True), st.floats(-2e-4, 2e-4), st.integers(2, 3000))
def test_samples_that_come_on_pace_fill_every_place_whatever_the_clocks_drift(phase, drift, count):
    """One place in a thousand may be doubled or left out when a drift has added up to half a place, no more."""
    before, places = None, []
    for index in range(count):
        at = START + phase + index * 5 * (1 + drift)
        place = slot_of(at, before, pace_seconds=5)
        before = (place, at)
        places.append(place)
    odd = sum(1 for one, other in itertools.pairwise(places) if other - one != 5)
    assert odd <= 1 + count * abs(drift) * 2
    assert abs(places[-1] - before[1]) <= 10


def test_a_lost_sample_leaves_its_place_empty():
    before = (0, 1.0)
    assert slot_of(11.0, before, pace_seconds=5) == 10


def test_a_row_is_what_the_sample_says_and_unknown_stays_unknown():
    assert set(row_of(a_sample(1.0))) == {None}
    row = dict(
        zip(
            (column.name for column in COLUMNS),
            row_of(
                a_sample(
                    1.0,
                    disks=(Disk(mount="/", free_bytes=9), Disk(mount="/models", free_bytes=4), Disk(mount="/gone")),
                    services=(
                        ServiceReading(name="a", label="a", up=True, footprint_bytes=5),
                        ServiceReading(name="b", label="b", up=True, footprint_bytes=6),
                        ServiceReading(name="c", label="c", up=False),
                    ),
                    sidecars=(SidecarReading(name="x", model="m", port=1, ready=True),),
                    memory=Memory(wired_bytes=2**70),
                )
            ),
            strict=True,
        )
    )
    assert (row["disk_free_bytes"], row["services_footprint_bytes"], row["services_down"]) == (4, 11, 1)
    assert (row["sidecars_ready"], row["memory_wired_bytes"]) == (1, None)


def test_names_of_columns_say_their_units_and_counters_are_named_so():
    for column in COLUMNS:
        assert column.name.isidentifier()
        assert (column.kind is Kind.COUNTER) == column.name.endswith(("_total", "_timestamp_seconds")), column.name
        assert (column.kind is Kind.LEVEL) == column.name.endswith("_level"), column.name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("since=abc", "since is not a number"),
        ("since=-5", "since is not a number"),
        ("since=1e9", "since is not a number"),
        ("until=nan", "until is not a number"),
        ("step=0", "step is 0"),
        ("since=10&until=10", "not before"),
        ("since=1&since=2", "twice"),
        ("fields=cpu_ratio,heat", "no field 'heat'"),
        ("fields=at;DROP TABLE samples", "no field"),
        ("limit=5", "no parameter 'limit'"),
        ("&", "no parameter ''"),
    ],
)
def test_an_odd_query_is_refused_in_words(text, says):
    refusal = parse_series_query(text, now_seconds=1000.0)
    assert refusal.status == 400
    assert says in refusal.text


def test_a_query_has_defaults_and_takes_a_comma_in_either_writing():
    query = parse_series_query("", now_seconds=10_000.0)
    assert (query.since_seconds, query.until_seconds, query.step_seconds) == (6400.0, 10_000.0, None)
    assert len(query.fields) == len(COLUMNS)
    for comma in (",", "%2C"):
        query = parse_series_query(f"since=5&until=20.5&step=5&fields=cpu_ratio{comma}load_1m.max", now_seconds=0.0)
        assert (query.since_seconds, query.until_seconds, query.step_seconds) == (5.0, 20.5, 5.0)
        assert query.fields == ("cpu_ratio", "load_1m.max")


@given(st.text(max_size=60))
def test_no_query_raises(text):
    parse_series_query(text, now_seconds=1000.0)


@given(st.floats(0, 1e11), st.floats(0, 1e11), st.floats(1e-9, 1e11), st.lists(st.sampled_from(sorted(FIELDS))))
@settings(max_examples=50, deadline=None)
def test_every_query_that_is_allowed_has_a_bounded_answer(one, other, step, fields):
    since, until = sorted((one, other))
    if since == until:
        return
    text = f"since={since:.6f}&until={until:.6f}&step={max(step, 1e-6):.6f}&fields={','.join(fields)}"
    query = parse_series_query(text, now_seconds=START + 100.0)
    if not isinstance(query, SeriesQuery):
        return
    series = ROWS.series(query)
    assert sum(len(column) for column in series.values.values()) <= MOST_VALUES + 2 * len(query.fields)


def _rows() -> History:
    clock = FakeClock()
    history = a_history(Path(tempfile.mkdtemp()), clock)
    remember(history, clock, [{"load_1m": 1.0}] * 20)
    return history


ROWS = _rows()
