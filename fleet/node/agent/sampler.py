"""Takes samples: every collector is timed and fails alone, and what failed is unknown."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from fleet.node.agent.rates import busy_ratio, per_second
from fleet.node.agent.reading import CpuTicks, Machine, MacReader
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.snapshot import CollectorReading, Disk, Memory, Snapshot, Swap, Thermal

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class _Before:
    """Counters of the previous sample, and when it was taken (monotonic)."""

    at: float
    swap: Swap
    cpu: CpuTicks | None
    boot: float | None


def read_disk(mount: str) -> Disk:
    """Size and room for an unprivileged process. Raises OSError. On APFS all volumes of a container share the room."""
    stats = os.statvfs(mount)
    return Disk(mount=mount, total_bytes=stats.f_blocks * stats.f_frsize, free_bytes=stats.f_bavail * stats.f_frsize)


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
        self._collectors: list[CollectorReading] = []

    def sample(self) -> Snapshot:
        """One reading of everything."""
        self._collectors = []
        now = self._clock.monotonic()
        if self._machine in (None, Machine()):
            self._machine = self._collect("machine", self._reader.machine, None)
        boot = self._collect("boot", self._reader.boot_time_seconds, None)
        swap = self._collect("swap", self._reader.swap, Swap())
        cpu = self._collect("cpu", self._reader.cpu, None)
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
            gpu_ratio=self._collect("gpu", self._reader.gpu_ratio, None),
            load_1m=self._collect("load", self._reader.load_1m, None),
            memory=self._collect("memory", self._reader.memory, Memory()),
            swap=_with_rates(swap, before, now),
            thermal=self._thermal(),
            disks=tuple(self._collect("disk", self._read_disks, ())),
            collectors=tuple(self._collectors),
        )
        self._before = _Before(at=now, swap=swap, cpu=cpu, boot=boot)
        return snapshot

    def _thermal(self) -> Thermal:
        level = self._collect("thermal", self._reader.thermal_level, None)
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

    def _collect(self, name: str, read: Callable[[], T], unknown: T) -> T:
        started = self._clock.monotonic()
        problem: str | None = None
        try:
            value = read()
        except Exception as error:  # noqa: BLE001 (one failing collector never takes the agent or the others down)
            value = unknown
            problem = str(error) or type(error).__name__
        seconds = self._clock.monotonic() - started
        self._collectors.append(CollectorReading(name=name, ok=problem is None, seconds=seconds, problem=problem))
        return value


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
