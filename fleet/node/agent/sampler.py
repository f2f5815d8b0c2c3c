"""Takes samples, tier by tier: a collector that fails loses its own readings only."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet.node.agent.collectors import Collectors, Tier
from fleet.node.agent.panics import read_panics
from fleet.node.agent.rates import busy_ratio, per_second
from fleet.node.agent.reading import CpuTimes, Machine, MacReader
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.snapshot import Disk, Memory, Panics, Snapshot, Swap, Thermal


@dataclass(frozen=True, kw_only=True)
class _Before:
    """Counters of the previous sample, and when it was taken (monotonic)."""

    at: float
    swap: Swap
    cpu: CpuTimes | None
    boot: float | None


def read_disk(mount: str) -> Disk:
    """Size and room for an unprivileged process. On APFS all volumes of a container share the room. Raises OSError."""
    usage = os.statvfs(mount)
    return Disk(mount=mount, total_bytes=usage.f_blocks * usage.f_frsize, free_bytes=usage.f_bavail * usage.f_frsize)


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
        panics: Path | None = None,
    ) -> None:
        self._reader, self._clock, self._disk = reader, clock, disk
        self._node, self._version, self._disks = node, version, tuple(disks)
        self._panic_folder = panics
        self._before: _Before | None = None
        self._ever_hot = False
        self._collectors = Collectors(clock)
        self._machine, self._panics = Machine(), Panics()
        self._disk_readings: tuple[Disk, ...] = ()
        self.read_machine()
        self.read_panics()
        self.read_disks()

    def sample(self) -> Snapshot:
        """What the fast tier reads now, and what the other tiers read last."""
        now = self._clock.monotonic()
        boot = self._collectors.collect("boot", self._reader.boot_time_seconds, None)
        swap = self._collectors.collect("swap", self._reader.swap, Swap())
        cpu = self._collectors.collect("cpu", self._reader.cpu, None)
        before = self._before if self._before and not _rebooted(self._before.boot, boot) else None
        snapshot = Snapshot(
            node=self._node,
            at_seconds=self._clock.now().timestamp(),
            agent_version=self._version,
            readings=self._reader.name,
            os_version=self._machine.os_version,
            chip=self._machine.chip,
            hardware_model=self._machine.hardware_model,
            boot_time_seconds=boot,
            cpu_ratio=busy_ratio(before.cpu if before else None, cpu),
            gpu_ratio=self._collectors.collect("gpu", self._reader.gpu_ratio, None),
            load_1m=self._collectors.collect("load", self._reader.load_1m, None),
            memory=self._collectors.collect("memory", self._reader.memory, Memory()),
            swap=_with_rates(swap, before, now),
            thermal=self._thermal(),
            disks=self._disk_readings,
            panics=self._panics,
            collectors=self._collectors.readings,
        )
        self._before = _Before(at=now, swap=swap, cpu=cpu, boot=boot)
        return snapshot

    def read_disks(self) -> None:
        """Slow tier: a file system that is in trouble may keep statvfs waiting."""
        unknown = tuple(Disk(mount=mount) for mount in self._disks)
        self._disk_readings = self._collectors.collect("disk", self._read_disks, unknown, tier=Tier.SLOW)

    def read_machine(self) -> None:
        """Daily tier: which machine and which system. One that is unknown is asked for again by `complete`."""
        self._machine = self._collectors.collect("machine", self._reader.machine, Machine(), tier=Tier.DAILY)

    def read_panics(self) -> None:
        """Daily tier, and so at every start: a panic ends with one."""
        self._panics = self._collectors.collect(
            "panics", lambda: read_panics(self._panic_folder), Panics(), tier=Tier.DAILY
        )

    def complete(self) -> None:
        """Slow tier: read again what should be known and is not yet."""
        if self._machine == Machine():
            self.read_machine()

    def _thermal(self) -> Thermal:
        level = self._collectors.collect("thermal", self._reader.thermal_level, None)
        self._ever_hot = self._ever_hot or bool(level)
        return Thermal(pressure_level=level, ever_nonzero=self._ever_hot)

    def _read_disks(self) -> tuple[Disk, ...]:
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
        return tuple(found)


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
