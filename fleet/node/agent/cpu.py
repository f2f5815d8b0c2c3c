"""Processor time by psutil, for Linux."""

from __future__ import annotations

from fleet.node.agent.reading import CpuTimes


def cpu_times() -> CpuTimes:
    """Time of all cores since boot. Raises what psutil raises, ImportError among it.

    Guest time is part of user time; a core that waits for a disk is idle.
    """
    import psutil

    times = psutil.cpu_times()._asdict()
    total = sum(seconds for name, seconds in times.items() if name not in ("guest", "guest_nice"))
    return CpuTimes(busy_seconds=total - times["idle"] - times.get("iowait", 0.0), total_seconds=total)
