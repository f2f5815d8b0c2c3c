"""How much memory the GPU is meant to hold: Metal's word, asked of a short process of our own interpreter.

Metal in the agent itself would cost its memory tens of megabytes. A recording has it in `metal.txt`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from fleet.node.agent.collectors import Collectors, Tier
from fleet.node.agent.commands import Commands, Output
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.contracts.snapshot import Memory
from fleet.vocabulary.macos.digits import whole

SCRIPT = """\
import ctypes
path = "/System/Library/Frameworks/{0}.framework/{0}"
ctypes.CDLL(path.format("CoreGraphics"))
metal, objc = ctypes.CDLL(path.format("Metal")), ctypes.CDLL("/usr/lib/libobjc.A.dylib")
objc.sel_registerName.restype, objc.sel_registerName.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
def ask(kind, of, word):
    send = ctypes.CFUNCTYPE(kind, ctypes.c_void_p, ctypes.c_void_p)(("objc_msgSend", objc))
    return send(of, objc.sel_registerName(word))
for make in (metal.MTLCreateSystemDefaultDevice, metal.MTLCopyAllDevices):
    make.restype, make.argtypes = ctypes.c_void_p, []
device = metal.MTLCreateSystemDefaultDevice()
if not device:
    devices = metal.MTLCopyAllDevices()
    device = ask(ctypes.c_void_p, devices, b"firstObject") if devices else None
if device:
    print(ask(ctypes.c_uint64, device, b"recommendedMaxWorkingSetSize"))
"""
"""A device that is nil where nobody is logged in is found among all of them (FACTS section 2.2)."""
_MOST_BYTES = 1 << 50


class WorkingSet:
    """The last answer. `readings` names the machine: `macos` is asked, `file:PATH` recorded, another has none."""

    def __init__(self, commands: Commands, readings: str, *, note: Collectors, changed: Callable[[], None]) -> None:
        self._commands, self._note, self._changed = commands, note, changed
        kind, _, folder = readings.partition(":")
        self._asks = kind == "macos"
        self._recorded = Path(folder) / "metal.txt" if kind == "file" and folder else None
        self._recommended_bytes: int | None = None
        self._limit_bytes: int | None = None

    def on(self, memory: Memory) -> Memory:
        """The memory with Metal's word. A limit that is another now changes that word: it is asked for again."""
        if memory.wired_limit_bytes != self._limit_bytes:
            self._limit_bytes = memory.wired_limit_bytes
            self.read()
        if self._recommended_bytes is None:
            return memory
        return msgspec.structs.replace(memory, recommended_working_set_bytes=self._recommended_bytes)

    def read(self) -> None:
        """Daily, and when the limit is another: it follows the limit."""
        if self._recorded is not None:
            self._recommended_bytes = self._note.collect("metal", self._read_recorded, None, tier=Tier.DAILY)
        elif self._asks:
            self._commands.run(Argv.of(sys.executable, "-I", "-S", "-c", SCRIPT), self._take)

    def _read_recorded(self) -> int | None:
        assert self._recorded is not None
        try:
            with self._recorded.open("rb") as file:
                return size_of(file.read(64).decode("ascii", "replace"))
        except FileNotFoundError:
            return None

    def _take(self, output: Output) -> None:
        self._recommended_bytes = size_of(output.text) if output.exit_code == 0 else None
        self._note.note("metal", tier=Tier.DAILY, seconds=output.seconds, problem=None)
        self._changed()


def size_of(text: str) -> int | None:
    """Bytes; None for anything that is no size."""
    found = whole(text.strip())
    return found if found is not None and 0 < found < _MOST_BYTES else None
