"""What people are told: once when it becomes critical, once when it is over, and never in between."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fleet.node.gateway.frontwatch.notices import TOLD, Open, key_of, sift
from fleet.vocabulary.contracts.notice import Notice
from fleet.vocabulary.health.state import Transition
from fleet.vocabulary.names import Health

AT = 1_763_800_000.0


def change(
    after: Health,
    *,
    before: Health = Health.OK,
    check: str = "memory_pressure",
    node: str = "mini-1",
    at: float = AT,
    began: float = AT,
    text: str = "memory pressure is critical",
    subject: str = "",
) -> Transition:
    return Transition(
        at_seconds=at,
        node=node,
        check=check,
        subject=subject,
        before=before,
        after=after,
        began_seconds=began,
        since_seconds=at,
        text=text,
        next="" if after is Health.OK else "macOS compresses and swaps",
        do="" if after is Health.OK else f"fleet drain {node}",
    )


def told(*changes: Transition, front: str = "front-1") -> list[Notice]:
    return list(sift(front, {}, changes)[1])


def test_a_notice_says_what_since_when_what_next_and_what_to_do() -> None:
    (one,) = told(change(Health.CRITICAL, before=Health.WARN))
    assert one.text == (
        "mini-1: memory pressure is critical, since 2025-11-22 08:26:40 UTC. "
        "Next: macOS compresses and swaps. Do: fleet drain mini-1"
    )
    assert (one.state, one.before, one.after, one.what) == (
        "began", Health.WARN, Health.CRITICAL, "memory pressure is critical",
    )  # fmt: skip
    assert one.since == datetime.fromtimestamp(AT, UTC)
    body = msgspec.json.decode(msgspec.json.encode(one))
    assert set(body) == {
        *("schema", "id", "fault", "front", "state", "node", "check", "subject", "before", "after"),
        *("text", "what", "next", "do", "since", "at"),
    }
    assert body["since"] == "2025-11-22T08:26:40Z"


def test_the_end_belongs_to_its_beginning_and_says_how_long_it_lasted() -> None:
    began, ended = told(
        change(Health.CRITICAL),
        change(Health.OK, before=Health.CRITICAL, at=AT + 185, began=AT, text=""),
    )
    assert (began.fault, began.id != ended.id) == (ended.fault, True)
    assert ended.text == "mini-1: over after 3m 05s: memory pressure is critical"
    assert ended.since == began.since


def test_two_fronts_tell_one_fault_under_ids_of_their_own() -> None:
    (one,), (other,) = told(change(Health.CRITICAL)), told(change(Health.CRITICAL), front="front-2")
    assert one.id != other.id
    assert (one.front, other.front) == ("front-1", "front-2")
    assert (one.node, one.check, one.subject) == (other.node, other.check, other.subject)


def test_what_only_warns_wakes_nobody_and_neither_does_what_could_not_be_read() -> None:
    assert told(change(Health.WARN), change(Health.OK, before=Health.WARN)) == []
    assert told(change(Health.CRITICAL, check="slow_decode")) == []
    words = told(
        change(Health.CRITICAL),
        change(Health.UNKNOWN, before=Health.CRITICAL),
        change(Health.CRITICAL, before=Health.UNKNOWN),
        change(Health.WARN, before=Health.CRITICAL),
        change(Health.OK, before=Health.WARN),
    )
    assert [one.state for one in words] == ["began", "ended"]
    assert words[1].text.startswith("mini-1: over after ")
    assert "(now: warn)" in words[1].text


def test_a_fault_that_was_told_before_a_crash_is_not_told_again_after_it() -> None:
    first = change(Health.CRITICAL)
    open_faults, notices = sift("front-1", {}, [first])
    assert len(notices) == 1
    assert sift("front-1", open_faults, [first])[1] == ()
    assert sift("front-1", {}, [first])[1] == notices


def test_what_a_node_says_is_no_order_to_a_chat_or_a_terminal() -> None:
    (one,) = told(change(Health.CRITICAL, text="bad\x1b[2J\n<!channel> " + "x" * 5000))
    assert not {"<", "\x1b", "\n"} & set(one.text)
    assert len(one.what) <= 1000
    assert msgspec.json.decode(msgspec.json.encode(one))["what"].endswith("…")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from([*sorted(TOLD)[:3], "thermal"]),
            st.sampled_from(["", "/"]),
            st.sampled_from(list(Health)),
        ),
        max_size=40,
    )
)
def test_beginnings_and_ends_take_turns_whatever_comes(steps: list[tuple[str, str, str, Health]]) -> None:
    open_faults: dict[str, Open] = {}
    last: dict[str, str] = {}
    for number, (node, check, subject, after) in enumerate(steps):
        one = change(after, node=node, check=check, subject=subject, at=AT + number, began=AT + number)
        open_faults, notices = sift("f", open_faults, [one])
        for notice in notices:
            key = key_of(notice.node, notice.check, notice.subject)
            assert last.get(key, "ended") != notice.state
            last[key] = notice.state
    assert {key for key, state in last.items() if state == "began"} == set(open_faults)
