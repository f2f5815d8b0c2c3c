"""Room under the GPU wired limit. Pure."""

from __future__ import annotations

from fleet.vocabulary.contracts.snapshot import Memory


def headroom_bytes(memory: Memory) -> int | None:
    """Room under the GPU wired limit. With the system's own limit: under the device's recommended working set."""
    if memory.wired_headroom_bytes is not None:
        return memory.wired_headroom_bytes
    if memory.wired_limit_bytes or memory.recommended_working_set_bytes is None or memory.wired_bytes is None:
        return None
    return memory.recommended_working_set_bytes - memory.wired_bytes
