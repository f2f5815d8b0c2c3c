"""`memory_pressure` and `memory_pressure -Q`. Standard library only. Its lines end in blanks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleet.vocabulary.macos.digits import whole
from fleet.vocabulary.macos.sysctl import parse_percent

_TOTAL = re.compile(r"The system has ([0-9]{1,20}) \([0-9]{1,20} pages with a page size of ([0-9]{1,9})\)")


@dataclass(frozen=True, kw_only=True)
class MemoryPressure:
    """What the command says. `free_ratio` counts file cache as free: 1 minus it is not "used"."""

    total_bytes: int | None = None
    page_size_bytes: int | None = None
    free_ratio: float | None = None
    wired_pages: int | None = None
    compressor_pages: int | None = None
    swapins: int | None = None
    swapouts: int | None = None


def parse_memory_pressure(text: str) -> MemoryPressure:
    """What `memory_pressure` printed, in its long or its quick form."""
    total = _TOTAL.search(text)
    values = {
        label.strip(): value.strip()
        for label, colon, value in (line.partition(":") for line in text.splitlines())
        if colon
    }
    percent = values.get("System-wide memory free percentage", "")
    return MemoryPressure(
        total_bytes=int(total[1]) if total else None,
        page_size_bytes=int(total[2]) if total else None,
        free_ratio=parse_percent(percent[:-1]) if percent.endswith("%") else None,
        wired_pages=whole(values.get("Pages wired down")),
        compressor_pages=whole(values.get("Pages used by compressor")),
        swapins=whole(values.get("Swapins")),
        swapouts=whole(values.get("Swapouts")),
    )
