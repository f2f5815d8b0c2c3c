"""Takes samples: a collector that fails loses its own readings only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from fleet.node.agent.collectors import Collectors
from fleet.node.agent.rates import busy_ratio, per_second
from fleet.node.agent.reading import CpuTimes, Machine, MacReader
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.snapshot import Disk, Memory, Snapshot, Swap, Thermal


@dataclass(frozen=True, kw_only=True)
class _Before:
    """Counters of the previous sample, and when it was taken (monotonic)."""

    at: float
    swap: Swap
    cpu: CpuTimes | None
    boot: float | None


def read_disk(mount: str) -> Disk:
    """Size and room for an unprivileged process. On APFS all volumes of a container share the room.

    Raises OSError, and ImportError without psutil.
    """
    import psutil

    usage = psutil.disk_usage(mount)
    return Disk(mount=mount, total_bytes=usage.total, free_bytes=usage.free)


class Sampler:
    """Samples of one node. Not the services and sidecars, which have a pace of their own."""

    def __init__(
        self,
        reader: MacReader,
        clock: Clock,
        *,
        node: str,
        version: str,
        disks: Sequence[str],
        disk: Callable[[str], Disk] = read_disk,
    ) -> None:
        self._reader, self._clock, self._disk = reader, clock, disk
        self._node, self._version, self._disks = node, version, tuple(disks)
        self._before: _Before | None = None
        self._machine: Machine | None = None
        self._ever_hot = False
        self._collectors = Collectors(clock)

    def sample(self) -> Snapshot:
        """One reading of everything."""
        now = self._clock.monotonic()
        if self._machine in (None, Machine()):
            self._machine = self._collectors.collect("machine", self._reader.machine, None)
        boot = self._collectors.collect("boot", self._reader.boot_time_seconds, None)
        swap = self._collectors.collect("swap", self._reader.swap, Swap())
        cpu = self._collectors.collect("cpu", self._reader.cpu, None)
        before = self._before if self._before and not _rebooted(self._before.boot, boot) else None
        machine = self._machine or Machine()
        snapshot = Snapshot(
            node=self._node,
            at_seconds=self._clock.now().timestamp(),
            agent_version=self._version,
            readings=self._reader.name,
            os_version=machine.os_version,
            chip=machine.chip,
            hardware_model=machine.hardware_model,
            boot_time_seconds=boot,
            cpu_ratio=busy_ratio(before.cpu if before else None, cpu),
            gpu_ratio=self._collectors.collect("gpu", self._reader.gpu_ratio, None),
            load_1m=self._collectors.collect("load", self._reader.load_1m, None),
            memory=self._collectors.collect("memory", self._reader.memory, Memory()),
            swap=_with_rates(swap, before, now),
            thermal=self._thermal(),
            disks=tuple(self._collectors.collect("disk", self._read_disks, ())),
            collectors=self._collectors.readings,
        )
        self._before = _Before(at=now, swap=swap, cpu=cpu, boot=boot)
        return snapshot

    def _thermal(self) -> Thermal:
        level = self._collectors.collect("thermal", self._reader.thermal_level, None)
        self._ever_hot = self._ever_hot or bool(level)
        return Thermal(pressure_level=level, ever_nonzero=self._ever_hot)

    def _read_disks(self) -> list[Disk]:
        """Every disk; one that cannot be read does not hide the others."""
        found: list[Disk] = []
        failed: list[str] = []
        for mount in self._disks:
            try:
                found.append(self._disk(mount))
            except OSError as error:
                found.append(Disk(mount=mount))
                failed.append(f"{mount}: {error.strerror or error}")
        if failed and len(failed) == len(self._disks):
            raise OSError("; ".join(failed))
        return found


def _with_rates(swap: Swap, before: _Before | None, now: float) -> Swap:
    if before is None:
        return swap
    seconds = now - before.at
    return msgspec.structs.replace(
        swap,
        swapin_bytes_per_second=per_second(before.swap.swapins_bytes_total, swap.swapins_bytes_total, seconds),
        swapout_bytes_per_second=per_second(before.swap.swapouts_bytes_total, swap.swapouts_bytes_total, seconds),
    )


def _rebooted(before: float | None, after: float | None) -> bool:
    """Whether the boot time moved by more than the clock is ever corrected (FACTS section 3)."""
    return before is not None and after is not None and abs(after - before) > 60
