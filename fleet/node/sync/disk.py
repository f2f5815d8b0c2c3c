"""The node's files. Every change is atomic (temporary name, fsync, rename) and never follows a link at its end."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import hashlib
import os
import pwd
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from fleet.node.sync.problem import Problem

_CHUNK_BYTES = 1 << 20
_MOST_LINKS = 32
_LAIN_SECONDS = 2.0
_NO_DIRECTORY = (errno.ENOTDIR, errno.ELOOP)  # what a link is to O_NOFOLLOW: the one on Linux, the other on macOS
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, kw_only=True)
class PathState:
    """What lies at a path: `kind` is missing, file, directory, link or other."""

    kind: str
    mode: int | None = None
    owner: str | None = None
    group: str | None = None
    size: int | None = None

    @property
    def exists(self) -> bool:
        """Whether anything is there."""
        return self.kind != "missing"


class Hasher(Protocol):
    """A SHA-256, plain or keyed."""

    def update(self, block: bytes, /) -> None:
        """Take more bytes."""
        ...

    def hexdigest(self) -> str:
        """64 hex digits."""
        ...


class Disk:
    """Reads and changes files."""

    def __init__(self) -> None:
        self._digests: dict[tuple[int, ...], str] = {}

    def stat(self, path: str) -> PathState:
        """What lies at the path itself (a link is a link)."""
        try:
            info = os.lstat(path)
        except OSError:
            return PathState(kind="missing")
        return PathState(
            kind=_kind(info.st_mode),
            mode=stat.S_IMODE(info.st_mode),
            owner=user_name(info.st_uid),
            group=group_name(info.st_gid),
            size=info.st_size,
        )

    def listing(self, path: str) -> str | None:
        """Mode, user and group as `ls -ldn` shows them, or None."""
        try:
            info = os.lstat(path)
        except OSError:
            return None
        return f"{stat.filemode(info.st_mode)} {info.st_uid} {info.st_gid}"

    def read(self, path: str, *, limit_bytes: int | None = None) -> bytes | None:
        """The content of a regular file, or None. None too when it is longer than the limit."""
        try:
            with self.open(path) as file:
                if limit_bytes is not None and os.fstat(file.fileno()).st_size > limit_bytes:
                    return None
                return file.read()
        except OSError:
            return None

    def open(self, path: str) -> BinaryIO:
        """A regular file for reading; never through a link at its end. Raises OSError."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(f"{path} is not a regular file")
        return os.fdopen(descriptor, "rb")

    def tail(self, path: str, size: int) -> bytes:
        """The last bytes of a regular file; nothing when it cannot be read."""
        try:
            with self.open(path) as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - size))
                return file.read(size)
        except OSError:
            return b""

    def sha256(self, path: str, *, read: Callable[[int], None] = lambda _: None) -> str | None:
        """64 hex digits over a regular file, or None. `read` hears of every block's size.

        One that has lain unchanged since this process read it is not read again.
        """
        try:
            with self.open(path) as file:
                at = os.fstat(file.fileno())
                version = (at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
                found = self._digests.get(version)
                if found is None:
                    lain = time.time() - at.st_ctime
                    found = digest_file(file, hashlib.sha256(), read=read)
                    if lain > _LAIN_SECONDS:  # the clock of files is coarse: the next write may seem to be this one
                        self._digests[version] = found
                return found
        except OSError:
            return None

    def same(self, path: str, other: str) -> bool:
        """Whether two regular files hold the same bytes."""
        try:
            with self.open(path) as one, self.open(other) as two:
                if os.fstat(one.fileno()).st_size != os.fstat(two.fileno()).st_size:
                    return False
                while block := one.read(_CHUNK_BYTES):
                    if block != two.read(len(block)):
                        return False
                return True
        except OSError:
            return False

    def names(self, path: str) -> tuple[str, ...]:
        """The names in a directory, sorted; none when it is not there."""
        try:
            return tuple(sorted(os.listdir(path)))  # noqa: PTH208 (names, not paths)
        except OSError:
            return ()

    def link_target(self, path: str) -> str | None:
        """Where a symbolic link points."""
        try:
            return os.readlink(path)  # noqa: PTH115 (a text, not a path)
        except OSError:
            return None

    def identity(self, path: str) -> str | None:
        """Which file a program is, links followed: a replaced one has another identity (FACTS section 1.2)."""
        try:
            info = os.stat(path)  # noqa: PTH116 (pathlib costs more than all of this)
        except OSError:
            return None
        return f"{os.path.realpath(path)}:{info.st_ino}:{info.st_size}:{info.st_mtime_ns}"

    def free_bytes(self, path: str) -> int | None:
        """What a process may still write to the volume of the path."""
        try:
            volume = os.statvfs(path)
        except OSError:
            return None
        return volume.f_bavail * volume.f_frsize

    def total_bytes(self, path: str) -> int | None:
        """How large the volume of the path is."""
        try:
            volume = os.statvfs(path)
        except OSError:
            return None
        return volume.f_blocks * volume.f_frsize

    def modified_seconds(self, path: str) -> float:
        """When the path changed last; 0 when it is not there."""
        try:
            return os.lstat(path).st_mtime
        except OSError:
            return 0.0

    def write(self, path: str, content: bytes, *, mode: int, owner: str = "", group: str = "") -> None:
        """Put a whole file in place."""
        with self._replacement(path, mode=mode, owner=owner, group=group) as file:
            file.write(content)

    def copy(self, source: str, path: str, *, mode: int, owner: str = "", group: str = "") -> None:
        """Put a copy of a regular file in place."""
        with self.open(source) as origin, self._replacement(path, mode=mode, owner=owner, group=group) as file:
            while block := origin.read(_CHUNK_BYTES):
                file.write(block)

    @contextlib.contextmanager
    def parent(self, path: str) -> Iterator[tuple[int, str]]:
        """The folder that holds `path`, open, and the last name: what is done there cannot be led elsewhere.

        Every link on the way is refused unless it and its folder are root's or our own (on macOS `/etc`, `/tmp` and
        `/var` are such links). Raises Problem (code `unsafe`) and OSError.
        """
        *folders, name = [part for part in path.split("/") if part]
        descriptor = _walk(path, folders)
        try:
            yield descriptor, name
        finally:
            os.close(descriptor)

    def own(self, path: str, *, mode: int, owner: str, group: str) -> None:
        """Give a file or directory its owner and mode; a link there is refused."""
        with self.parent(path) as (folder, name):
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            try:
                give(descriptor, mode=mode, owner=owner, group=group)
            finally:
                os.close(descriptor)

    def directory(self, path: str, *, mode: int = 0o755, owner: str = "", group: str = "") -> None:
        """Make a directory and what leads to it, with its mode and owner. Something else there is refused."""
        above = path.rstrip("/").rpartition("/")[0] or "/"
        if not os.path.isdir(above):  # noqa: PTH112 (as above)
            self.directory(above)
        with self.parent(path) as (folder, name):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=folder)
            try:
                descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            except OSError as error:
                if error.errno not in _NO_DIRECTORY:
                    raise
                hint = "move it away, then deploy again"
                raise Problem(f"{path} is in the way: it is not a directory", hint=hint) from None
            try:
                give(descriptor, mode=mode, owner=owner, group=group)
            finally:
                os.close(descriptor)

    def touch(self, path: str, *, mode: int, owner: str, group: str) -> None:
        """Make sure that a log exists with that owner; its content stays.

        A file that is there is never given away: in the services' own folder it may be a second name of somebody
        else's (macOS lets any account make a hard link to any file). One of another owner is put aside as `.old`.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        with self.parent(path) as (folder, name):
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(name, flags, dir_fd=folder)
                try:
                    info = os.fstat(descriptor)
                    ours = not owner or info.st_uid == user_id(owner)
                    ours = ours and (not group or info.st_gid == group_id(group))
                    if ours and info.st_nlink == 1:
                        give(descriptor, mode=mode, owner="", group="")
                        return
                finally:
                    os.close(descriptor)
                os.rename(name, f"{name}.old", src_dir_fd=folder, dst_dir_fd=folder)
            descriptor = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
            try:
                give(descriptor, mode=mode, owner=owner, group=group)
            finally:
                os.close(descriptor)

    def append(self, path: str, content: bytes) -> None:
        """Add to a file and make it last (fsync). A new file is 0600."""
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            make_last(descriptor)
        finally:
            os.close(descriptor)

    def truncate(self, path: str, size: int) -> None:
        """Cut a file to its first `size` bytes."""
        os.truncate(path, size)

    def rename(self, path: str, target: str) -> None:
        """Give a file or directory another name, in one go. A file that goes to another volume is copied there."""
        try:
            os.rename(path, target)  # noqa: PTH104 (never replaces a directory that holds something)
        except OSError as error:
            info = self.stat(path)
            if error.errno != errno.EXDEV or info.kind != "file" or info.mode is None:
                raise
            self.copy(path, target, mode=info.mode)
            self.remove(path)
        self.settle(target.rpartition("/")[0] or "/")

    def symlink(self, target: str, path: str) -> None:
        """Put a symbolic link in place, in one go."""
        aside = f"{path}.new"
        self.remove(aside)
        os.symlink(target, aside)  # noqa: PTH211 (a relative target)
        self.rename(aside, path)

    def remove(self, path: str) -> None:
        """Remove a file or link. Nothing there is fine."""
        with contextlib.suppress(FileNotFoundError), self.parent(path) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all that is in it; it loses its name first. Nothing there is fine."""
        if self.stat(path).kind != "directory":
            self.remove(path)
            return
        import shutil

        doomed = path if path.endswith(".removed") else f"{path}.removed"
        if doomed != path and self.stat(doomed).exists:
            shutil.rmtree(doomed)
        if doomed != path:
            os.rename(path, doomed)  # noqa: PTH104 (as above)
        shutil.rmtree(doomed)

    def size_bytes(self, path: str) -> int:
        """What a file or a directory with all that is in it holds; links are not followed, the unreadable is 0."""
        try:
            info = os.lstat(path)
            if not stat.S_ISDIR(info.st_mode):
                return info.st_size
            with os.scandir(path) as entries:
                return sum(self.size_bytes(entry.path) for entry in entries)
        except OSError:
            return 0

    def remove_directory(self, path: str) -> bool:
        """Remove a directory that is empty; whether it is gone."""
        try:
            with self.parent(path) as (folder, name):
                os.rmdir(name, dir_fd=folder)
        except OSError:
            return not self.stat(path).exists
        return True

    def settle(self, path: str) -> None:
        """Make what was done in a directory last."""
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                make_last(descriptor)
            finally:
                os.close(descriptor)

    def settle_all(self) -> None:
        """Make everything written so far last."""
        os.sync()

    @contextlib.contextmanager
    def _replacement(self, path: str, *, mode: int, owner: str, group: str) -> Iterator[BinaryIO]:
        """A new file beside `path` that takes its place when all went well."""
        with self.parent(path) as (folder, name):
            aside = f"{name}.new"
            _unlink(aside, folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            try:
                with os.fdopen(os.open(aside, flags, 0o600, dir_fd=folder), "wb") as file:
                    yield file
                    file.flush()
                    give(file.fileno(), mode=mode, owner=owner, group=group)
                    make_last(file.fileno())
                self.put(folder, aside, name)
            except Exception:
                with contextlib.suppress(OSError):
                    _unlink(aside, folder)
                raise

    def put(self, folder: int, aside: str, name: str) -> None:
        """Let a finished file take its name, in one go, within an open folder."""
        os.rename(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
        with contextlib.suppress(OSError):
            descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
            try:
                make_last(descriptor)
            finally:
                os.close(descriptor)


def _walk(path: str, folders: list[str]) -> int:
    """Open a folder name by name, from `/`. The caller closes it."""
    todo = folders[::-1]
    links = 0
    at = os.open("/", _FOLDER)
    try:
        while todo:
            name = todo.pop()
            try:
                below = os.open(name, _FOLDER, dir_fd=at)
            except OSError as error:
                if error.errno not in _NO_DIRECTORY:
                    raise
                info = os.stat(name, dir_fd=at, follow_symlinks=False)
                if not stat.S_ISLNK(info.st_mode):
                    raise
                if not {info.st_uid, os.fstat(at).st_uid} <= {0, os.geteuid()}:
                    whose = user_name(info.st_uid)
                    raise Problem(f"{path} leads through the link {name!r} of {whose}", code="unsafe") from None
                target = os.readlink(name, dir_fd=at)
                links += 1
                if links > _MOST_LINKS:
                    raise
                todo += [part for part in target.split("/") if part][::-1]
                if not target.startswith("/"):
                    continue
                below = os.open("/", _FOLDER)
            os.close(at)
            at = below
    except BaseException:
        os.close(at)
        raise
    return at


def _unlink(name: str, folder: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def make_last(descriptor: int) -> None:
    """What was written survives a power cut. On macOS fsync ends in the drive's cache; F_FULLFSYNC empties that.

    A volume that does not know it (a network share) gets the plain one. Raises OSError.
    """
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)


def digest_file(file: BinaryIO, hasher: Hasher, *, read: Callable[[int], None] = lambda _: None) -> str:
    """The hex digest over what is left of a file. `read` hears of every block's size."""
    while block := file.read(_CHUNK_BYTES):
        hasher.update(block)
        read(len(block))
    return hasher.hexdigest()


def give(descriptor: int, *, mode: int, owner: str, group: str) -> None:
    """Set owner, group (empty = leave) and mode of an open file. Raises Problem."""
    info = os.fstat(descriptor)
    uid = user_id(owner) if owner else info.st_uid
    gid = group_id(group) if group else info.st_gid
    if (uid, gid) != (info.st_uid, info.st_gid):
        os.fchown(descriptor, uid, gid)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
        os.fchmod(descriptor, mode)


def user_id(name: str) -> int:
    """The number of a user. Raises Problem."""
    try:
        return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise Problem(f"there is no user {name!r} on this node") from None


def group_id(name: str) -> int:
    """The number of a group. Raises Problem."""
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise Problem(f"there is no group {name!r} on this node") from None


def user_name(uid: int) -> str:
    """The name of a user; its number when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """The name of a group; its number when it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"
