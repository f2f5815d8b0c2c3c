"""Progress for logs and terminals alike: a line a node for every tenth of something large."""

from __future__ import annotations

import threading
from collections.abc import Callable

from fleet.vocabulary.units import bytes_text

_LARGE_BYTES = 1 << 30


class Tenths:
    """Told of every chunk from several threads; speaks at each tenth. What is small is not spoken of."""

    def __init__(self, say: Callable[[str], None], *, large_bytes: int = _LARGE_BYTES) -> None:
        self._say = say
        self._large_bytes = large_bytes
        self._said: dict[str, int] = {}
        self._lock = threading.Lock()

    def tell(self, name: str, done: int, total: int) -> None:
        """`done` of `total` bytes are through."""
        if total < self._large_bytes:
            return
        tenth = done * 10 // total
        with self._lock:
            if tenth <= self._said.get(name, 0):
                return
            self._said[name] = tenth
        self._say(f"{name}: {bytes_text(done)} of {bytes_text(total)}")
