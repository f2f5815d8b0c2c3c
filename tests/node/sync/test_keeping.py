"""Housekeeping decides: never what is referred to, always the same again, and within its limits."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fleet.node.sync.keeping import Entry, Found, Record, Verdict, decide
from fleet.vocabulary.contracts.desired import Keep

DAY = 86400.0
NOW = 1000 * DAY
ROOT = "/opt/fleet"
IDS = [f"{number:064x}" for number in range(12)]
TREES = [f"{ROOT}/envs/{number:064x}" for number in range(8)]
KINDS = st.sampled_from(["blob", "run", "sync", "mark", "rubbish"])
AGES = st.integers(0, 100).map(lambda days: NOW - days * DAY)


def a_record(
    number: int, *, days: float = 0.0, trees: tuple[int, ...] = (), size: int = 1, bad: bool = False
) -> Record:
    paths = [TREES[tree] for tree in trees]
    return Record(
        state_id=IDS[number],
        path=f"{ROOT}/releases/{IDS[number]}.json",
        saved_at_seconds=NOW - days * DAY,
        bad=bad,
        refers=frozenset(paths),
        sizes=dict.fromkeys(paths, size),
    )


@st.composite
def nodes(draw: st.DrawFn) -> Found:
    records = []
    for state_id in draw(st.lists(st.sampled_from(IDS), unique=True)):
        refers = draw(st.none() | st.frozensets(st.sampled_from(TREES)))
        records.append(
            Record(
                state_id=state_id,
                path=f"{ROOT}/releases/{state_id}.json",
                saved_at_seconds=draw(AGES),
                bad=draw(st.booleans()),
                refers=refers,
                sizes={path: draw(st.integers(0, 50)) for path in refers or ()},
            )
        )
    others = draw(st.lists(st.tuples(KINDS, AGES), max_size=60))
    entries = [Entry(path=path, kind="tree", changed_at_seconds=NOW) for path in TREES]
    entries += [
        Entry(path=f"{ROOT}/{kind}/{number}", kind=kind, changed_at_seconds=at)
        for number, (kind, at) in enumerate(others)
    ]
    known = st.sampled_from([record.state_id for record in records]) if records else st.none()
    return Found(
        records=tuple(records),
        entries=tuple(entries),
        current=draw(st.none() | known),
        under_way=draw(st.frozensets(known, max_size=2)) if records else frozenset(),
        in_use=draw(st.frozensets(st.sampled_from([entry.path for entry in entries]), max_size=3)),
    )


LIMITS = st.builds(
    Keep, releases=st.integers(0, 6), days=st.integers(0, 90).map(float), bytes_limit=st.integers(0, 200)
)


def after(found: Found, verdict: Verdict) -> Found:
    """The node when everything doomed is gone."""
    return replace(
        found,
        records=tuple(record for record in found.records if record.path not in verdict.doomed),
        entries=tuple(entry for entry in found.entries if entry.path not in verdict.doomed),
    )


@given(nodes(), LIMITS)
def test_nothing_that_a_kept_release_or_a_run_stands_on_is_ever_removed(found: Found, keep: Keep) -> None:
    verdict = decide(found, NOW, keep)
    kept = [record for record in found.records if record.state_id in verdict.kept]
    safe = {record.state_id for record in found.records} & {found.current, *found.under_way}
    assert safe <= set(verdict.kept)
    needed = {path for record in kept for path in record.refers or ()} | found.in_use
    assert not needed & set(verdict.doomed)
    assert not {record.path for record in kept} & set(verdict.doomed)


@given(nodes(), LIMITS)
def test_only_what_was_found_goes(found: Found, keep: Keep) -> None:
    known = {record.path for record in found.records} | {entry.path for entry in found.entries}
    assert set(decide(found, NOW, keep).doomed) <= known


@given(nodes(), LIMITS)
def test_a_second_round_finds_nothing_more_to_do(found: Found, keep: Keep) -> None:
    first = decide(found, NOW, keep)
    again = decide(after(found, first), NOW, keep)
    assert again.doomed == {}
    assert again.kept == first.kept


@given(nodes(), LIMITS, st.data())
def test_a_round_that_was_cut_off_ends_where_a_whole_one_does(found: Found, keep: Keep, data: st.DataObject) -> None:
    whole = decide(found, NOW, keep)
    done = data.draw(st.sets(st.sampled_from(sorted(whole.doomed)))) if whole.doomed else set()
    partly = after(found, Verdict(doomed=dict.fromkeys(done, "")))
    assert after(partly, decide(partly, NOW, keep)) == after(found, whole)


@given(nodes(), LIMITS)
def test_what_is_kept_beyond_the_sure_ones_is_within_every_limit(found: Found, keep: Keep) -> None:
    kept = decide(found, NOW, keep).kept
    sure = {found.current, *found.under_way}
    extra = [state_id for state_id in kept if state_id not in sure][1:]
    by_id = {record.state_id: record for record in found.records}
    if extra and keep.releases:
        assert len(kept) <= max(2, keep.releases)
    if extra and keep.bytes_limit:
        sizes: dict[str, int] = {}
        for state_id in kept[: kept.index(extra[-1]) + 1]:
            sizes |= by_id[state_id].sizes
        assert sum(sizes.values()) <= keep.bytes_limit
    assert not keep.days or all(NOW - by_id[each].saved_at_seconds <= keep.days * DAY for each in extra)


def test_the_live_one_and_the_one_before_it_stay_however_old_and_large() -> None:
    records = [a_record(number, days=100 + 100 * number, trees=(number,), size=10**12) for number in range(3)]
    entries = tuple(Entry(path=path, kind="tree", changed_at_seconds=0) for path in TREES[:4])
    verdict = decide(Found(records=tuple(records), entries=entries, current=IDS[0]), NOW, Keep())
    assert verdict.kept == (IDS[0], IDS[1])
    assert verdict.doomed == {
        records[2].path: "it was deployed more than 30 days ago",
        TREES[2]: "no kept release refers to it",
        TREES[3]: "no kept release refers to it",
    }


def test_a_release_that_failed_is_not_the_one_before() -> None:
    live, failed, good = a_record(0), a_record(1, days=1, bad=True), a_record(2, days=2)
    verdict = decide(Found(records=(live, failed, good), current=IDS[0]), NOW, Keep(releases=2))
    assert verdict.kept == (IDS[0], IDS[2])


def test_models_that_two_releases_share_count_once() -> None:
    records = tuple(a_record(number, days=number, trees=(0,), size=60) for number in range(3))
    found = Found(records=records, current=IDS[0])
    assert decide(found, NOW, Keep(bytes_limit=100)).kept == tuple(IDS[:3])


def test_a_large_third_release_goes_and_a_small_one_behind_it_may_stay() -> None:
    records = (a_record(0, trees=(0,)), a_record(1, trees=(1,), days=1), a_record(2, trees=(2,), size=500, days=2))
    small = a_record(3, trees=(3,), days=3)
    found = Found(records=(*records, small), current=IDS[0])
    assert decide(found, NOW, Keep(releases=4, bytes_limit=100)).kept == (IDS[0], IDS[1], IDS[3])


def test_while_a_kept_record_cannot_be_read_no_tree_goes() -> None:
    records = (a_record(0, trees=(0,)), replace(a_record(1), refers=None))
    entries = tuple(Entry(path=path, kind="tree", changed_at_seconds=0) for path in TREES)
    assert decide(Found(records=records, entries=entries, current=IDS[0]), NOW, Keep()).doomed == {}


def test_a_clock_that_ran_ahead_takes_no_more_than_what_is_old_then() -> None:
    records = tuple(a_record(number, days=number) for number in range(3))
    verdict = decide(Found(records=records, current=IDS[0]), NOW + 10_000 * DAY, Keep())
    assert verdict.kept == (IDS[0], IDS[1])
