"""Where traffic comes from: a thread that asks the fronts again and again, beside the one that looks at nodes."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from fleet.control.actions.traffic import Traffic
from fleet.errors import FleetError


class TrafficSource(Protocol):
    """Gives the newest traffic without waiting."""

    @property
    def newest(self) -> Traffic | None:
        """None before the first look is over."""
        ...

    @property
    def problem(self) -> str:
        """Why there is none newer, or nothing."""
        ...

    def start(self) -> None:
        """Begin to ask."""
        ...

    def stop(self) -> None:
        """Ask no more. What waits for a front is not waited for."""
        ...

    def soon(self) -> None:
        """Something was changed: ask for all of it now."""
        ...


class Looks(Protocol):
    """What a round of asking is (control/actions/traffic.py)."""

    def look(self, before: Traffic | None = None, *, whole: bool = True) -> Traffic:
        """One round; without `whole` only what runs now."""
        ...


class PolledTraffic:
    """Asks what runs every `every` seconds, and what was counted each `sums_every` rounds, which costs a front more."""

    def __init__(self, looks: Looks, *, every_seconds: float = 5.0, sums_every: int = 6) -> None:
        self._looks = looks
        self._every = every_seconds
        self._sums_every = sums_every
        self._stopped = False
        self._whole = False
        self._wake = threading.Event()
        self.newest: Traffic | None = None
        self.problem = ""

    def start(self) -> None:
        """See TrafficSource."""
        threading.Thread(target=self._run, name="traffic", daemon=True).start()

    def stop(self) -> None:
        """See TrafficSource."""
        self._stopped = True
        self._wake.set()

    def soon(self) -> None:
        """See TrafficSource."""
        self._whole = True
        self._wake.set()

    def _run(self) -> None:
        rounds = 0
        while not self._stopped:
            began = time.monotonic()
            self._wake.clear()
            whole, self._whole = self._whole or rounds % self._sums_every == 0, False
            try:
                self.newest = self._looks.look(self.newest, whole=whole)
                self.problem = ""
            except FleetError as error:
                self.problem = error.title
            except Exception as error:  # noqa: BLE001 (a screen that stands still must say why)
                self.problem = f"asking the fronts failed: {type(error).__name__}: {error}"
            rounds += 1
            self._wake.wait(max(0.0, self._every - (time.monotonic() - began)))
