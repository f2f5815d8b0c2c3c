"""The facts that a playbook may speak of: those that stay as they are. Pure.

Free space, boot time or the current GPU limit change by themselves or by our own deploys; a desired state that hung
on them would never come to rest.
"""

from __future__ import annotations

from collections.abc import Mapping

from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.units import GIB

STEADY_FACTS = (
    "hostname",
    "os_version",
    "os_build",
    "hardware_model",
    "chip",
    "arch",
    "memory_bytes",
    "page_size_bytes",
    "performance_cores",
    "efficiency_cores",
    "translated",
    "filevault",
    "disk_total_bytes",
)
FACT_NAMES = (*STEADY_FACTS, "memory_gb")


def fact_values(facts: Facts | None, *, memory_gb: float | None = None) -> Mapping[str, object]:
    """What is known of a node, by name; what is not known is absent.

    `memory_gb` (GiB) is the node's own word, else the inventory's, which stands in until the node was seen.
    """
    known = {name: getattr(facts, name) for name in STEADY_FACTS} if facts else {}
    found = {name: value for name, value in known.items() if value is not None}
    if isinstance(found.get("memory_bytes"), int):
        gigabytes = found["memory_bytes"] / GIB
        found["memory_gb"] = int(gigabytes) if gigabytes.is_integer() else gigabytes
    elif memory_gb is not None:
        found["memory_gb"] = memory_gb
        found["memory_bytes"] = int(memory_gb * GIB)
    return found
