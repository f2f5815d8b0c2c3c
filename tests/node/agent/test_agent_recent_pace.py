"""The pace of the last seconds: what routing goes by, against the same baseline as that of the whole window."""

import msgspec

from fleet.node.agent.baseline import Key, Usual
from fleet.node.agent.paces import Paces
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.agent import AgentSidecar
from fleet.vocabulary.contracts.gateway_admin import PaceReport, PaceRow, UpstreamPace
from fleet.vocabulary.contracts.snapshot import SidecarReading, Snapshot

KEY = Key(model="smol", os="", engine="mlx_lm", at_once=1)
FAST, SLOW = (PaceRow(at_once=1, answers=9, tokens=900, seconds=seconds) for seconds in (9.0, 45.0))


class Remembered:
    """A BaselineFile that knows one model."""

    def load(self):
        return {KEY: Usual(tokens_per_second=100.0, best=100.0)}


def read(rows: tuple[PaceRow, ...], recent: tuple[PaceRow, ...]) -> SidecarReading:
    snapshot = Snapshot(node="n", at_seconds=0.0, agent_version="1", readings="macos")
    car = AgentSidecar(name="sidecar.smol", model="m", port=8800, serves="smol")
    paces = Paces(FakeClock(), [car], Remembered(), machine=lambda: snapshot)
    said = UpstreamPace(name="sidecar.smol", serves="smol", port=8800, rows=rows, recent=recent)
    paces.hear(PaceReport(node="n", window_seconds=120.0, recent_seconds=10.0, upstreams=(said,)))
    return paces.on(SidecarReading(name="sidecar.smol", model="smol", port=8800), said, now=0.0)


def test_a_sudden_slowness_shows_at_once_though_the_window_still_remembers_better() -> None:
    reading = read((PaceRow(at_once=1, answers=18, tokens=1800, seconds=18.0),), (SLOW,))
    assert (reading.pace_ratio, reading.recent_pace_ratio) == (1.0, 0.2)


def test_a_recovery_shows_at_once_though_the_window_still_remembers_worse() -> None:
    reading = read((SLOW,), (FAST,))
    assert (reading.pace_ratio, reading.recent_pace_ratio) == (0.2, 1.0)


def test_while_nothing_is_answered_the_recent_pace_is_unknown() -> None:
    reading = read((SLOW,), ())
    assert (reading.pace_ratio, reading.recent_pace_ratio) == (0.2, None)


def test_a_gateway_of_before_says_nothing_recent() -> None:
    text = b'{"node": "n", "window_seconds": 120, "upstreams": [{"name": "s", "serves": "s"}]}'
    report = msgspec.json.decode(text, type=PaceReport)
    assert (report.recent_seconds, report.upstreams[0].recent) == (0.0, ())
