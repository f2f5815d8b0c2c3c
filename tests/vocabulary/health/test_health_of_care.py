"""What the agent does for a sidecar, a wrong long answer, and a lost wired limit: each with its text and advice."""

from __future__ import annotations

import pytest

from fleet.vocabulary.contracts.snapshot import CareReading, Memory, SidecarReading, Snapshot
from fleet.vocabulary.health.sample import Sample
from fleet.vocabulary.health.state import Fault, NodeState
from fleet.vocabulary.health.step import faults, step
from fleet.vocabulary.names import Health
from fleet.vocabulary.units import GIB

START = 1_795_348_800.0


def shown(*, memory: Memory | None = None, **changes: object) -> dict[str, Fault]:
    car = SidecarReading(name="sidecar.chat", model="smollm2", port=8800, live=True, ready=True, **changes)  # type: ignore[arg-type]
    snapshot = Snapshot(
        node="mini-1", at_seconds=START, agent_version="1", readings="macos", memory=memory or Memory(), sidecars=(car,)
    )
    state, _ = step(NodeState(node="mini-1"), Sample(at_seconds=START, snapshot=snapshot), START)
    return {fault.check: fault for fault in faults(state)}


@pytest.mark.parametrize(
    ("care", "health"),
    [
        (CareReading(), None),
        (CareReading(state="refreshing", reason="planned refresh"), None),
        (CareReading(state="draining", reason="it generated nothing for 2m 00s"), Health.WARN),
        (CareReading(state="restarting", reason="it generated nothing for 2m 00s"), Health.WARN),
        (CareReading(state="watching", reason="restarted 3 times within an hour, and left alone"), Health.WARN),
        (CareReading(state="quarantined", reason="the kernel panicked twice while it ran"), Health.CRITICAL),
        (CareReading(state="of a later fleet", reason="?"), None),
    ],
)
def test_care_is_shown_when_there_is_something_to_know(care: CareReading, health: Health | None) -> None:
    fault = shown(care=care).get("sidecar_cared")
    assert (fault.health if fault else None) is health
    if fault:
        assert care.reason in fault.text
        assert "fleet resume mini-1" in fault.do


def test_a_wrong_long_answer_is_critical_and_an_unknown_one_is_nothing() -> None:
    assert shown(golden_ok=False)["golden_wrong"].health is Health.CRITICAL
    assert "golden_wrong" not in shown(golden_ok=True)
    assert "golden_wrong" not in shown()


def test_a_lost_wired_limit_is_told_with_both_numbers() -> None:
    lost = Memory(total_bytes=16 * GIB, wired_limit_expected_bytes=12 * GIB)
    text = shown(memory=lost)["wired_limit_lost"].text
    assert "the system's own" in text
    assert "12.0 GiB" in text
    kept = Memory(total_bytes=16 * GIB, wired_limit_bytes=12 * GIB, wired_limit_expected_bytes=12 * GIB)
    assert "wired_limit_lost" not in shown(memory=kept)
    assert "wired_limit_lost" not in shown(memory=Memory(total_bytes=16 * GIB))
