"""Where a ledger may lie: never on a network's file system, whose locks and syncs do not hold (sqlite.org/wal.html)."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

_OF_A_NETWORK = frozenset(
    (
        *("nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "webdav", "davfs", "afs", "ncpfs"),
        *("9p", "ceph", "glusterfs", "lustre", "gfs2", "ocfs2", "sshfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph"),
        *("fuse.s3fs", "fuse.rclone", "fuse.davfs", "fuse.davfs2"),
    )
)
_MNT_LOCAL = 0x1000  # sys/mount.h of macOS
_NAME_BYTES, _PATH_BYTES = 16, 1024


class _Statfs(ctypes.Structure):
    """`struct statfs` of 64-bit macOS (sys/mount.h)."""

    _fields_ = (
        ("f_bsize", ctypes.c_uint32),
        ("f_iosize", ctypes.c_int32),
        ("f_blocks", ctypes.c_uint64),
        ("f_bfree", ctypes.c_uint64),
        ("f_bavail", ctypes.c_uint64),
        ("f_files", ctypes.c_uint64),
        ("f_ffree", ctypes.c_uint64),
        ("f_fsid", ctypes.c_int32 * 2),
        ("f_owner", ctypes.c_uint32),
        ("f_type", ctypes.c_uint32),
        ("f_flags", ctypes.c_uint32),
        ("f_fssubtype", ctypes.c_uint32),
        ("f_fstypename", ctypes.c_char * _NAME_BYTES),
        ("f_mntonname", ctypes.c_char * _PATH_BYTES),
        ("f_mntfromname", ctypes.c_char * _PATH_BYTES),
        ("f_reserved", ctypes.c_uint32 * 8),
    )


def refusal(path: Path, *, kind: Callable[[Path], str] | None = None) -> str:
    """Why a ledger may not lie there; "" when it may, or when nobody can say what it lies on."""
    found = (kind or kind_of_place)(path.parent)
    if found not in _OF_A_NETWORK:
        return ""
    return (
        f"{path.parent} is on a network's file system ({found}): its locks and syncs do not hold; "
        "set the ledger's folder to a disk of this machine"
    )


def kind_of_place(folder: Path) -> str:
    """The name of the file system under `folder`; "" = unknown."""
    try:
        if sys.platform == "darwin":
            return _of_macos(folder)
        return of_mounts(Path("/proc/self/mountinfo").read_text(errors="replace"), os.path.realpath(folder))
    except (OSError, AttributeError, ValueError):
        return ""


def of_mounts(mountinfo: str, folder: str) -> str:
    """The type of the file system that holds `folder`, from Linux' mountinfo (proc(5)); "" = unknown. The last wins."""
    best, found = -1, ""
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(" - ")
        words, types = head.split(" "), tail.split(" ")
        if len(words) < 5 or not types[0]:
            continue
        point = words[4].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        inside = folder == point or folder.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, found = len(point), types[0]
    return found


def _of_macos(folder: Path) -> str:
    """`nfs` for whatever is not local: the flag is the system's own word."""
    system = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    answer = _Statfs()
    name = "statfs$INODE64" if hasattr(system, "statfs$INODE64") else "statfs"
    if getattr(system, name)(os.fsencode(folder), ctypes.byref(answer)) != 0:
        return ""
    kind: str = answer.f_fstypename.decode("ascii", "replace")
    return kind if answer.f_flags & _MNT_LOCAL or kind in _OF_A_NETWORK else "nfs"
