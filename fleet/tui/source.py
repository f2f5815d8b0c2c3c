"""Where views come from: a thread that looks at the fleet again and again, and keeps the newest view."""

from __future__ import annotations

import gc
import sys
import threading
import time
from typing import Protocol

from fleet.control.watch.view import FleetView
from fleet.errors import FleetError

_OBJECTS = 10_000
"""So many more objects than before call the collector."""
_SWITCH_SECONDS = 0.001
"""A pressed key changes threads three times until it is on the screen: it must not wait 5 ms each time, while a look
reckons."""


class Source(Protocol):
    """Gives the newest view without waiting."""

    @property
    def newest(self) -> FleetView | None:
        """None before the first look is over."""
        ...

    @property
    def problem(self) -> str:
        """Why there is no newer one, or nothing."""
        ...

    def start(self) -> None:
        """Begin to look."""
        ...

    def stop(self) -> None:
        """Look no more. What waits for a node is not waited for."""
        ...


class Looks(Protocol):
    """What a round of looking is (watch/watcher.py)."""

    def look(self) -> FleetView:
        """One round."""
        ...

    def catch_up(self) -> None:
        """Ask for what was missed before it."""
        ...


class Polled:
    """Looks every `every` seconds in a thread of its own. The only state is the newest view: a frozen value."""

    def __init__(self, watcher: Looks, *, every_seconds: float = 5.0) -> None:
        self._watcher = watcher
        self._every = every_seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.newest: FleetView | None = None
        self.problem = ""

    def start(self) -> None:
        """See Source."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._thread = threading.Thread(target=self._run, name="looks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """See Source."""
        self._stopped.set()

    def _run(self) -> None:
        _collect_seldom()
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                self.newest = self._watcher.look()
                self.problem = ""
                self._watcher.catch_up()
            except FleetError as error:
                self.problem = error.title
            except Exception as error:  # noqa: BLE001 (a screen that stands still must say why)
                self.problem = f"looking failed: {type(error).__name__}: {error}"
            self._stopped.wait(max(0.0, self._every - (time.monotonic() - began)))


def _collect_seldom() -> None:
    """What is there now stays, and a look makes thousands of objects of which none is in a cycle.

    Without this the collector stops every thread for a tenth of a second, a key's way to the screen among them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 10, 10)
