"""The money of a run: reserved before a question goes out, settled after its answer. Never above the ceiling.

What was reserved and never settled, because a process was killed, stays spent.
"""

from __future__ import annotations

import threading


class Purse:
    """Safe for threads. `ceiling_pico` None = no bound."""

    def __init__(self, ceiling_pico: int | None, *, spent_pico: int = 0) -> None:
        self._ceiling = ceiling_pico
        self._spent = spent_pico
        self._held = 0
        self._changed = threading.Condition()

    @property
    def committed_pico(self) -> int:
        """What is spent, with what may still be."""
        with self._changed:
            return self._spent + self._held

    def reserve(self, pico: int) -> bool:
        """Hold `pico`; False = it does not fit whatever comes back. Waits for answers that may free some."""
        with self._changed:
            while not self._fits(pico, self._held):
                if not self._fits(pico, 0) or not self._held:
                    return False
                self._changed.wait()
            self._held += pico
            return True

    def settle(self, reserved_pico: int, pico: int) -> None:
        """What was held cost `pico`."""
        with self._changed:
            self._held -= reserved_pico
            self._spent += pico
            self._changed.notify_all()

    def _fits(self, pico: int, held: int) -> bool:
        return self._ceiling is None or self._spent + held + pico <= self._ceiling
