"""One simulated Mac: its tree, its launchd, its SSH door, and the trouble it is in."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fleet.errors import UsageError
from fleet.sim.brake import Brake
from fleet.sim.doors.listener import SshDoor, make_host_key
from fleet.sim.faults import KINDS, NEED_DAEMONS, Fault, bytes_of, kind_name, seconds_of
from fleet.sim.launchd.board import Board
from fleet.sim.launchd.conditions import Conditions
from fleet.sim.launchd.disabled import DisabledStore
from fleet.sim.launchd.fifo_door import FifoDoor
from fleet.sim.launchd.launchd import Launchd
from fleet.sim.launchd.privilege import is_root
from fleet.sim.launchd.spawn import Spawner
from fleet.sim.launchd.still import StillSpawner
from fleet.sim.launchd.unified_log import UnifiedLog
from fleet.sim.paging import Paging
from fleet.sim.plant import ENDED_BY_BOOT, PUT_AGAIN_AT_BOOT, plant
from fleet.sim.readings import Readings
from fleet.sim.tree import NodeTree

BOOT_SECONDS = 3.0
DISK_FULL_BYTES = 32 * 1024

_PANIC = (
    'panic(cpu 4 caller 0xfffffe0021a3b2c4): "completeMemory() prepare count underflow" @IOGPUMemory.cpp:550\n'
    "Debugger message: panic\nOS version: {build}\nThis panic is simulated by fleet sim.\n"
)


class SimNode:
    """A machine that is on, off, or waiting at its unlock screen."""

    def __init__(
        self,
        tree: NodeTree,
        *,
        ssh_port: int,
        marker: str,
        conditions: Conditions | None = None,
        light: bool = False,
    ) -> None:
        self.tree = tree
        self.power = "off"
        self._light = light
        self._base = conditions or Conditions()
        self._readings = Readings(tree.readings)
        self._faults = self._remembered()
        self._door = SshDoor(tree, ssh_port, user=getpass.getuser())
        spawner = Spawner(marker=marker, path_prefix=str(tree.bin), size_limit_bytes=self._size_limit)
        self._launchd = Launchd(
            spawner=StillSpawner(spawner) if light else spawner,
            disabled=DisabledStore(tree.state),
            log=UnifiedLog(tree.state / "launchd.log"),
            conditions=self._base,
            board=Board(tree.run) if light else None,
        )
        self._paging = Paging(self._readings)
        self._brake = Brake(
            self._launchd.pids,
            slowed=lambda: self._launchd.pids("sidecar"),
            cured=lambda: self._forget("zombie"),
        )
        self._fifo = FifoDoor(tree.run, self._launchd, is_root=self._is_root, restart=self._restart)
        self._restarting: asyncio.Task[None] | None = None
        self._moments: dict[str, Callable[[], Awaitable[None]]] = {
            "reboot": self._reboot,
            "panic": self._panic,
            "unlock": self._unlock,
            "cut": self._cut,
            "host-key": self._new_host_key,
        }

    @property
    def faults(self) -> dict[str, str]:
        """Every lasting fault, by name."""
        return dict(self._faults)

    @property
    def launchd(self) -> Launchd:
        """The node's launchd."""
        return self._launchd

    async def start(self) -> None:
        """Switch the machine on, with the faults that it had. Raises OSError when its port is taken."""
        if not self.tree.host_key.exists():
            make_host_key(self.tree)
        for name, value in list(self._faults.items()):
            await self._put(name, value)
        if self.power == "off" and "down" not in self._faults:
            await self._boot()

    async def stop(self) -> None:
        """Shut down in good order."""
        self._brake.stop()
        self._paging.stop()
        await self._door.close()
        await self._launchd.shut_down()
        self._fifo.close()
        self.power = "off"

    async def inject(self, fault: Fault) -> None:
        """Bring trouble. A lasting one is remembered until it is cleared."""
        moment = self._moments.get(fault.name)
        if moment:
            await moment()
            return
        if self._light and fault.name in NEED_DAEMONS:
            raise UsageError(
                f"{self.tree.name} is a light node: it runs no daemon that {fault.name} could trouble",
                hint="fleet sim up without --light, in another folder (--dir), has daemons",
            )
        if fault.name == "zombie" and not self._pids_of(fault.value):
            raise UsageError(f"no process of {fault.value} runs on {self.tree.name}", hint="fleet sim status")
        self._faults[fault.name] = fault.value
        self._remember()
        await self._put(fault.name, fault.value)

    async def clear(self, name: str | None = None) -> None:
        """End one kind of trouble, or all."""
        for each in [kind_name(name)] if name else list(self._faults):
            if each not in KINDS:
                raise UsageError(f"no fault is called {each!r}")
            if self._faults.pop(each, None) is not None:
                self._remember()
                await self._put(each, None)

    # --- faults ------------------------------------------------------------------------------------------------------

    async def _put(self, name: str, value: str | None) -> None:
        """Make a lasting fault so, or not so (None)."""
        if plant(self.tree, self._readings, name, value):
            return
        match name:
            case "swap-rate":
                self._paging.swap_out(bytes_of(value or "0"))
                if value is None:
                    self._readings.put_swap(bytes_of(self._faults.get("swap", "0")))
            case "loading":
                self._paging.read_in(bytes_of(value or "0"))
            case "decode":
                self._brake.slow(float(value or 1))
            case "zombie":
                self._brake.freeze(self._pids_of(value)) if value else self._brake.thaw()
            case "slow":
                self._door.latency_seconds = seconds_of(value or "0s")
            case "desktop":
                self._launchd.desktop_uid = os.getuid() if value else None
            case "down":
                await (self._lose_power() if value else self._boot())
            case _:
                await self._launchd.change(self._conditions())

    def _conditions(self) -> Conditions:
        faults = self._faults
        return replace(
            self._base,
            pended=faults.get("pended"),
            held=_names(faults.get("hold")),
            crashing=_names(faults.get("crash")),
            kickstart_signal="SIGKILL" if faults.get("kickstart-signal") == "kill" else "SIGTERM",
            bootout_code=int(faults.get("bootout-code", "0")),
            disabled_code=int(faults.get("disabled-code", "5")),
            busy_code=int(faults.get("busy-code", "37")),
        )

    def _pids_of(self, services: str) -> set[int]:
        return set().union(*(self._launchd.pids(name) for name in _names(services)))

    def _is_root(self, pid: int) -> bool:
        return is_root(pid, root_jobs=self._launchd.root_pids())

    def _size_limit(self) -> int | None:
        return DISK_FULL_BYTES if "disk-full" in self._faults else None

    # --- power -------------------------------------------------------------------------------------------------------

    async def _boot(self) -> None:
        self._forget(*ENDED_BY_BOOT)
        self._readings.boot(boot_id=str(uuid.uuid4()).upper(), at=datetime.now(UTC))
        for name in PUT_AGAIN_AT_BOOT:
            if value := self._faults.get(name):
                await self._put(name, value)
        await self._launchd.change(self._conditions())
        self._fifo.open()
        await self._launchd.boot(self.tree.daemons)
        await self._door.open()
        self.power = "on"

    async def _lose_power(self) -> None:
        self.power = "off"
        self._brake.stop()
        self._paging.stop()
        await self._door.close()
        await self._launchd.lose_power()
        self._fifo.close()

    def _restart(self, unlocked: bool) -> None:  # noqa: FBT001 (a callback)
        """As `shutdown -r` and `fdesetup authrestart` do."""
        if self._restarting is None or self._restarting.done():
            self._restarting = asyncio.get_running_loop().create_task(self._reboot(unlocked=unlocked))

    async def _start_again(self, *, unlocked: bool = False) -> None:
        await asyncio.sleep(BOOT_SECONDS * self._base.throttle_scale)
        if self.tree.said("filevault") == "On" and not unlocked:
            self.power = "locked"  # nothing of ours runs, and SSH is not there, until somebody unlocks it
        else:
            await self._boot()

    async def _reboot(self, *, unlocked: bool = False) -> None:
        await self.stop()
        await self._start_again(unlocked=unlocked)

    async def _panic(self) -> None:
        self._door.cut()
        await self._lose_power()
        at = datetime.now(UTC) + timedelta(seconds=self._readings.ahead_seconds())
        stamp = at.astimezone()
        file = self.tree.panics / f"panic-full-{stamp:%Y-%m-%d-%H%M%S}.0002.panic"
        file.write_text(_PANIC.format(build=self.tree.said("os")))
        os.utime(file, (at.timestamp(), at.timestamp()))
        await self._start_again()

    async def _unlock(self) -> None:
        if self.power == "locked":
            await self._boot()

    async def _cut(self) -> None:
        self._door.cut()

    async def _new_host_key(self) -> None:
        make_host_key(self.tree)
        if self.power == "on":
            await self._door.close()
            await self._door.open()

    # --- memory ------------------------------------------------------------------------------------------------------

    def _remembered(self) -> dict[str, str]:
        try:
            found = json.loads((self.tree.state / "faults.json").read_text())
        except (OSError, ValueError):
            return {}
        return {kind_name(name): value for name, value in found.items() if kind_name(name) in KINDS}

    def _forget(self, *names: str) -> None:
        """What ended by itself."""
        if [value for name in names if (value := self._faults.pop(name, None))]:
            self._remember()

    def _remember(self) -> None:
        self.tree.say("faults.json", json.dumps(self._faults))


def _names(value: str | None) -> frozenset[str]:
    """The services of a fault, by commas."""
    return frozenset(filter(None, (value or "").split(",")))
