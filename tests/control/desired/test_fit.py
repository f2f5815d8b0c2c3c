"""Whether models fit is a sum over all sidecars of a node; what is not known does not fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.desired.fit import GpuLimit, SidecarLoad, fit, gpu_limit, kv_reserve
from fleet.errors import FitError
from fleet.vocabulary.units import GIB, MIB


def a_load(name: str = "sidecar.chat", **more: object) -> SidecarLoad:
    """A sidecar of 4 GiB with a stated reserve of 2 GiB."""
    values = {"weights_bytes": 4 * GIB, "kv_reserve_bytes": 2 * GIB, **more}
    return SidecarLoad(name=name, model="m", **values)  # type: ignore[arg-type]


def limit(gib: float) -> GpuLimit:
    """A limit of so many GiB."""
    return GpuLimit(limit_bytes=int(gib * GIB), source="the test")


def test_the_arithmetic_is_shown_line_by_line() -> None:
    found = fit("mini-1", [a_load(), a_load("sidecar.code")], limit(16))
    assert found.text.splitlines() == [
        "sidecar.chat (m): weights 4.0 GiB + KV 2.0 GiB (stated) + overhead 512 MiB = 6.5 GiB",
        "sidecar.code (m): weights 4.0 GiB + KV 2.0 GiB (stated) + overhead 512 MiB = 6.5 GiB",
        "sum 13.0 GiB of 16.0 GiB (the test): 3.0 GiB free",
    ]
    assert found.needed_bytes == 13 * GIB
    assert found.tight


def test_each_sidecar_fits_alone_and_the_sum_does_not() -> None:
    fit("mini-1", [a_load()], limit(8))
    with pytest.raises(FitError) as caught:
        fit("mini-1", [a_load(), a_load("sidecar.code")], limit(8))
    assert "mini-1: its models need 13.0 GiB and the GPU may wire 8.0 GiB" in caught.value.text
    assert "5.0 GiB too much" in caught.value.text


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (a_load(weights_bytes=None), "the size of m is not known"),
        (a_load(kv_reserve_bytes=None), "no kv_bytes_per_token of the manifest, no context"),
        (a_load(kv_reserve_bytes=None, kv_bytes_per_token=9, context_tokens=9), "no options.decode_concurrency"),
    ],
)
def test_an_unknown_size_fails_closed_however_large_the_limit(load: SidecarLoad, said: str) -> None:
    with pytest.raises(FitError) as caught:
        fit("mini-1", [load], limit(512))
    assert said in caught.value.text


def test_an_unknown_limit_fails_closed() -> None:
    with pytest.raises(FitError, match="cannot be known"):
        fit("mini-1", [a_load()], None)


def test_an_unstated_reserve_counts_what_is_generated_and_what_is_cached() -> None:
    load = a_load(kv_reserve_bytes=None, kv_bytes_per_token=1000, context_tokens=2000, concurrency=4)
    assert kv_reserve(load) == (16_000_000, "1000 B x 2000 tokens x 4 at once, as much again for the prompt cache")
    stated = a_load(
        kv_reserve_bytes=None, kv_bytes_per_token=1000, context_tokens=2000, concurrency=4, prompt_cache_bytes=MIB
    )
    assert kv_reserve(stated) == (8_000_000 + MIB, "1000 B x 2000 tokens x 4 at once + prompt cache 1.0 MiB")


def test_a_prompt_cache_beyond_the_stated_reserve_counts_itself() -> None:
    assert kv_reserve(a_load(kv_reserve_bytes=GIB, prompt_cache_bytes=3 * GIB))[0] == 3 * GIB  # type: ignore[index]


@pytest.mark.parametrize(
    ("values", "gib", "source"),
    [
        ((8192, 4096, 2048, 16 * GIB), 8, "wired_limit_mb of the inventory"),
        ((None, 4096, 2048, 16 * GIB), 4, "the playbook's sysctl iogpu.wired_limit_mb"),
        ((None, None, 2048, 16 * GIB), 2, "the node's iogpu.wired_limit_mb"),
        ((None, None, 0, 48 * GIB), 36, "3/4 of 48.0 GiB"),
        ((None, None, None, 36 * GIB), 24, "2/3 of 36.0 GiB"),
        ((None, 999_999, None, 16 * GIB), 16, "the playbook's sysctl iogpu.wired_limit_mb, cut to the node's memory"),
    ],
)
def test_the_limit_is_what_is_stated_then_set_then_seen_then_a_share(
    values: tuple[int | None, int | None, int | None, int | None], gib: int, source: str
) -> None:
    stated, put, seen, memory = values
    found = gpu_limit(stated_mb=stated, set_mb=put, observed_mb=seen, memory_bytes=memory)
    assert found == GpuLimit(limit_bytes=gib * GIB, source=source)


def test_the_share_never_exceeds_a_measured_default() -> None:
    """Measured on real Macs: 10.67 of 16 GiB, 107.52 of 128 GiB (peers/monitoring, row fleet_gpu_wired_limit_bytes)."""
    for memory, measured in ((16, 10.67), (128, 107.52)):
        found = gpu_limit(stated_mb=None, set_mb=None, observed_mb=0, memory_bytes=memory * GIB)
        assert found is not None
        assert found.limit_bytes <= measured * GIB


def test_nothing_known_is_no_limit() -> None:
    assert gpu_limit(stated_mb=None, set_mb=None, observed_mb=None, memory_bytes=None) is None
    assert gpu_limit(stated_mb=None, set_mb=None, observed_mb=0, memory_bytes=None) is None


sizes = st.integers(min_value=0, max_value=64 * GIB)
loads = st.lists(st.builds(a_load, weights_bytes=sizes, kv_reserve_bytes=sizes), max_size=4)


def fits(sidecars: list[SidecarLoad], room: int) -> bool:
    """Whether they fit."""
    try:
        fit("n", sidecars, GpuLimit(limit_bytes=room, source=""))
    except FitError:
        return False
    return True


@given(loads, sizes, sizes, st.data())
def test_what_fits_still_fits_with_more_room_fewer_or_smaller_sidecars(
    sidecars: list[SidecarLoad], room: int, more: int, data: st.DataObject
) -> None:
    if not fits(sidecars, room):
        return
    assert fits(sidecars, room + more)
    if sidecars:
        index = data.draw(st.integers(0, len(sidecars) - 1))
        assert fits(sidecars[:index] + sidecars[index + 1 :], room)
        smaller = data.draw(st.integers(0, sidecars[index].weights_bytes or 0))
        assert fits(
            [*sidecars[:index], a_load(weights_bytes=smaller, kv_reserve_bytes=0), *sidecars[index + 1 :]], room
        )


@given(loads, sizes)
def test_the_sum_is_the_sum_of_the_parts(sidecars: list[SidecarLoad], room: int) -> None:
    parts = [fit("n", [one], limit(1024)).needed_bytes for one in sidecars]
    assert fit("n", sidecars, limit(4096)).needed_bytes == sum(parts)
    assert fits(sidecars, room) == (sum(parts) <= room)


@given(st.integers(1, 1024), st.integers(1, 1024))
def test_more_memory_is_never_a_smaller_limit_within_a_class_of_macs(one: int, other: int) -> None:
    low, high = sorted((one, other))
    limits = [gpu_limit(stated_mb=None, set_mb=None, observed_mb=None, memory_bytes=m * GIB) for m in (low, high)]
    assert limits[0] is not None
    assert limits[1] is not None
    assert limits[0].limit_bytes <= limits[1].limit_bytes <= high * GIB
