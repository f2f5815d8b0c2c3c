"""The queue of the webhook: in order, bounded, patient, and never stuck."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fleet.node.gateway.frontwatch.outbox import (
    LONGEST_AGE_SECONDS,
    LONGEST_GAP_SECONDS,
    MOST_LETTERS,
    Outbox,
    gap_seconds,
)
from fleet.vocabulary.contracts.notice import Notice
from fleet.vocabulary.names import Health

AT = datetime.fromtimestamp(0, UTC)


def notice(number: int) -> Notice:
    name = f"n{number}"
    return Notice(
        id=name, fault=name, front="front-1", state="began", node="mini-1", check="disk_free",
        before=Health.OK, after=Health.CRITICAL, text="full", what="full", since=AT, at=AT,
    )  # fmt: skip


def ids(box: Outbox) -> list[str]:
    return [letter.notice.id for letter in box.letters]


def test_letters_keep_their_order_and_none_is_there_twice() -> None:
    box = Outbox().add([notice(1), notice(2)], 0).add([notice(2), notice(3)], 1)
    assert ids(box) == ["n1", "n2", "n3"]
    assert ids(box.delivered("n1")) == ["n2", "n3"]
    assert box.delivered("n1").delivered_total == 1


def test_a_receiver_that_is_down_is_asked_ever_less_often_and_its_wish_is_heard() -> None:
    box = Outbox().add([notice(1)], 0)
    waits = []
    now = 0.0
    for _ in range(10):
        box = box.failed("n1", now)
        wait = box.wait_seconds(now)
        assert wait is not None
        waits.append(wait)
        now += wait
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert Outbox().add([notice(1)], 0).failed("n1", 0, after_seconds=30).wait_seconds(0) == 30
    assert Outbox().add([notice(1)], 0).failed("n1", 0, after_seconds=9e9).wait_seconds(0) == LONGEST_GAP_SECONDS


def test_a_clock_that_was_set_back_does_not_silence_the_webhook() -> None:
    box = Outbox().add([notice(1)], 1e9).failed("n1", 1e9)
    assert box.wait_seconds(0) == 0
    assert ids(box.fresh(0)) == ["n1"]


def test_what_is_older_than_a_day_is_dropped_and_counted() -> None:
    box = Outbox().add([notice(1)], 0).add([notice(2)], 10).fresh(LONGEST_AGE_SECONDS + 5)
    assert (ids(box), box.dropped_total) == (["n2"], 1)


def test_the_queue_is_bounded_and_the_oldest_go_first() -> None:
    box = Outbox().add([notice(number) for number in range(MOST_LETTERS + 3)], 0)
    assert (len(box.letters), ids(box)[0], box.dropped_total) == (MOST_LETTERS, "n3", 3)


def test_what_the_receiver_will_never_take_stands_in_nobodys_way() -> None:
    box = Outbox().add([notice(1), notice(2)], 0).refused("n1")
    assert (ids(box), box.refused_total, box.wait_seconds(0)) == (["n2"], 1, 0)


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "delivered", "refused", "failed", "fresh"]), st.integers(0, 8)), max_size=60
    )
)
def test_every_letter_that_came_is_there_or_counted(steps: list[tuple[str, int]]) -> None:
    box, came, now = Outbox(), 0, 0.0
    for what, number in steps:
        now += number * LONGEST_AGE_SECONDS / 10
        match what:
            case "add":
                came += notice(number).id not in ids(box)
                box = box.add([notice(number)], now)
            case "fresh":
                box = box.fresh(now)
            case _ if f"n{number}" not in ids(box):
                continue
            case "failed":
                box = box.failed(f"n{number}", now)
            case _:
                box = getattr(box, what)(f"n{number}")
        assert came == len(box.letters) + box.delivered_total + box.refused_total + box.dropped_total
        assert msgspec.json.decode(msgspec.json.encode(box), type=Outbox) == box


@given(st.integers(-3, 10_000))
def test_a_gap_is_always_within_its_bounds(tries: int) -> None:
    assert 2 <= gap_seconds(tries) <= LONGEST_GAP_SECONDS
