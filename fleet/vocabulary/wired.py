"""The GPU wired limit: the room under it, and whether it is lost. Pure."""

from __future__ import annotations

from fleet.vocabulary.contracts.snapshot import Memory


def headroom_bytes(memory: Memory) -> int | None:
    """Room under the GPU wired limit. With the system's own limit: under the device's recommended working set."""
    if memory.wired_headroom_bytes is not None:
        return memory.wired_headroom_bytes
    if memory.wired_limit_bytes or memory.recommended_working_set_bytes is None or memory.wired_bytes is None:
        return None
    return memory.recommended_working_set_bytes - memory.wired_bytes


def is_lost(memory: Memory) -> bool | None:
    """Whether the limit is not the one that deploy set: macOS forgets it at a boot. None = there is none to lose."""
    expected = memory.wired_limit_expected_bytes
    if expected is None or memory.total_bytes is None:
        return None
    return memory.wired_limit_bytes != expected
