"""Whether a kernel panic was the reason of a boot. Pure."""

from __future__ import annotations

PANIC_BEFORE_BOOT_SECONDS = 600.0
PANIC_AFTER_BOOT_SECONDS = 3600.0
"""How near to the boot its panic report is dated: most are written once the machine is up again."""


def is_of_boot(written_at_seconds: float | None, boot_at_seconds: float) -> bool:
    """Whether a panic report of that time tells of the end before this boot."""
    if written_at_seconds is None:
        return False
    return -PANIC_BEFORE_BOOT_SECONDS <= written_at_seconds - boot_at_seconds <= PANIC_AFTER_BOOT_SECONDS
