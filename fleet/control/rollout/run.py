"""A run: open a conversation with every node, show the plan, change the nodes in batches.

One thread per node while it works. The node owns what was committed: a laptop that goes away leaves started nodes to
finish alone (DESIGN section 6), and only nodes that were not started stay as they were.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from fleet.control.link.protocol import Link
from fleet.control.rollout.batches import Batch
from fleet.control.rollout.conversation import SyncPart
from fleet.control.rollout.guard import refused
from fleet.control.rollout.journal import Journal, Show
from fleet.control.rollout.nodejob import NodeJob, NodeResult
from fleet.control.rollout.nodetalk import FactsSeen, NodeTalk
from fleet.control.rollout.plan import NodePlan
from fleet.control.rollout.terms import Terms
from fleet.errors import FleetError, NodeError, Unreachable
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.events import Outcome, Phase
from fleet.vocabulary.names import NodeName

GOOD = frozenset({Outcome.CHANGED, Outcome.UNCHANGED})
"""The outcomes of a node that is as it should be."""


class Run:
    """One run over the nodes of `jobs`. Use as a context manager: leaving it closes every session."""

    def __init__(
        self,
        jobs: Sequence[NodeJob],
        *,
        link: Link,
        sync: SyncPart,
        journal: Journal,
        facts_seen: FactsSeen,
        terms: Terms,
        clock: Clock,
        lost: Mapping[NodeName, FleetError] | None = None,
        width: int = 64,
    ) -> None:
        self._left = threading.Event()
        self._talks = {
            job.name: NodeTalk(job, link=link, sync=sync, journal=journal, clock=clock, left=self._left) for job in jobs
        }
        self._journal = journal
        self._facts_seen = facts_seen
        self._terms = terms
        self._lost = lost or {}
        self._pool = ThreadPoolExecutor(max_workers=max(1, min(width, len(jobs))), thread_name_prefix="fleet-node")
        self.plans: dict[NodeName, NodePlan] = {}
        self.results: dict[NodeName, NodeResult] = {}

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exc: object) -> None:
        self._left.set()
        for talk in self._talks.values():
            talk.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._journal.close()

    def show_with(self, show: Show) -> None:
        """From here on another view shows the events."""
        self._journal.show_with(show)

    def check(self) -> Mapping[NodeName, NodePlan]:
        """Ask every node what a deploy would do; a node that matches its receipt answers at once and is done."""
        for node, error in self._lost.items():
            self._finish(failed(node, error))
        self._each(list(self._talks), self._check_one)
        return self.plans

    def leave_refused(self) -> None:
        """Nodes that a guard refuses are left alone: they have failed, and are no part of the plan any more."""
        for node in [node for node, plan in self.plans.items() if plan.refusals]:
            self._talks[node].close()
            self._finish(failed(node, refused(node, self.plans.pop(node).refusals)))

    def release(self) -> None:
        """End every open conversation without a change."""
        for talk in self._talks.values():
            try:
                talk.release()
            except FleetError:
                continue

    def apply(self, batches: Sequence[Batch]) -> Mapping[NodeName, NodeResult]:
        """Change the nodes, batch by batch. A batch with a failure stops the run there if its play says so."""
        stopped: str | None = None
        for number, batch in enumerate(batches, 1):
            if stopped:
                for node in batch.nodes:
                    self._finish(NodeResult(name=node, outcome=Outcome.SKIPPED, detail=f"not started: {stopped}"))
                continue
            what = "canary" if batch.canary else f"batch {number} of {len(batches)}"
            self._journal.say(Phase.APPLY, "note", f"{what} ({batch.play}): {', '.join(batch.nodes)}")
            self._each(batch.nodes, partial(self._apply_one, batch=batch))
            bad = [node for node in batch.nodes if self.results[node].outcome not in GOOD]
            if bad and batch.pace.stop_on_failure:
                stopped = f"{bad[0]} {self.results[bad[0]].outcome}"
        return self.results

    def _each(self, nodes: Sequence[NodeName], work: Callable[[NodeTalk], None]) -> None:
        list(self._pool.map(lambda node: self._guarded(node, work), nodes))

    def _guarded(self, node: NodeName, work: Callable[[NodeTalk], None]) -> None:
        try:
            work(self._talks[node])
        except FleetError as error:
            self._finish(failed(node, error))
        except Exception as error:  # noqa: BLE001 (one node's trouble must not end the threads of the others unheard)
            detail = "".join(traceback.format_exception(error))
            self._finish(failed(node, NodeError(f"fleet's own mistake: {error!r}", node=node, detail=detail)))

    def _finish(self, result: NodeResult) -> None:
        """The node's end: in the words of its detail, else in those of its error."""
        self.results[result.name] = result
        untold = result.error if not result.detail else None
        self._journal.say(
            Phase.DONE,
            "ok" if result.outcome in GOOD else "failed",
            untold.title if untold else result.detail,
            node=result.name,
            detail=untold.detail if untold else "",
            hint=untold.hint if untold else "",
            outcome=result.outcome,
        )

    def _check_one(self, talk: NodeTalk) -> None:
        plan = talk.check(self._terms, facts_seen=self._facts_seen)
        self.plans[talk.job.name] = plan
        if plan.idle:
            talk.release()
            self._finish(NodeResult(name=talk.job.name, outcome=Outcome.UNCHANGED))

    def _apply_one(self, talk: NodeTalk, *, batch: Batch) -> None:
        self._finish(talk.apply(batch.pace, self._terms))


def failed(node: NodeName, error: FleetError) -> NodeResult:
    """How a node ended that could not be looked at or changed."""
    outcome = Outcome.UNREACHABLE if isinstance(error, Unreachable) else Outcome.FAILED
    return NodeResult(name=node, outcome=outcome, error=error)
