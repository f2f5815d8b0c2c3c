"""The sidecars of a node, tended: probed, measured against their own pace, and cared for. The parts, put together."""

from __future__ import annotations

import selectors
from collections.abc import Callable
from pathlib import Path

from fleet.node.agent.baselinefile import BaselineFile
from fleet.node.agent.carefile import CareFile
from fleet.node.agent.carer import Carer
from fleet.node.agent.collectors import Collectors
from fleet.node.agent.edge import EdgeDoor
from fleet.node.agent.goldens import Goldens
from fleet.node.agent.history import History
from fleet.node.agent.paces import Paces
from fleet.node.agent.parts import Part
from fleet.node.agent.processes import ProcessSource, processes_here
from fleet.node.agent.sidecars import Sidecars
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.agent import AgentConfig
from fleet.vocabulary.contracts.gateway_admin import PaceReport
from fleet.vocabulary.contracts.snapshot import CollectorReading, SidecarReading, Snapshot
from fleet.vocabulary.secret import Secret

CARE_NAME = "care.json"
"""In the agent's folder, `var_dir`."""
_VALID_TICKS = 3


class Tending:
    """Everything that the agent does with sidecars. `machine` gives the last sample of the node."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        clock: Clock,
        config: AgentConfig,
        *,
        token: Secret,
        history: History,
        machine: Callable[[], Snapshot],
        changed: Callable[[], None],
        log: Callable[[str], None],
        processes: ProcessSource | None = None,
    ) -> None:
        self._clock, self._watches = clock, bool(config.sidecars)
        self._collectors = Collectors(clock)
        self._door = EdgeDoor(
            selector,
            clock,
            port=config.gateway_admin_port,
            token=token,
            valid_seconds=_VALID_TICKS * max(config.fast_seconds, 1.0),
            heard=self._hear,
        )
        self._paces = Paces(clock, config.sidecars, BaselineFile(history), machine=machine)
        self._sidecars = Sidecars(
            selector,
            clock,
            config.sidecars,
            fast_seconds=config.fast_seconds,
            slow_seconds=config.slow_seconds,
            changed=changed,
            answered_ago=self._answered_ago,
            rests=lambda name: self._carer.rests(name),
        )
        self._goldens = Goldens(selector, clock, config.sidecars, changed=changed)
        self._carer = Carer(
            clock,
            config.sidecars,
            node=config.node,
            door=self._door,
            file=CareFile(Path(config.var_dir) / CARE_NAME),
            processes=processes or processes_here(),
            doubt=self._sidecars.doubt,
            log=log,
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the loop has to run."""
        return (self._sidecars, self._door, self._goldens)

    @property
    def readings(self) -> tuple[SidecarReading, ...]:
        """The sidecars as they are known now."""
        now = self._clock.now().timestamp()
        return tuple(
            self._carer.on(self._goldens.on(self._paces.on(reading, self._door.pace(reading.port), now=now)))
            for reading in self._sidecars.readings
        )

    @property
    def collectors(self) -> tuple[CollectorReading, ...]:
        """How talking to the gateway, learning and caring went."""
        return self._collectors.readings

    def fast(self, snapshot: Snapshot) -> None:
        """Look at everything, and ask the gateway for the next look."""
        if not self._watches:
            return
        self._collectors.collect("care", lambda: self._care(snapshot), None)
        if self._door.there:
            self._collectors.collect("gateway", self._ask, None)
        self._goldens.tick(reading for reading in snapshot.sidecars if self._is_idle(reading))

    def save(self) -> None:
        """Slow tier: keep what was learned and seen."""
        self._paces.save()
        self._carer.note()

    def close(self) -> None:
        """Drop what is under way, and keep what was learned. The history must be open still."""
        self._sidecars.close()
        self._goldens.close()
        self._door.close()
        self._paces.save(at_once=True)

    def _care(self, snapshot: Snapshot) -> None:
        self._carer.look(snapshot)
        if self._carer.problem:
            raise OSError(self._carer.problem)

    def _ask(self) -> None:
        self._door.ask()
        self._door.ask_intent()
        if self._door.problem:
            raise OSError(self._door.problem)

    def _is_idle(self, reading: SidecarReading) -> bool:
        """Whether nothing surely runs on it, as far as anybody can know."""
        unknown = self._door.there and reading.in_flight is None
        return not unknown and not reading.in_flight and not self._carer.rests(reading.name)

    def _hear(self, report: PaceReport) -> None:
        self._collectors.collect("pace", lambda: self._paces.hear(report), None)

    def _answered_ago(self, port: int) -> float | None:
        said = self._door.pace(port)
        return None if said is None else said.answered_seconds_ago
