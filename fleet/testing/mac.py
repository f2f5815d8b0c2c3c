"""FakeMac: a Mac whose readings are what the test says."""

from __future__ import annotations

from dataclasses import dataclass, field

from fleet.node.agent.reading import CpuTimes, Machine
from fleet.vocabulary.contracts.snapshot import Memory, Swap
from fleet.vocabulary.units import GIB


@dataclass
class FakeMac:
    """A MacReader over plain fields. A name in `broken` makes that reading raise OSError with the given text."""

    memory_reading: Memory = field(
        default_factory=lambda: Memory(
            total_bytes=16 * GIB,
            wired_bytes=4 * GIB,
            compressed_bytes=1 * GIB,
            app_bytes=6 * GIB,
            cached_bytes=3 * GIB,
            free_bytes=2 * GIB,
            pressure_level=1,
            free_ratio=0.57,
            wired_limit_bytes=12 * GIB,
            wired_headroom_bytes=8 * GIB,
        )
    )
    swap_reading: Swap = field(default_factory=lambda: Swap(used_bytes=0, total_bytes=0))
    machine_reading: Machine = field(
        default_factory=lambda: Machine(os_version="26.5.1", chip="Apple M4", hardware_model="Mac16,10")
    )
    boot: float | None = 1_784_098_183.0
    thermal: int | None = 0
    times: CpuTimes | None = None
    gpu: float | None = None
    load: float | None = 1.5
    footprints: dict[int, int] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    fed: dict[str, str] = field(default_factory=dict)
    name: str = "macos"

    def machine(self) -> Machine:
        """`machine_reading`."""
        self._check("machine")
        return self.machine_reading

    def boot_time_seconds(self) -> float | None:
        """`boot`."""
        self._check("boot")
        return self.boot

    def memory(self) -> Memory:
        """`memory_reading`."""
        self._check("memory")
        return self.memory_reading

    def swap(self) -> Swap:
        """`swap_reading`."""
        self._check("swap")
        return self.swap_reading

    def thermal_level(self) -> int | None:
        """`thermal`."""
        self._check("thermal")
        return self.thermal

    def cpu(self) -> CpuTimes | None:
        """`times`."""
        self._check("cpu")
        return self.times

    def gpu_ratio(self) -> float | None:
        """`gpu`."""
        self._check("gpu")
        return self.gpu

    def load_1m(self) -> float | None:
        """`load`."""
        self._check("load")
        return self.load

    def footprint_bytes(self, pid: int) -> int | None:
        """One of `footprints`."""
        self._check("footprint")
        return self.footprints.get(pid)

    def wants(self) -> tuple[str, ...]:
        """`wanted`."""
        return self.wanted

    def feed(self, command: str, text: str) -> None:
        """Remember it in `fed`."""
        self.fed[command] = text

    def _check(self, name: str) -> None:
        if name in self.broken:
            raise OSError(self.broken[name])
