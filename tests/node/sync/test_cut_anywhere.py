"""A conversation that is cut at any byte, either way, and recovered from, leaves the old release or the new one."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from sync_kit import Node, Release, adopted
from test_session import _Gone, frame, frames, of, talk

from fleet.node.sync import releases
from fleet.node.sync.apply import apply
from fleet.node.sync.frames import Wire
from fleet.node.sync.leases import Leases
from fleet.node.sync.pending import pending_run
from fleet.node.sync.session import Session
from fleet.vocabulary.contracts.sync import BlobPart, Bye, Commit, Desired, Done, Failed, Hold, Observed

EXAMPLES = 200 if os.environ.get("FLEET_SHOW") else 12
RUN = "run-9"


def a_release(node: Node, text: str) -> Release:
    release = node.release().directory(f"{node.layout.root}/etc").file(node.layout.etc("a.json"), text)
    return release.tree("node", {"a.py": text.encode() * 100}).daemon("agent", text).daemon(f"sidecar.{text}")


def words(node: Node, release: Release) -> list[bytes]:
    """Everything that a laptop says to deploy it, frame by frame."""
    planned = talk(node, frame(Desired(state=release.state)) + frame(Bye()))
    blobs = []
    for missing in of(Observed, planned).missing:
        rest = release.contents[missing.digest][missing.offset :]
        blobs.append(frame(BlobPart(digest=missing.digest, offset=missing.offset, size=len(rest)), rest))
    hold = frame(Hold(holder="ann@desk"))
    return [frame(Desired(state=release.state)), hold, *blobs, frame(Commit(run_id=RUN, operator="ann@desk"))]


def assert_whole(node: Node, old: Release, new: Release) -> str:
    """Which of the two the node is, and that it is all of it."""
    assert pending_run(node.machine) is None
    live = releases.current_id(node.machine)
    one, name = (new, "new") if live == new.state.state_id else (old, "old")
    assert live == one.state.state_id
    assert node.plan(one) == ()
    assert set(node.mac.jobs) - {node.layout.apply_label} == {item.label for item in one.state.daemons}
    assert Leases(machine=node.machine).held() is None
    return name


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_what_the_laptop_says_may_end_anywhere(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        node = adopted(Path(place))
        old, new = a_release(node, "one"), a_release(node, "two")
        assert node.deploy(old) == "committed"
        said = words(node, new)
        whole = b"".join(said)
        ends = [sum(map(len, said[:count])) for count in range(len(said) + 1)]
        cut = data.draw(st.sampled_from(ends) | st.integers(0, len(whole)))
        talk(node, whole[:cut], run_id=RUN)
        assert assert_whole(node, old, new) == ("new" if cut == len(whole) else "old")
        again = talk(node, b"".join(words(node, new)), run_id=RUN if cut < len(whole) else "run-10")
        assert not [each for each in again if isinstance(each, Failed) and each.code != "protocol"]
        assert cut == len(whole) or of(Done, again).outcome == "committed"
        assert assert_whole(node, old, new) == "new"


@settings(max_examples=EXAMPLES, deadline=None)
@given(writes=st.integers(0, 30))
def test_what_the_node_says_may_be_heard_by_nobody_at_any_point(writes: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        node = adopted(Path(place))
        old, new = a_release(node, "one"), a_release(node, "two")
        assert node.deploy(old) == "committed"
        said = b"".join(words(node, new))
        out = _Gone(writes)
        try:
            Session(machine=node.machine, wire=Wire(io.BytesIO(said), out), state_id="-", run_id=RUN).run()
        except BrokenPipeError:
            pass
        else:
            assert of(Done, frames(out.getvalue())).outcome == "committed"
        apply(node.machine)
        assert_whole(node, old, new)
