"""What the agent asks of the machine. Implementations: macos, linux, recorded (`file:PATH`), and testing's FakeMac."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fleet.vocabulary.contracts.snapshot import Memory, Swap


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What does not change while the machine is up."""

    os_version: str | None = None
    chip: str | None = None
    hardware_model: str | None = None


@dataclass(frozen=True, kw_only=True)
class CpuTimes:
    """Processor time of all cores since boot."""

    busy_seconds: float
    total_seconds: float


class MacReader(Protocol):
    """Readings of one machine. Unknown is None, never 0; a method that cannot read at all raises.

    No method forks, and none takes longer than a few milliseconds.
    """

    @property
    def name(self) -> str:
        """`macos`, `linux` or `file:PATH`."""
        ...

    def machine(self) -> Machine:
        """What does not change."""
        ...

    def boot_time_seconds(self) -> float | None:
        """When the machine was booted, since the epoch. Moves a little when the clock is corrected."""
        ...

    def memory(self) -> Memory:
        """Memory, pressure level and GPU wired limit."""
        ...

    def swap(self) -> Swap:
        """Swap and its counters since boot, without rates."""
        ...

    def thermal_level(self) -> int | None:
        """Thermal pressure 0-4."""
        ...

    def cpu(self) -> CpuTimes | None:
        """Time of all cores."""
        ...

    def gpu_ratio(self) -> float | None:
        """How busy the GPU is, 0-1."""
        ...

    def load_1m(self) -> float | None:
        """Load average of one minute."""
        ...

    def footprint_bytes(self, pid: int) -> int | None:
        """Memory of a process with what the GPU holds, which its resident size misses (FACTS section 3).

        None where nothing counts it, there is no process of that id, or it is not ours to see.
        """
        ...

    def wants(self) -> tuple[str, ...]:
        """Names of macOS commands (`fallbacks.COMMANDS`) whose text is needed; the slow tier runs them and feeds it."""
        ...

    def feed(self, command: str, text: str) -> None:
        """Take what a wanted command printed; nothing when it failed."""
        ...
