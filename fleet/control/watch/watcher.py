"""One look at the fleet: ask, remember, step, and put the rows together. What CLI and TUI both do.

What was missed while nobody looked is asked for afterwards (`catch_up`), so that it holds no picture up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from fleet.control.inventory.node import Node
from fleet.control.watch.backfill import Answered, Backfill
from fleet.control.watch.book import HealthBook
from fleet.control.watch.laptop import Network, Wakes, laptop_problem
from fleet.control.watch.rows import Seen, Sighting, intent_of, look_of, view_of
from fleet.control.watch.seen import SeenFiles
from fleet.control.watch.viafront import Asker
from fleet.control.watch.view import FleetView
from fleet.control.watch.wanted import Wanted
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName


@dataclass(frozen=True, kw_only=True)
class Watcher:
    """Looks at `nodes` again and again, and remembers what it saw. `known` are all that the inventory has."""

    poller: Asker
    seen: SeenFiles
    book: HealthBook
    clock: Clock
    wakes: Wakes
    network: Network
    known: Mapping[NodeName, Node]
    nodes: tuple[Node, ...]
    backfill: Backfill | None = None
    _answered: dict[NodeName, float] = field(default_factory=dict)

    def look(self) -> FleetView:
        """One round: ask, remember, and put the rows together."""
        slept = self.wakes.slept()
        if slept:
            self.poller.close()
        sightings = self.poller.poll(self.nodes)
        self._answered.clear()
        for sighting in sightings.values():
            if sighting.seen is not None:
                self.seen.save(sighting.node, sighting.seen)
                self._answered[sighting.node] = sighting.seen.snapshot.at_seconds
        now = self.clock.now()
        laptop = laptop_problem(self.known, sightings, self.network)
        looks = {name: look for name, sighting in sightings.items() if (look := look_of(sighting)) is not None}
        wanted = {name: one for name, sighting in sightings.items() if (one := _wanted(sighting, now)) is not None}
        states = self.book.look(looks, now, known=self.known, wanted=wanted, laptop=laptop, slept=slept)
        remembered = {name: kept for name, one in sightings.items() if (kept := self._remembered(one)) is not None}
        return view_of(self.nodes, sightings, remembered, now, states=states, laptop_problem=laptop)

    def catch_up(self) -> None:
        """Ask those that answered the last look for what was missed before it, as far as it is time to."""
        if self.backfill is None:
            return
        sessions = {name: self.poller.session_of(name) for name in self._answered}
        self.backfill.catch_up(
            Answered(node=node, now_seconds=self._answered[node.name], session=session)
            for node in self.nodes
            if (session := sessions.get(node.name)) is not None
        )

    def _remembered(self, sighting: Sighting) -> Seen | None:
        """What was seen last of a node that is silent, by us or by a front."""
        if sighting.seen is not None:
            return None
        known = (self.seen.load(sighting.node), sighting.heard)
        return max((one for one in known if one is not None), key=lambda one: one.at, default=None)


def _wanted(sighting: Sighting, now: datetime) -> Wanted | None:
    """What somebody wants of the node, when it said so."""
    if sighting.intent is None:
        return None
    lasted = max((one.since_seconds for one in sighting.intent.sidecars), default=0.0)
    return Wanted(intent_of(sighting.intent), now.timestamp() - max(0.0, lasted))
