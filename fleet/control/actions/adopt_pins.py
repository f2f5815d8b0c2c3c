"""The pins of nodes that are adopted side by side, written into one inventory.

Each write reads the inventory twice, to prove that nothing else changes. So pins that come while one is written go
together in the next: the work for N nodes does not grow with N times the inventory.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

from fleet.control.inventory.edit import pin_nodes
from fleet.errors import FleetError
from fleet.vocabulary.names import NodeName


class PinWriter:
    """Writes pins for any number of threads."""

    def __init__(self, inventory: Path) -> None:
        self._inventory = inventory
        self._waiting: dict[NodeName, tuple[Mapping[str, str], Future[None]]] = {}
        self._list = threading.Lock()
        self._pen = threading.Lock()

    def pin(self, node: NodeName, values: Mapping[str, str]) -> None:
        """Return when they stand in the file. Raises FleetError when they cannot be written."""
        written: Future[None] = Future()
        with self._list:
            self._waiting[node] = (values, written)
        with self._pen:
            with self._list:
                batch, self._waiting = self._waiting, {}
            if batch:
                self._write(batch)
        written.result()

    def _write(self, batch: Mapping[NodeName, tuple[Mapping[str, str], Future[None]]]) -> None:
        """All at once, or, where one is in the way, each by itself."""
        try:
            pin_nodes(self._inventory, {node: values for node, (values, _) in batch.items()})
        except (FleetError, OSError) as error:
            if len(batch) > 1:
                for node, entry in batch.items():
                    self._write({node: entry})
                return
            for _, written in batch.values():
                written.set_exception(error)
            return
        for _, written in batch.values():
            written.set_result(None)
