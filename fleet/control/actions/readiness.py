"""Who serves which model, for the capacity floor of a run: from what the run saw, and from a front that can be asked.

A front says best who can be routed to. Where none answers, a node that was looked at serves what it runs, and one that
is no part of the run counts as serving when it can be reached at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from fleet.control.actions.spread import on_each
from fleet.control.desired.expand import expand
from fleet.control.desired.roster import rosters
from fleet.control.desired.templates import Templates
from fleet.control.inventory import Inventory, Node
from fleet.control.inventory.project import Project
from fleet.control.playbook import Playbook
from fleet.control.rollout.capacity import Capacity, Serving, running, taken
from fleet.control.rollout.nodejob import NodeJob
from fleet.control.rollout.plan import NodePlan
from fleet.vocabulary.contracts.gateway_admin import RouteReports, UpstreamReport
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.names import NodeName

AskFronts = Callable[[], Collection[RouteReports]]
"""The routes of every front that answers."""

_ABLE = frozenset({"ready", "full"})
_UNSURE = "unknown"


def copies_of(
    inventory: Inventory, playbook: Playbook, facts: Mapping[NodeName, Facts], project: Project
) -> dict[str, frozenset[NodeName]]:
    """The nodes that ought to serve each model, over the whole inventory."""
    books = expand(inventory, playbook, facts=facts, templates=Templates(project))
    found: dict[str, frozenset[NodeName]] = {}
    for name, roster in rosters(books).items():
        for sidecar in roster.sidecars:
            found[sidecar.serves] = found.get(sidecar.serves, frozenset()) | {name}
    return found


def interrupted(jobs: Iterable[NodeJob], plans: Mapping[NodeName, NodePlan]) -> dict[NodeName, frozenset[str]]:
    """The models that each node's change takes away for a while; nodes that take none away are left out."""
    found = {job.name: taken(job.compiled, plans[job.name]) for job in jobs if job.name in plans}
    return {node: models for node, models in found.items() if models}


def seen_by_run(jobs: Iterable[NodeJob], plans: Mapping[NodeName, NodePlan]) -> dict[str, frozenset[NodeName]]:
    """Who runs a sidecar of each model, of the nodes that the run looked at."""
    found: dict[str, frozenset[NodeName]] = {}
    for job in jobs:
        for model in running(job.compiled, plans[job.name]) if job.name in plans else ():
            found[model] = found.get(model, frozenset()) | {job.name}
    return found


def seen_by_fronts(reports: Collection[RouteReports], otherwise: Serving) -> Serving:
    """Who can be routed to. What no front is sure of is as `otherwise` says."""
    told: dict[tuple[str, NodeName], bool] = {}
    for report in reports:
        for upstream in _upstreams(report):
            key = (upstream.serves, NodeName(upstream.node))
            if upstream.state != _UNSURE and upstream.node:
                told[key] = told.get(key, False) or upstream.state in _ABLE
    models = {*otherwise, *(model for model, _ in told)}
    return {
        model: frozenset(node for node in otherwise.get(model, ()) if told.get((model, node), True))
        | frozenset(node for (serves, node), able in told.items() if serves == model and able)
        for model in models
    }


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Looks who serves what: `capacity` before the first batch, `look` again while nodes wait for the floor.

    `ran` is what the run saw; `others` are the nodes that are no part of it.
    """

    copies: Serving
    takes: Mapping[NodeName, frozenset[str]]
    ran: Serving
    others: Collection[Node]
    ask: AskFronts
    reach: Callable[[Node], None]

    def capacity(self) -> Capacity:
        """Copies, who serves them now, and who takes what away."""
        if not self.takes:
            return Capacity(copies=self.copies)
        return Capacity(copies=self.copies, takes=self.takes, up=self.look(), watched=True)

    def look(self, well: frozenset[NodeName] = frozenset()) -> Serving:
        """Who serves which model now; `well` came back from their change. A single copy needs nobody to be asked."""
        taken = {model for models in self.takes.values() for model in models}
        mates = {node for model in taken if len(self.copies.get(model, ())) > 1 for node in self.copies[model]}
        if not mates:
            return self._with(well)
        reports = self.ask()
        reached = set() if reports else self._reachable([node for node in self.others if node.name in mates])
        return seen_by_fronts(reports, self._with(well | reached))

    def _with(self, more: Set[NodeName]) -> Serving:
        """Who was seen to run a model, and who of `more` ought to serve it."""
        none: frozenset[NodeName] = frozenset()
        models = {*self.ran, *self.copies}
        return {model: self.ran.get(model, none) | (self.copies.get(model, none) & more) for model in models}

    def _reachable(self, nodes: Sequence[Node]) -> set[NodeName]:
        def reach(node: Node) -> tuple[NodeName, bool]:
            self.reach(node)
            return node.name, True

        found = on_each(nodes, reach, failed=lambda node, _: (node.name, False))
        return {name for name, reached in found if reached}


def _upstreams(report: RouteReports) -> Iterable[UpstreamReport]:
    return (upstream for route in report.routes for upstream in route.upstreams)
