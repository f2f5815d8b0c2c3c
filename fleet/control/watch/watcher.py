"""One look at the fleet: ask, remember, step, and put the rows together. What CLI and TUI both do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.control.inventory.node import Node
from fleet.control.watch.book import HealthBook
from fleet.control.watch.laptop import Network, Wakes, laptop_problem
from fleet.control.watch.poll import Poller
from fleet.control.watch.rows import look_of, view_of
from fleet.control.watch.seen import SeenFiles
from fleet.control.watch.view import FleetView
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName


@dataclass(frozen=True, kw_only=True)
class Watcher:
    """Looks at `nodes` again and again, and remembers what it saw. `known` are all that the inventory has."""

    poller: Poller
    seen: SeenFiles
    book: HealthBook
    clock: Clock
    wakes: Wakes
    network: Network
    known: Mapping[NodeName, Node]
    nodes: tuple[Node, ...]

    def look(self) -> FleetView:
        """One round: ask, remember, and put the rows together."""
        slept = self.wakes.slept()
        if slept:
            self.poller.close()
        sightings = self.poller.poll(self.nodes)
        for sighting in sightings.values():
            if sighting.seen is not None:
                self.seen.save(sighting.node, sighting.seen)
        now = self.clock.now()
        laptop = laptop_problem(self.known, sightings, self.network)
        looks = {name: look for name, sighting in sightings.items() if (look := look_of(sighting)) is not None}
        states = self.book.look(looks, now, known=self.known, laptop=laptop, slept=slept)
        silent = [node.name for node in self.nodes if sightings[node.name].seen is None]
        remembered = {name: kept for name in silent if (kept := self.seen.load(name)) is not None}
        return view_of(self.nodes, sightings, remembered, now, states=states, laptop_problem=laptop)
