"""What a benchmark says of where it ran."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import fleet

ROOT = Path(__file__).resolve().parents[1]


def machine() -> dict[str, str]:
    """System, processor, cores that we may use, memory. Linux only."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {
        "system": f"{os.uname().sysname} {os.uname().release} {os.uname().machine}",
        "processor": next(named, "unknown"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory_gib": f"{pages / 2**30:.0f}",
    }


def fleet_version() -> str:
    """Fleet's version and commit."""
    said = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return f"{fleet.__version__} {said.stdout.strip()}".strip()
