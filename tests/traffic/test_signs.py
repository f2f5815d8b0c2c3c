"""What a snapshot says to one upstream."""

from __future__ import annotations

from typing import Any

from fleet.traffic.config import Upstream
from fleet.traffic.signs import Signs, signs_of
from fleet.vocabulary.contracts.snapshot import CareReading, Memory, SidecarReading, Snapshot, Swap, Thermal
from fleet.vocabulary.units import GIB

OWN = Upstream(name="sidecar.smol", kind="sidecar", url="http://127.0.0.1:8800", engine="mlx_lm", serves="s", model="m")
EDGE = Upstream(name="mini-2/s", kind="edge", url="https://mini-2:1", engine="openai_compatible", serves="s", model="s")
QUARANTINED = CareReading(state="quarantined", reason="it ran when the kernel panicked")


def car(port: int = 8800, model: str = "s", **changes: Any) -> SidecarReading:
    return SidecarReading(name=f"sidecar.{port}", model=model, port=port, **changes)


def read(*cars: SidecarReading, of: Upstream = OWN, **changes: Any) -> Signs:
    snapshot = Snapshot(node="n", at_seconds=1000.0, agent_version="1", readings="macos", sidecars=cars, **changes)
    return signs_of(snapshot, of, heard_at=7.0)


def test_raw_levels_of_the_node_are_signs() -> None:
    signs = read(
        memory=Memory(wired_headroom_bytes=5, pressure_level=2),
        swap=Swap(swapout_bytes_per_second=3.0),
        thermal=Thermal(pressure_level=1),
    )
    assert signs == Signs(
        sampled_at_seconds=1000.0,
        heard_at=7.0,
        headroom_bytes=5,
        swapout_bytes_per_second=3.0,
        pressure_level=2,
        thermal_level=1,
    )


def test_under_the_systems_own_limit_room_is_counted_to_the_recommended_working_set() -> None:
    assert read(memory=Memory(recommended_working_set_bytes=10 * GIB, wired_bytes=4 * GIB)).headroom_bytes == 6 * GIB


def test_the_pace_is_that_of_the_sidecar_behind_the_upstream() -> None:
    cars = (car(8801, recent_pace_ratio=0.9), car(8800, recent_pace_ratio=0.3), car(8802, "t"))
    assert read(*cars).pace_ratio == 0.3
    assert read(*cars, of=EDGE).pace_ratio == 0.9, "an edge deals requests to the faster one"
    assert read(car(8802, "t", recent_pace_ratio=0.1), of=EDGE).pace_ratio is None


def test_a_pace_of_long_ago_says_nothing() -> None:
    assert read(car(pace_ratio=0.3, decode_tokens_per_second=3.0)).pace_ratio is None


def test_a_model_is_quarantined_when_all_its_sidecars_are() -> None:
    assert read().quarantined is None
    assert read(car(care=CareReading())).quarantined is False
    held = read(car(care=QUARANTINED), of=EDGE)
    assert (held.quarantined, held.quarantined_for) == (True, "it ran when the kernel panicked")
    assert read(car(care=QUARANTINED), car(8801, care=CareReading()), of=EDGE).quarantined is False
