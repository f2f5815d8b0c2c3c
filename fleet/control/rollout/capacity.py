"""Who serves what, and whether a node may go away now without a model falling below its floor. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from fleet.control.desired.states import Compiled
from fleet.control.playbook.strategy import LastCopy, Pace
from fleet.control.rollout.plan import STOPS, NodePlan
from fleet.vocabulary.names import NodeName

Serving = Mapping[str, frozenset[NodeName]]
"""Nodes by the model that clients ask for."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """`copies` ought to serve a model, over the whole inventory; `up` do, as far as it is known.

    `takes` are the models that a node's change takes away for a while: none, when neither its gateway nor a sidecar
    is stopped or restarted. `watched`: somebody can look, so a node that was away counts again when it was seen to.
    """

    copies: Serving = field(default_factory=dict)
    up: Serving = field(default_factory=dict)
    takes: Mapping[NodeName, frozenset[str]] = field(default_factory=dict)
    watched: bool = False

    def short(self, node: NodeName, away: Iterable[NodeName], pace: Pace, *, unproved: bool = False) -> tuple[str, ...]:
        """The models that would fall below their floor if the node went away beside those that are away already.

        A node that serves nothing costs nothing; an `unproved` one may serve, though nobody has seen it yet.
        """
        found = []
        for model in sorted(self.takes.get(node, ())):
            serving = self.serving(model, away)
            if (unproved or node in serving) and len(serving - {node}) < self.need(model, pace):
                found.append(model)
        return tuple(found)

    def serving(self, model: str, away: Iterable[NodeName]) -> frozenset[NodeName]:
        """Who serves a model while these nodes are being changed."""
        return self.up.get(model, frozenset()) - {node for node in away if model in self.takes.get(node, ())}

    def need(self, model: str, pace: Pace) -> int:
        """How many copies have to stay."""
        copies = len(self.copies.get(model, ()))
        if copies <= pace.floor and pace.last_copy is LastCopy.ALLOW:
            return max(0, copies - 1)
        return pace.floor

    def hopeless(self, models: Iterable[str], pace: Pace) -> tuple[str, ...]:
        """Those of the models that a `last_copy: refuse` never lets go."""
        refuses = pace.last_copy is LastCopy.REFUSE
        return tuple(model for model in models if refuses and len(self.copies.get(model, ())) <= pace.floor)

    def unproved(self, node: NodeName) -> bool:
        """Whether a node that comes back has to be seen before it counts: a front routes to it after a moment only."""
        return self.watched and bool(self.takes.get(node))

    def stands(self, node: NodeName, *, serves: bool) -> Capacity:
        """The same after a node's change ended: it serves everything that it should, or nothing."""
        up = {model: nodes - {node} for model, nodes in self.up.items()}
        if serves:
            up |= {model: up.get(model, frozenset()) | {node} for model, nodes in self.copies.items() if node in nodes}
        return replace(self, up=up)

    def seen(self, up: Serving, *, keep: Set[NodeName]) -> Capacity:
        """The same after somebody looked; of the nodes in `keep` we know better."""
        models = {*self.up, *up}
        merged = {
            model: frozenset(node for node in up.get(model, ()) if node not in keep)
            | frozenset(node for node in self.up.get(model, ()) if node in keep)
            for model in models
        }
        return replace(self, up=merged)


def taken(compiled: Compiled, plan: NodePlan) -> frozenset[str]:
    """The models that a node does not serve while this plan is carried out."""
    stopped = {change.step.key.removeprefix("daemon:") for change in plan.changes if change.step.action in STOPS}
    sidecars = [service for service in compiled.services if service.serves]
    if any(service.kind == "gateway" and service.label in stopped for service in compiled.services):
        return frozenset(service.serves or "" for service in sidecars)
    return frozenset(service.serves or "" for service in sidecars if service.label in stopped)


def running(compiled: Compiled, plan: NodePlan) -> frozenset[str]:
    """The models whose sidecar has a process on a node that was looked at. An idle node runs everything."""
    alive = {service.label for service in plan.services if service.pid is not None}
    return frozenset(
        service.serves for service in compiled.services if service.serves and (plan.idle or service.label in alive)
    )
