"""The book and its events: `since` outlives the command, a change is told once, a torn line is lost alone."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fleet.control.watch.book import LAPTOP_CHECK, HealthBook, Pages, turned
from fleet.control.watch.eventrows import EventRow, rows_of
from fleet.vocabulary.contracts.snapshot import Memory, Snapshot
from fleet.vocabulary.eventfiles import KEPT_DAYS, EventFiles
from fleet.vocabulary.health.sample import Sample, Silence
from fleet.vocabulary.health.state import Transition
from fleet.vocabulary.health.step import faults
from fleet.vocabulary.names import Health, NodeName

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINI = NodeName("mini-1")
LOW = NodeName("mini-2")


def pressed(at: datetime, level: int = 2) -> Sample:
    snapshot = Snapshot(
        node=MINI,
        at_seconds=at.timestamp(),
        agent_version="0",
        readings="macos",
        memory=Memory(pressure_level=level),
    )
    return Sample(at_seconds=at.timestamp(), snapshot=snapshot)


def a_change(at: datetime = NOW, *, after: Health = Health.WARN, **changes: object) -> Transition:
    settings: dict[str, object] = {
        "at_seconds": at.timestamp(),
        "node": "mini-1",
        "check": "thermal",
        "before": Health.OK,
        "after": after,
        "began_seconds": at.timestamp(),
        "since_seconds": at.timestamp(),
        "text": "hot",
    }
    return Transition(**{**settings, **changes})  # type: ignore[arg-type]


def test_since_outlives_the_command(tmp_path: Path) -> None:
    HealthBook(tmp_path).look({MINI: pressed(NOW)}, NOW, known=[MINI])
    later = NOW + timedelta(minutes=30)
    states = HealthBook(tmp_path).look({MINI: pressed(later)}, later, known=[MINI])
    assert [fault.since_seconds for fault in faults(states[MINI])] == [NOW.timestamp()]
    assert [one.check for one in EventFiles(tmp_path).read()] == ["memory_pressure"]


def test_two_watchers_at_once_tell_a_change_once(tmp_path: Path) -> None:
    books = [HealthBook(tmp_path) for _ in range(8)]
    threads = [
        threading.Thread(target=book.look, args=({MINI: pressed(NOW)}, NOW), kwargs={"known": [MINI]}) for book in books
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([*EventFiles(tmp_path).read()]) == 1


def test_a_look_at_some_nodes_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    book = HealthBook(tmp_path)
    book.look({MINI: pressed(NOW)}, NOW, known=[MINI, LOW])
    states = book.look({LOW: pressed(NOW, 1)}, NOW, known=[MINI, LOW])
    assert set(states) == {MINI, LOW}


def test_a_node_that_left_the_inventory_leaves_no_open_fault_after_a_day(tmp_path: Path) -> None:
    book = HealthBook(tmp_path)
    book.look({MINI: pressed(NOW)}, NOW, known=[MINI])
    assert set(book.look({}, NOW + timedelta(hours=23), known=[LOW])) == {MINI}
    later = NOW + timedelta(hours=24)
    assert book.look({}, later, known=[LOW]) == {}
    assert [row.until for row in rows_of(EventFiles(tmp_path).read(), later)] == [later]


@pytest.mark.parametrize("text", ["", "{", '{"nodes": 7}', '{"nodes": {"mini-1": {"tracks": [[1]]}}}'])
def test_a_broken_book_is_begun_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert HealthBook(tmp_path).look({MINI: pressed(NOW)}, NOW, known=[MINI])[MINI].tracks
    assert msgspec.json.decode((tmp_path / "state.json").read_bytes(), type=Pages).nodes


def test_a_disk_that_takes_nothing_costs_only_the_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    book = HealthBook(tmp_path / "file" / "events")
    book.look({MINI: pressed(NOW)}, NOW, known=[MINI])
    states = book.look({MINI: pressed(NOW + timedelta(seconds=50))}, NOW + timedelta(seconds=50), known=[MINI])
    assert faults(states[MINI])[0].since_seconds == NOW.timestamp()


def test_an_offline_laptop_is_one_event_and_no_dead_node() -> None:
    silence = {MINI: Silence(), LOW: Silence()}
    pages, _ = turned(Pages(), {MINI: pressed(NOW, 1), LOW: pressed(NOW, 1)}, NOW.timestamp(), known=[MINI, LOW])
    told: list[Transition] = []
    for seconds in range(5, 300, 5):
        pages, changes = turned(pages, silence, NOW.timestamp() + seconds, known=[MINI, LOW], laptop="no network")
        told += changes
    for seconds in range(300, 359, 5):  # it is back, and the nodes are not there yet
        pages, changes = turned(pages, silence, NOW.timestamp() + seconds, known=[MINI, LOW])
        told += changes
    assert [(one.node, one.check, one.after) for one in told] == [
        ("", LAPTOP_CHECK, Health.CRITICAL),
        ("", LAPTOP_CHECK, Health.OK),
    ]
    (row,) = rows_of(told, NOW)
    assert (row.text, row.lasted_seconds) == ("this laptop is offline: no network", 295.0)
    pages, changes = turned(pages, silence, NOW.timestamp() + 365, known=[MINI, LOW])
    assert {one.check for one in changes} == {"node_unreachable"}


def test_after_a_sleep_the_nodes_have_their_minute_again() -> None:
    pages, _ = turned(Pages(), {MINI: pressed(NOW, 1)}, NOW.timestamp(), known=[MINI])
    woken = NOW.timestamp() + 8 * 3600
    pages, told = turned(pages, {MINI: Silence()}, woken, known=[MINI], slept=True)
    pages, more = turned(pages, {MINI: Silence()}, woken + 55, known=[MINI])
    assert (told, more) == ((), ())


def test_what_is_appended_is_read_in_order_by_day(tmp_path: Path) -> None:
    changes = [a_change(NOW + timedelta(hours=6 * hours)) for hours in range(8)]
    files = EventFiles(tmp_path)
    files.append(changes[:3])
    files.append(changes[3:])
    assert [*files.read()] == changes
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "2026-11-22.jsonl",
        "2026-11-23.jsonl",
        "2026-11-24.jsonl",
    ]


@given(st.integers(min_value=0, max_value=400), st.binary(max_size=20))
def test_a_torn_last_line_is_lost_alone(tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes) -> None:
    """Wherever a crash cut the file, whatever lies after it: what was whole is read, and what comes next, too."""
    folder = tmp_path_factory.mktemp("events")
    files = EventFiles(folder)
    files.append([a_change(), a_change(text="second")])
    path = folder / "2026-11-22.jsonl"
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    torn = whole[: first + min(cut, len(whole) - first - 2)] + junk.replace(b"\n", b"")
    assume(torn.rstrip() != whole.rstrip())  # junk may be just what was cut off
    path.write_bytes(torn)
    files.append([a_change(text="third")])
    assert [one.text for one in files.read()] == ["hot", "third"]


def test_old_days_and_days_beyond_the_size_are_dropped_and_the_newest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = EventFiles(tmp_path)
    files.append([a_change(NOW - timedelta(days=days)) for days in (KEPT_DAYS + 1, KEPT_DAYS - 1, 1, 0)])
    files.prune(NOW)
    assert len([*files.read()]) == 3
    monkeypatch.setattr("fleet.vocabulary.eventfiles.MOST_BYTES", 1)
    files.prune(NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["2026-11-22.jsonl"]


def test_a_day_that_grows_large_goes_on_in_further_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.vocabulary.eventfiles._LARGEST_FILE_BYTES", 10)
    files = EventFiles(tmp_path)
    for index in range(12):
        files.append([a_change(text=str(index))])
    assert [one.text for one in files.read()] == [str(index) for index in range(12)]
    assert len([*tmp_path.iterdir()]) == 12


def rows(*changes: Transition) -> list[EventRow]:
    return [*rows_of(changes, NOW + timedelta(hours=1))]


def test_a_row_is_a_fault_from_its_beginning_to_its_end() -> None:
    end = NOW + timedelta(minutes=5)
    over = {"before": Health.WARN, "began_seconds": NOW.timestamp(), "since_seconds": end.timestamp()}
    (row,) = rows(a_change(), a_change(end, after=Health.OK, **over))
    assert (row.since, row.until, row.lasted_seconds, row.health, row.text) == (NOW, end, 300.0, Health.WARN, "hot")


def test_what_lasts_is_counted_until_now() -> None:
    (row,) = rows(a_change())
    assert (row.until, row.lasted_seconds) == (None, 3600.0)


def test_a_row_has_the_words_of_its_worst_time() -> None:
    began = {"began_seconds": NOW.timestamp()}
    worse = a_change(NOW + timedelta(minutes=1), after=Health.CRITICAL, text="hotter", **began)
    milder = a_change(NOW + timedelta(minutes=2), after=Health.WARN, text="hot again", **began)
    (row,) = rows(a_change(), worse, milder)
    assert (row.since, row.health, row.text) == (NOW, Health.CRITICAL, "hotter")


def test_an_end_whose_beginning_was_pruned_is_a_row_too() -> None:
    (row,) = rows(a_change(after=Health.OK, before=Health.WARN, began_seconds=NOW.timestamp() - 60))
    assert (row.lasted_seconds, row.until) == (60.0, NOW)
