"""The snapshot contract: there and back, and with an agent of the release before."""

import msgspec

from fleet.vocabulary.contracts.snapshot import (
    AgentReading,
    CollectorReading,
    HistoryReading,
    Memory,
    Panics,
    Snapshot,
)

FORMER = b"""{"node":"mini-1","at_seconds":1795348800.0,"agent_version":"0.1.0","readings":"macos",
"memory":{"total_bytes":17179869184,"wired_bytes":null},"collectors":[{"name":"memory","ok":true,"seconds":0.001,
"problem":null}],"schema":1}"""


def test_a_snapshot_comes_back_as_it_was_sent():
    snapshot = Snapshot(
        node="mini-1",
        at_seconds=1.5,
        agent_version="0",
        readings="macos",
        memory=Memory(total_bytes=1, decompressions_total=2),
        collectors=(CollectorReading(name="disk", ok=False, seconds=0.1, problem="gone", tier="slow"),),
        panics=Panics(count=1, newest_at_seconds=2.0, newest_name="a.panic"),
        agent=AgentReading(resident_bytes=3, late_seconds=0.01),
        history=HistoryReading(samples=4, paused="full"),
    )
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot) == snapshot


def test_the_snapshot_of_the_release_before_is_read_and_what_it_does_not_say_is_unknown():
    snapshot = msgspec.json.decode(FORMER, type=Snapshot)
    assert snapshot.memory == Memory(total_bytes=17179869184)
    assert (snapshot.panics.count, snapshot.history, snapshot.agent.late_seconds) == (None, None, None)
    assert snapshot.collectors[0].tier == ""


def test_the_release_before_passes_over_what_it_does_not_know():
    class FormerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
        node: str
        at_seconds: float

    text = msgspec.json.encode(Snapshot(node="n", at_seconds=1.0, agent_version="0", readings="macos"))
    assert msgspec.json.decode(text, type=FormerSnapshot) == FormerSnapshot(node="n", at_seconds=1.0)
