"""A playbook as values: plays of typed tasks. Frozen, with `{{ }}` not yet filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fleet.control.playbook.health import Check
from fleet.control.playbook.predicates import Predicate
from fleet.control.playbook.strategy import Pace, Strategy
from fleet.control.playbook.tasks import Action


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task: what it is called, when it counts, and what it does. `place` is `file:line:column`."""

    name: str
    kind: str
    action: Action
    place: str
    tags: tuple[str, ...] = ()
    when: Predicate | None = None
    sensitive: bool = False

    def tagged(self, tags: tuple[str, ...]) -> bool:
        """Whether the task is wanted by these tags; no tags want every task."""
        return not tags or bool(set(tags) & set(self.tags))


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """One proof of health and where it is asked for."""

    check: Check
    place: str


@dataclass(frozen=True, kw_only=True)
class Play:
    """What some nodes should be, and how they get there."""

    name: str
    hosts: str
    place: str
    strategy: Strategy = field(default_factory=Strategy)
    tasks: tuple[Task, ...] = ()
    health: tuple[HealthCheck, ...] = ()

    @property
    def pace(self) -> Pace:
        """The strategy in numbers."""
        return self.strategy.pace


@dataclass(frozen=True, kw_only=True)
class Playbook:
    """A list of plays, in order."""

    path: Path
    plays: tuple[Play, ...]
