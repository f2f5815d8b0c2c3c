"""Weights on a volume of their own: ROOT/models is where that very volume is mounted, or nothing is done.

macOS mounts an external volume below /Volumes by its name, and by another one when that is taken. Its UUID stays, and
so does a mount point that is asked for: the paths in plists and releases hold wherever the disk was plugged in.
"""

from __future__ import annotations

import plistlib
from dataclasses import dataclass
from xml.parsers.expat import ExpatError

from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Volume:
    """What `diskutil info -plist` says of a volume. Unknown is None; not mounted is an empty mount point."""

    uuid: str | None = None
    mount_point: str | None = None
    name: str | None = None
    writable: bool | None = None
    owners: bool | None = None
    locked: bool | None = None


def parse_volume(text: str) -> Volume:
    """Total: odd text gives a volume that nothing is known of."""
    try:
        found = plistlib.loads(text.encode())
    except (plistlib.InvalidFileException, ExpatError, ValueError, OverflowError, TypeError, AttributeError, KeyError):
        return Volume()
    if not isinstance(found, dict):
        return Volume()
    return Volume(
        uuid=_text(found.get("VolumeUUID")),
        mount_point=_text(found.get("MountPoint")),
        name=_text(found.get("VolumeName")),
        writable=_flag(found.get("WritableVolume")),
        owners=_flag(found.get("GlobalPermissionsEnabled")),
        locked=_flag(found.get("Locked")),
    )


def require_models_volume(machine: Machine) -> None:
    """Raise Problem `volume` unless ROOT/models is on the volume that the inventory names, where it names one."""
    uuid = machine.layout.models_volume
    if uuid is None:
        return
    folder = f"{machine.layout.root}/models"
    ran = machine.command("diskutil", "info", "-plist", uuid)
    volume = parse_volume(ran.out)
    if ran.code or volume.uuid is None or volume.uuid.upper() != uuid.upper():
        raise _problem("is not there", detail=ran.said or f"no volume {uuid}", hint="connect the disk, then try again")
    if volume.locked:
        raise _problem("is locked", detail=_named(volume), hint=f"sudo diskutil apfs unlockVolume {uuid}")
    mount = f"sudo diskutil mount -mountPoint {folder} {uuid}"
    if not volume.mount_point:
        raise _problem("is not mounted", detail=_named(volume), hint=f"{mount}\n{_at_boot(folder, uuid)}")
    if volume.mount_point != folder:
        raise _problem(
            "is mounted elsewhere",
            detail=f"{_named(volume)} is at {volume.mount_point}, and should be at {folder}",
            hint=f"sudo diskutil unmount {uuid} && {mount}\n{_at_boot(folder, uuid)}",
        )
    if volume.writable is False:
        raise _problem("cannot be written", detail=_named(volume), hint="look for a lock on the disk, and its format")
    if volume.owners is False:
        raise _problem(
            "ignores who owns its files",
            detail=f"{_named(volume)}: any account could change what is served",
            hint=f"sudo diskutil enableOwnership {uuid}",
        )


def _at_boot(folder: str, uuid: str) -> str:
    return f"and for every boot, a line in /etc/fstab (sudo vifs): UUID={uuid} {folder} apfs rw"


def _named(volume: Volume) -> str:
    return f"volume {volume.name or '?'} ({volume.uuid})"


def _problem(what: str, *, detail: str, hint: str) -> Problem:
    return Problem(f"the volume of the models {what}", code="volume", detail=detail, hint=hint)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
