"""A simulated fleet that never stands still: what happens to it while somebody looks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from fleet.errors import FleetError
from fleet.sim.simulation import Simulation

_KINDS = (
    "thermal=2", "thermal=3", "pressure=2", "pressure=4", "swap=2GiB", "swap-rate=200MiB", "headroom=512MiB",
    "disk=0.04", "decode=0.3", "slow=300ms", "time-wait=9000", "crash", "zombie", "noise",
)  # fmt: skip
_ONCE = ("cut", "cut", "panic")
_MOST_AT_ONCE = 3


@dataclass
class Troubles:
    """Brings trouble and takes it away, one thing at a time. `nodes` are those that it may touch."""

    simulation: Simulation
    nodes: tuple[str, ...]
    chance: random.Random = field(default_factory=lambda: random.Random(8))
    happened: int = 0
    _lasting: list[tuple[str, str]] = field(default_factory=list)

    def turn(self) -> str:
        """One thing more, or less; what it was, for people."""
        self.happened += 1
        try:
            return next(self._turns())
        except FleetError as error:
            return f"nothing: {error.title}"

    def _turns(self) -> Iterator[str]:
        node = self.chance.choice(self.nodes)
        dice = self.chance.random()
        if len(self._lasting) >= _MOST_AT_ONCE or (self._lasting and dice < 0.3):
            node, kind = self._lasting.pop(0)
            self.simulation.clear(node, kind)
            yield f"{node}: no more {kind}"
        elif dice < 0.45:
            self._begin(node, "down")
            yield f"{node}: gone"
        elif dice < 0.55:
            fault = self.chance.choice(_ONCE)
            self.simulation.fault(node, fault)
            yield f"{node}: {fault}"
        else:
            fault = self.chance.choice(_KINDS)
            self._begin(node, fault)
            yield f"{node}: {fault}"

    def _begin(self, node: str, fault: str) -> None:
        self.simulation.fault(node, fault)
        self._lasting.append((node, fault.partition("=")[0]))
