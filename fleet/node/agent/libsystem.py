"""Calls into macOS's libSystem by ctypes: raw bytes in and out, no interpretation. Nothing here forks.

The only module of the agent that cannot work elsewhere; everything that reads its bytes is tested anywhere.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable
from typing import Any, Protocol

_FIRST_ROOM_WORDS = 256
_MIG_ARRAY_TOO_LARGE = -307
_HOST_CPU_LOAD_INFO = 3
_HOST_VM_INFO64 = 4
_RUSAGE_INFO_V0 = 0
_PROCESS_ROOM_BYTES = 1024


class LibSystem(Protocol):
    """What the macOS reader needs of the system."""

    def sysctl(self, name: str) -> bytes | None:
        """The raw value; None when the kernel has no such name. Raises OSError."""
        ...

    def vm_statistics(self) -> bytes:
        """A `vm_statistics64` as long as this kernel's. Raises OSError."""
        ...

    def cpu_load(self) -> bytes:
        """A `host_cpu_load_info`. Raises OSError."""
        ...

    def notify_state(self, key: str) -> int:
        """The state of a notify(3) key. Raises OSError."""
        ...

    def process_usage(self, pid: int) -> bytes | None:
        """A `rusage_info_v0`; None when there is no such process or it is not ours to see."""
        ...


def grown(call: Callable[[Any, Any], int]) -> bytes:
    """The answer of a Mach call that fills an array and says how much it filled. Raises OSError.

    The buffer is larger than any struct known today, and when the kernel has more to say it is asked again with
    the room that it named: macOS 27 grew `vm_statistics64` (FACTS section 9).
    """
    room = _FIRST_ROOM_WORDS
    status = 0
    for _ in range(2):
        buffer = (ctypes.c_int32 * room)()
        count = ctypes.c_uint32(room)
        status = call(buffer, ctypes.byref(count))
        if status == 0:
            return bytes(buffer)[: count.value * 4]
        if status != _MIG_ARRAY_TOO_LARGE or count.value <= room:
            break
        room = count.value
    raise OSError(errno.EIO, f"the kernel answered {status}")


class CtypesLibSystem:
    """The real one. One notify token per key and one host port are kept: both are limited resources."""

    def __init__(self) -> None:
        lib: Any = ctypes.CDLL("/usr/lib/libSystem.B.dylib", use_errno=True)
        size, word = ctypes.c_size_t, ctypes.c_uint32
        lib.sysctlbyname.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.POINTER(size), ctypes.c_void_p, size]
        lib.sysctlbyname.restype = ctypes.c_int
        lib.mach_host_self.argtypes = []
        lib.mach_host_self.restype = word
        for call in (lib.host_statistics, lib.host_statistics64):
            call.argtypes = [word, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(word)]
            call.restype = ctypes.c_int
        lib.notify_register_check.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)]
        lib.notify_register_check.restype = word
        lib.notify_get_state.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_uint64)]
        lib.notify_get_state.restype = word
        lib.proc_pid_rusage.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
        lib.proc_pid_rusage.restype = ctypes.c_int
        self._lib = lib
        self._host = lib.mach_host_self()
        self._tokens: dict[str, int] = {}

    def sysctl(self, name: str) -> bytes | None:
        """The raw value of `name`; asked again when it grew between the two calls."""
        length = ctypes.c_size_t(0)
        for _ in range(3):
            if self._lib.sysctlbyname(name.encode(), None, ctypes.byref(length), None, 0):
                _raise_unless_absent(name)
                return None
            buffer = ctypes.create_string_buffer(max(1, length.value))
            if not self._lib.sysctlbyname(name.encode(), buffer, ctypes.byref(length), None, 0):
                return buffer.raw[: length.value]
            if ctypes.get_errno() != errno.ENOMEM:
                _raise_unless_absent(name)
                return None
        raise OSError(errno.ENOMEM, f"{name} keeps growing")

    def vm_statistics(self) -> bytes:
        """`host_statistics64(HOST_VM_INFO64)`."""
        return grown(lambda buffer, count: int(self._lib.host_statistics64(self._host, _HOST_VM_INFO64, buffer, count)))

    def cpu_load(self) -> bytes:
        """`host_statistics(HOST_CPU_LOAD_INFO)`."""
        return grown(
            lambda buffer, count: int(self._lib.host_statistics(self._host, _HOST_CPU_LOAD_INFO, buffer, count))
        )

    def notify_state(self, key: str) -> int:
        """`notify_get_state` on the one token of `key`."""
        if key not in self._tokens:
            token = ctypes.c_int(0)
            status = self._lib.notify_register_check(key.encode(), ctypes.byref(token))
            if status:
                raise OSError(errno.EIO, f"notify_register_check answered {status}")
            self._tokens[key] = token.value
        state = ctypes.c_uint64(0)
        status = self._lib.notify_get_state(self._tokens[key], ctypes.byref(state))
        if status:
            del self._tokens[key]  # notifyd was started again: a new token next time
            raise OSError(errno.EIO, f"notify_get_state answered {status}")
        return state.value

    def process_usage(self, pid: int) -> bytes | None:
        """`proc_pid_rusage(RUSAGE_INFO_V0)`."""
        buffer = ctypes.create_string_buffer(_PROCESS_ROOM_BYTES)
        return None if self._lib.proc_pid_rusage(pid, _RUSAGE_INFO_V0, buffer) else buffer.raw


class AbsentLibSystem:
    """Stands in for a libSystem that cannot be loaded: every call fails, and texts of commands are all there is."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    def sysctl(self, name: str) -> bytes | None:
        """Raises OSError."""
        raise OSError(errno.ENOSYS, f"sysctl {name}: {self._problem}")

    def vm_statistics(self) -> bytes:
        """Raises OSError."""
        raise OSError(errno.ENOSYS, self._problem)

    def cpu_load(self) -> bytes:
        """Raises OSError."""
        raise OSError(errno.ENOSYS, self._problem)

    def notify_state(self, key: str) -> int:
        """Raises OSError."""
        raise OSError(errno.ENOSYS, f"{key}: {self._problem}")

    def process_usage(self, pid: int) -> bytes | None:  # noqa: ARG002 (no process is seen)
        """Nothing."""
        return None


def load() -> LibSystem:
    """The libSystem of this machine."""
    try:
        return CtypesLibSystem()
    except (OSError, AttributeError) as error:
        return AbsentLibSystem(str(error))


def _raise_unless_absent(name: str) -> None:
    """Raise OSError for the failure of a call, unless it is that the kernel lacks the name."""
    code = ctypes.get_errno()
    if code != errno.ENOENT:
        raise OSError(code, f"sysctl {name}")
