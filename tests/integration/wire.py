"""A TCP relay between a laptop and a node: it counts what passes, and can cut, hold or silence the connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

_CHUNK_BYTES = 16 * 1024


class Wire:
    """Listens on a port of its own and carries every connection to `target`, until told otherwise.

    `sent_bytes` counts what went to the node over all connections. When it reaches `cut_at` both sides are cut; at
    `hold_at` the laptop's bytes stop; at `mute_at` the node's answers stop. Either way nobody is told.
    """

    def __init__(self, target: int) -> None:
        self.sent_bytes = 0
        self.connections = 0
        self.cut_at: int | None = None
        self.hold_at: int | None = None
        self.mute_at: int | None = None
        self.shut: Callable[[int], bool] = lambda _: False
        """Whether to hang up on the connection of a number (from 1) before a word is said."""
        self._target = target
        self._lock = threading.Lock()
        self._resumed = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> None:
        """Count from nothing, and carry everything again."""
        self.sent_bytes = self.connections = 0
        self.cut_at = self.hold_at = self.mute_at = None
        self._resumed.set()
        self._resumed = threading.Event()

    @property
    def held(self) -> bool:
        """Whether the laptop's bytes have been stopped."""
        return self.hold_at is not None and self.sent_bytes >= self.hold_at

    def cut(self) -> None:
        """End every connection, both sides, in mid-word."""
        with self._lock:
            ends = [end for pair in self._pairs for end in pair]
        for end in ends:
            _shut(end)

    def close(self) -> None:
        """Carry nothing any more."""
        _shut(self._listener)
        self._listener.close()
        self._resumed.set()
        self.cut()
        with self._lock:
            for pair in self._pairs:
                for end in pair:
                    end.close()

    def _accept(self) -> None:
        while True:
            try:
                laptop, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.shut(self.connections):
                laptop.close()
                continue
            try:
                node = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                laptop.close()
                continue
            with self._lock:
                self._pairs.append((laptop, node))
            threading.Thread(target=self._carry, args=(laptop, node, self._to_node), daemon=True).start()
            threading.Thread(target=self._carry, args=(node, laptop, self._to_laptop), daemon=True).start()

    def _carry(
        self, source: socket.socket, target: socket.socket, passes: Callable[[socket.socket, bytes], None]
    ) -> None:
        try:
            while data := source.recv(_CHUNK_BYTES):
                passes(target, data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _to_node(self, node: socket.socket, data: bytes) -> None:
        if self.cut_at is not None and self.sent_bytes >= self.cut_at:
            self.cut()
            return
        if self.held:
            self._resumed.wait()
            return
        self.sent_bytes += len(data)
        node.sendall(data)

    def _to_laptop(self, laptop: socket.socket, data: bytes) -> None:
        if self.mute_at is None or self.sent_bytes < self.mute_at:
            laptop.sendall(data)


def _shut(end: socket.socket) -> None:
    """Wake whoever waits on it; a closed one does not mind."""
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
