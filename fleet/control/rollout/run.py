"""A run: open a conversation with every node, show the plan, change the nodes in batches.

One thread per node while it works. The node owns what was committed: a laptop that goes away leaves started nodes to
finish alone (DESIGN section 6), and only nodes that were not started stay as they were.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from fleet.control.link.protocol import Link
from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.batches import Batch
from fleet.control.rollout.capacity import Capacity
from fleet.control.rollout.conversation import SyncPart
from fleet.control.rollout.drive import Aids, Drive
from fleet.control.rollout.exchange import Exchange
from fleet.control.rollout.guard import failed_before, refused
from fleet.control.rollout.journal import Journal, Show
from fleet.control.rollout.moves import GOOD
from fleet.control.rollout.nodejob import NodeJob, NodeResult, failed
from fleet.control.rollout.nodetalk import NOTHING_LIVE, FactsSeen, NodeTalk
from fleet.control.rollout.plan import NodePlan
from fleet.control.rollout.terms import Terms
from fleet.control.rollout.walk import Walk
from fleet.errors import FleetError, NodeError
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.events import Outcome, Phase
from fleet.vocabulary.names import NodeName, RunId


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
        giving = [node for job in jobs if (node := job.giving)]
        self._exchange = Exchange(giving, link=link, sync=sync, run_id=journal.run_id) if len(giving) > 1 else None
        self._talks = {
            job.name: NodeTalk(
                job,
                link=link,
                sync=sync,
                journal=journal,
                clock=clock,
                left=self._left,
                exchange=self._exchange,
            )
            for job in jobs
        }
        self._journal = journal
        self._facts_seen = facts_seen
        self._terms = terms
        self._lost = lost or {}
        self._pool = ThreadPoolExecutor(max_workers=max(1, min(width, len(jobs))), thread_name_prefix="fleet-node")
        self._clock = clock
        self.plans: dict[NodeName, NodePlan] = {}
        self._begun: set[NodeName] = set()
        self.before: dict[NodeName, str] = {}
        """What was live on a node before the run: a state id, or NOTHING_LIVE."""
        self.results: dict[NodeName, NodeResult] = {}

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exc: object) -> None:
        self._left.set()
        if self._exchange is not None:
            self._exchange.close()
        for talk in self._talks.values():
            talk.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._journal.close()

    @property
    def run_id(self) -> RunId:
        """The run's name."""
        return self._journal.run_id

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
        """Nodes that a guard refuses are left alone: they have failed, and are no part of the plan any more.

        Where the very state failed before, the whole release is in doubt: then no node is changed.
        """
        doubted: NodeName | None = None
        for node, plan in list(self.plans.items()):
            bad = (failed_before(plan.bad),) if plan.bad and not plan.idle and not self._terms.force else ()
            refusals = (*plan.refusals, *bad)
            if refusals:
                self._leave(failed(node, refused(node, refusals)))
                doubted = doubted or (node if bad else None)
        for node, plan in list(self.plans.items()) if doubted else ():
            if not plan.idle:
                detail = f"not started: what failed on {doubted} before is not tried elsewhere"
                self._leave(NodeResult(name=node, outcome=Outcome.SKIPPED, detail=detail))

    def _leave(self, result: NodeResult) -> None:
        del self.plans[result.name]
        self._talks[result.name].close()
        self._finish(result)

    def take_up(self, walk: Walk, before: Mapping[NodeName, str]) -> Mapping[NodeName, NodePlan]:
        """Like `check`, for a run whose laptop went away: nodes that have the run are followed later, by `apply`."""
        self.before |= before
        self.results |= {node: NodeResult(name=node, outcome=outcome) for node, outcome in walk.ended.items()}
        for node, error in self._lost.items():
            self._finish(failed(node, error))
        self._each([node for node in sorted(walk.out) if node in self._talks], self._find_out)
        fresh = [*walk.waiting, *sorted(walk.out - self._begun)]
        self._each([node for node in fresh if node in self._talks and node not in self.results], self._check_one)
        return self.plans

    def goes_on(self, walk: Walk, capacity: Capacity) -> Walk:
        """The walk of a run that was taken up, from what is known now.

        Whoever takes up a run that waits for somebody says that its next batch may begin.
        """
        ended = {**walk.ended, **{node: result.outcome for node, result in self.results.items()}}
        old = walk.capacity
        return replace(
            walk,
            rested=walk.rested or walk.asks,
            out=frozenset(self._begun),
            undoing=walk.undoing & self._talks.keys(),
            ended=ended,
            capacity=Capacity(
                copies=capacity.copies or old.copies,
                takes={**old.takes, **capacity.takes},
                up=capacity.up if capacity.takes else old.up,
                watched=capacity.watched or old.watched,
            ),
        )

    def release(self) -> None:
        """End every open conversation without a change."""
        for talk in self._talks.values():
            try:
                talk.release()
            except FleetError:
                continue

    def walk(self, batches: Sequence[Batch], capacity: Capacity | None = None) -> Walk:
        """The walk through these batches, from what `check` found."""
        ended = {node: result.outcome for node, result in self.results.items() if result.outcome not in GOOD}
        return Walk(batches=tuple(batches), capacity=capacity or Capacity(), ended=ended)

    def apply(self, walk: Walk, aids: Aids | None = None) -> Mapping[NodeName, NodeResult]:
        """Change the nodes, as the walk says. `aids.finish` hears of every node's end beside the journal."""
        told = aids or Aids()
        crew = _Crew(self._talks, self._terms, self.before)

        def finish(result: NodeResult) -> None:
            self._finish(result)
            told.finish(result)

        Drive(
            walk,
            crew=crew,
            aids=replace(told, finish=finish),
            pool=self._pool,
            journal=self._journal,
            clock=self._clock,
        ).run()
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

    def _find_out(self, talk: NodeTalk) -> None:
        if talk.began():
            self._begun.add(talk.job.name)

    def _check_one(self, talk: NodeTalk) -> None:
        plan = talk.check(self._terms, facts_seen=self._facts_seen)
        self.plans[talk.job.name] = plan
        self.before.setdefault(talk.job.name, plan.current or plan.state_id)
        if plan.idle:
            talk.release()
            self._finish(NodeResult(name=talk.job.name, outcome=Outcome.UNCHANGED))


@dataclass(frozen=True)
class _Crew:
    """The talks of a run as the drive wants them."""

    talks: Mapping[NodeName, NodeTalk]
    terms: Terms
    before: Mapping[NodeName, str]

    def change(self, node: NodeName, pace: Pace) -> NodeResult:
        return self.talks[node].apply(pace, self.terms)

    def attach(self, node: NodeName, pace: Pace) -> NodeResult:
        return self.talks[node].follow(pace)

    def bring_back(self, node: NodeName, pace: Pace) -> NodeResult:
        return self.talks[node].bring_back(self.before.get(node, NOTHING_LIVE), pace, self.terms)

    def cut(self, node: NodeName) -> None:
        self.talks[node].cut()
