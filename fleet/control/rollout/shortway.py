"""Every node asked at once whether it is idle, by states that are remembered: a connection and an exec each, no more.

Either all of them say so, each within a few seconds, or nothing was said: then the long way looks and tells.
Imports little: connections are begun before the SSH library is loaded.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from fleet.control.link import direct
from fleet.control.link.deadline import Deadline
from fleet.control.link.early import Early
from fleet.control.rollout.remembered import Remembered, RememberedNode

if TYPE_CHECKING:
    from fleet.control.link.keymemory import KeyMemory

_MAGIC = b"FLEET-SYNC/1\n"
_PROTOCOL = 1
_SECONDS = 4.0
_NOISE_BYTES = 64 * 1024
_WIDTH = 64


def all_idle(remembered: Remembered, run_id: str, *, memory: Callable[[], KeyMemory]) -> bool:
    """Whether every node says that it is what it should be. `memory` is asked for once connections are on their way."""
    turns = -(-len(remembered.nodes) // _WIDTH)
    deadline = Deadline.after(_SECONDS * turns)
    early = Early(((node.place.host, node.place.port) for node in remembered.nodes), seconds=_SECONDS)
    try:
        direct.load()
        asked = _Asked(remembered, run_id, early, memory(), deadline)
        for _ in range(min(_WIDTH, len(remembered.nodes))):
            threading.Thread(target=asked.work, daemon=True).start()
        if asked.wait():
            return True
    finally:
        early.close()
    direct.unload()
    return False


class _Asked:
    """The nodes that are asked, and what they answered so far."""

    def __init__(
        self, remembered: Remembered, run_id: str, early: Early, memory: KeyMemory, deadline: Deadline
    ) -> None:
        self._sync = remembered.sync
        self._run_id = run_id
        self._early = early
        self._memory = memory
        self._deadline = deadline
        self._lock = threading.Lock()
        self._left = list(reversed(remembered.nodes))
        self._open = len(self._left)
        self._ended = threading.Event()
        self._well = True

    def work(self) -> None:
        """Ask one node after another, until there is none or one was not idle."""
        while True:
            with self._lock:
                if not self._left or not self._well:
                    return
                node = self._left.pop()
            try:
                idle = self._ask(node)
            except Exception:  # noqa: BLE001 (whatever it is: the long way meets it again, and tells it)
                idle = False
            with self._lock:
                self._open -= 1
                self._well = self._well and idle
                if not self._open or not self._well:
                    self._ended.set()

    def wait(self) -> bool:
        """Whether all were idle in time."""
        return self._ended.wait(self._deadline.left_seconds) and self._well and not self._open

    def _ask(self, node: RememberedNode) -> bool:
        place, deadline = node.place, Deadline.after(_SECONDS)
        sock = self._early.take(place.host, place.port, deadline=deadline, node=place.node)
        session = direct.DirectSession(place, sock, memory=self._memory, deadline=deadline)
        try:
            words = f"sync {_PROTOCOL} {node.state_id} {self._run_id} {self._sync}"
            channel = session.exec(f"{node.helper} {words}", deadline=deadline)
            noise = 0
            while not (line := channel.read_line(within_seconds=deadline.left_seconds)).endswith(_MAGIC):
                noise += len(line)
                if noise > _NOISE_BYTES:
                    return False
            size = int(channel.read_line(limit=16, within_seconds=deadline.left_seconds))
            return is_idle(channel.read_exactly(size, within_seconds=deadline.left_seconds), node.state_id)
        finally:
            session.close()


def is_idle(hello: bytes, state_id: str) -> bool:
    """Whether a node's first frame says that it has this very state and nothing to do."""
    try:
        said = json.loads(hello)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("idle") is True and said.get("state_id") == state_id
