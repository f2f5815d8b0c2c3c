"""A node that is taken over at any step of a run, which may die there too, ends old or new, and whole."""

from __future__ import annotations

import fcntl
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from sync_kit import Node
from test_recovery import SCENARIOS, Scenario, assert_whole, attempt, prepare

from fleet.node.sync import releases
from fleet.node.sync.apply import apply
from fleet.node.sync.leases import Leases
from fleet.testing.launchd import Crash, FaultyDisk, Fuse
from fleet.vocabulary.contracts.sync import Hold

EXAMPLES = 200 if os.environ.get("FLEET_SHOW") else 25


@dataclass
class Theft(Fuse):
    """Takes the node over at the n-th step; `dies` steps later the run is killed, too."""

    node: Node | None = None
    at: int = 0
    dies: int | None = None
    fence: int | None = None

    def burn(self) -> None:
        """One step further."""
        self.burnt += 1
        assert self.node is not None
        if self.fence is None and self.burnt > self.at and _nobody_writes(self.node):
            wish = Hold(holder="bob@home", steal=True)
            self.fence, _ = Leases(machine=self.node.machine).take("thief", wish)
        if self.dies is not None and self.burnt > self.at + self.dies:
            self.dies = None
            raise Crash


def _nobody_writes(node: Node) -> bool:
    """Whether the lease is not being written right now: this process would wait for itself."""
    with Path(node.layout.state("lease.lock")).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@settings(max_examples=EXAMPLES, deadline=None)
@given(scenario=st.sampled_from(SCENARIOS), at=st.integers(0, 120), dies=st.none() | st.integers(0, 40))
def test_a_run_that_loses_its_node_anywhere_ends_old_or_new(scenario: Scenario, at: int, dies: int | None) -> None:
    with tempfile.TemporaryDirectory() as place:
        node, old, new = prepare(Path(place), scenario)
        theft = Theft(node=node, at=at, dies=dies)
        node.mac.fuse = theft
        try:
            outcome = apply(replace(node.machine, disk=FaultyDisk(theft)))
        except Crash:
            outcome = attempt(node, None)
        node.mac.fuse = Fuse()
        outcome = outcome or node.end().outcome
        assert outcome in ("committed", "reverted")
        if theft.fence is not None:
            Leases(machine=node.machine).end(theft.fence)
        untouched = scenario.drift and not any(event.phase == "step" for event in node.events())
        if not untouched:  # what somebody meddled with is still as it was
            assert_whole(node, old, new)
        if old is not new:
            expected = new if outcome == "committed" else old
            assert releases.current_id(node.machine) == (expected.state.state_id if expected else None)
        why = node.end().text
        if theft.fence is not None and "took the node over" in why:
            assert outcome == "reverted"
            assert releases.why_bad(node.machine, new.state.state_id) is None
