"""Machines to run nodes on: network namespaces of their own where this machine may make them, else loopback addresses.

In a namespace 127.0.0.1 is the node's own: what listens there is out of everybody else's reach, as on a real Mac.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """One machine: its address, and the words before a command that runs there."""

    address: str
    prefix: tuple[str, ...] = ()

    def run(self, words: Sequence[str], **settings: object) -> subprocess.Popen[bytes]:
        """Start a command there."""
        return subprocess.Popen([*self.prefix, *words], **settings)  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True)
class Ground:
    """Some machines. `apart`: each has a loopback of its own."""

    places: tuple[Place, ...]
    apart: bool


@contextmanager
def ground(count: int) -> Iterator[Ground]:
    """So many machines, gone afterwards."""
    with ExitStack() as undo:
        places = _namespaces(count, undo)
        yield Ground(places or tuple(Place(f"127.0.0.{2 + number}") for number in range(count)), bool(places))


def _namespaces(count: int, undo: ExitStack) -> tuple[Place, ...]:
    """Namespaces on a bridge of their own; none where that is not allowed here."""
    ip = shutil.which("ip")
    if ip is None or os.geteuid() != 0:
        return ()
    number = os.getpid()
    net = f"10.{200 + number % 50}.{number // 50 % 250}"
    bridge, names = f"flb{number}", [f"fln{number}x{index}" for index in range(count)]

    def did(*words: str) -> bool:
        return subprocess.run([ip, *words], capture_output=True, check=False).returncode == 0

    if not (did("link", "add", bridge, "type", "bridge") and undo.callback(did, "link", "del", bridge)):
        return ()
    if not (did("addr", "add", f"{net}.1/24", "dev", bridge) and did("link", "set", bridge, "up")):
        return ()
    for index, name in enumerate(names):
        if not did("netns", "add", name):
            return ()
        undo.callback(did, "netns", "del", name)
        outer = f"flv{number}x{index}"[:15]
        steps = (
            ("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", name),
            ("link", "set", outer, "master", bridge, "up"),
            ("-n", name, "addr", "add", f"{net}.{11 + index}/24", "dev", "eth0"),
            ("-n", name, "link", "set", "eth0", "up"),
            ("-n", name, "link", "set", "lo", "up"),
        )
        if not all(did(*step) for step in steps):
            return ()
    return tuple(Place(f"{net}.{11 + index}", (ip, "netns", "exec", name)) for index, name in enumerate(names))
