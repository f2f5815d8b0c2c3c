"""Which Mac and which macOS: `sw_vers`, `fdesetup status`, `system_profiler SPHardwareDataType -json`.

Standard library only. Serial number and hardware UUID are in the last one's text; they are never read out of it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from fleet.vocabulary.macos.digits import whole

_MEMORY = re.compile(r"([0-9]{1,6}) (GB|TB)")
_CORES = re.compile(r"proc ([0-9]{1,4})(?::([0-9]{1,4}):([0-9]{1,4})(?::[0-9]{1,4})*)?")


@dataclass(frozen=True, kw_only=True)
class OsVersion:
    """`sw_vers`."""

    product: str | None = None
    version: str | None = None
    build: str | None = None


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What `system_profiler` says of the machine. In a virtual machine only the number of cores is known."""

    chip: str | None = None
    model: str | None = None
    memory_bytes: int | None = None
    cores: int | None = None
    performance_cores: int | None = None
    efficiency_cores: int | None = None


def parse_sw_vers(text: str) -> OsVersion:
    """What `sw_vers` printed: keys, a colon, two tabs."""
    values = {
        key.strip(): value.strip() or None
        for key, colon, value in (line.partition(":") for line in text.splitlines())
        if colon
    }
    return OsVersion(
        product=values.get("ProductName"), version=values.get("ProductVersion"), build=values.get("BuildVersion")
    )


def parse_fdesetup(text: str) -> bool | None:
    """Whether FileVault is on; unknown while it says anything else (it is being converted, say)."""
    for line in text.splitlines():
        if line.strip() == "FileVault is On.":
            return True
        if line.strip() == "FileVault is Off.":
            return False
    return None


def parse_system_profiler(text: str) -> Hardware:
    """The first hardware overview of `system_profiler SPHardwareDataType -json`."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return Hardware()
    overviews = data.get("SPHardwareDataType") if isinstance(data, dict) else None
    first = overviews[0] if isinstance(overviews, list) and overviews else None
    if not isinstance(first, dict):
        return Hardware()
    memory = _MEMORY.fullmatch(_text(first.get("physical_memory")) or "")
    cores, performance, efficiency = _cores(first.get("number_processors"))
    return Hardware(
        chip=_text(first.get("chip_type")),
        model=_text(first.get("machine_model")),
        memory_bytes=int(memory[1]) * 1024 ** (3 if memory[2] == "GB" else 4) if memory else None,
        cores=cores,
        performance_cores=performance,
        efficiency_cores=efficiency,
    )


def _cores(value: object) -> tuple[int | None, int | None, int | None]:
    """Cores, performance cores, efficiency cores: `proc 24:16:8`, four fields of late, an integer in a VM."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value, None, None
    match = _CORES.fullmatch(value) if isinstance(value, str) else None
    return (whole(match[1]), whole(match[2]), whole(match[3])) if match else (None, None, None)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
