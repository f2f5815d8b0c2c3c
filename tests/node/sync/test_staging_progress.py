"""While a node stages it says how far it is; a laptop that is gone does not stop it."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from sync_kit import Node

from fleet.node.sync.stage import Stage
from fleet.node.sync.staging import Staging
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.sync import Progress


def staged(node: Node, told: list[Progress]) -> None:
    release = node.release().tree("big", {f"f{n}": os.urandom(300_000) for n in range(8)})
    release.tree("small", {"x": b"x"})
    for digest, content in release.contents.items():
        Path(node.layout.blob(digest.split(":")[1])).write_bytes(content)
    Stage(machine=node.machine, state=release.state, told=told.append).run()


def test_every_tree_is_named_when_it_begins_and_the_last_word_is_never_more_than_all(tmp_path: Path) -> None:
    told: list[Progress] = []
    staged(Node(tmp_path), told)
    assert [one.what for one in told] == ["unpack env big", "unpack env small"]
    assert 2_400_000 <= told[-1].done < told[-1].total


def test_a_node_that_has_everything_says_nothing(tmp_path: Path) -> None:
    node = Node(tmp_path)
    release = node.release().tree("small", {"x": b"x"})
    node.stage(release)
    told: list[Progress] = []
    for digest, content in release.contents.items():
        Path(node.layout.blob(digest.split(":")[1])).write_bytes(content)
    Stage(machine=node.machine, state=release.state, told=told.append).run()
    assert told == []


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(0, 1000)), max_size=60))
def test_no_more_is_told_than_twice_a_second_and_done_only_rises(writes: list[tuple[float, int]]) -> None:
    clock, told = FakeClock(), list[Progress]()
    began = clock.monotonic()
    staging = Staging(total=5000, told=told.append, clock=clock)
    staging.begin("unpack env big")
    for seconds, size in writes:
        clock.sleep(seconds)
        staging.wrote(size)
    assert len(told) <= 1 + (clock.monotonic() - began) / 0.5
    counts = [one.done for one in told]
    assert counts == sorted(counts)
    assert max(counts) <= 5000


def test_a_laptop_that_is_gone_does_not_stop_staging(tmp_path: Path) -> None:
    def gone(_: Progress) -> None:
        raise BrokenPipeError

    staging = Staging(total=10, told=gone, clock=FakeClock())
    staging.begin("unpack env big")
    staging.wrote(10)
    assert staging.done == 10
