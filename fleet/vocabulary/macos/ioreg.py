"""`ioreg -r -d 1 -w 0 -c IOAccelerator`: how busy the GPU is. Standard library only.

Keys are matched whole: `In use system memory (driver)` stands before `In use system memory` (FACTS section 4.5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_STATISTICS = re.compile(r'"PerformanceStatistics" = \{([^}]*)\}')
_NUMBER = re.compile(r'"([^"]+)"=([0-9]{1,20})(?=[,}]|$)')


@dataclass(frozen=True, kw_only=True)
class Accelerators:
    """All GPUs of the machine together: the busiest one's ratio, the sum of their memory."""

    busy_ratio: float | None = None
    used_bytes: int | None = None
    allocated_bytes: int | None = None


def parse_ioreg_accelerators(text: str) -> Accelerators:
    """What `ioreg` printed; nothing at all when no accelerator matched (exit 0)."""
    gpus = [{key: int(value) for key, value in _NUMBER.findall(block)} for block in _STATISTICS.findall(text)]
    busy = [gpu["Device Utilization %"] for gpu in gpus if 0 <= gpu.get("Device Utilization %", -1) <= 100]
    used = [gpu["In use system memory"] for gpu in gpus if "In use system memory" in gpu]
    allocated = [gpu["Alloc system memory"] for gpu in gpus if "Alloc system memory" in gpu]
    return Accelerators(
        busy_ratio=max(busy) / 100 if busy else None,
        used_bytes=sum(used) if used else None,
        allocated_bytes=sum(allocated) if allocated else None,
    )
