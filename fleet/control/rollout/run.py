"""A run: open a conversation with every node, show the plan, change the nodes in batches.

One thread per node while it works. The node owns what was committed: a laptop that goes away leaves started nodes to
finish alone (DESIGN section 6), and only nodes that were not started stay as they were.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from fleet.control.desired.states import Compiled
from fleet.control.link.protocol import Link, Session, Target
from fleet.control.rollout.batches import Batch
from fleet.control.rollout.conversation import Content, Conversation, SyncPart
from fleet.control.rollout.journal import Journal, Show
from fleet.control.rollout.plan import NodePlan, idle_plan, named, node_plan
from fleet.errors import FleetError, HostKeyError, NodeError, ProtocolError, Unreachable
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.events import Outcome, Phase
from fleet.vocabulary.contracts.sync import Done, Event, Facts, Hello, Observed
from fleet.vocabulary.names import NodeName

T = TypeVar("T")

_CONNECT_SECONDS = 15.0
_REATTACH_WAITS = (0.2, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class NodeJob:
    """What a run needs to know of one node."""

    name: NodeName
    target: Target
    helper: Argv
    compiled: Compiled
    contents: Mapping[str, Content | Callable[[], Content]]
    """Where the bytes of every blob are; a function fetches them, and is asked for what the node lacks only."""
    salt: str
    facts: Facts | None = None


@dataclass(frozen=True, kw_only=True)
class NodeResult:
    """How a run ended for one node."""

    name: NodeName
    outcome: Outcome
    error: FleetError | None = None
    detail: str = ""


@dataclass(kw_only=True)
class _Open:
    """A node whose conversation is open and waits for the decision."""

    job: NodeJob
    session: Session
    talk: Conversation
    observed: Observed
    plan: NodePlan = field(init=False)

    def __post_init__(self) -> None:
        self.plan = node_plan(self.job.name, self.job.compiled, self.observed)


class FactsSeen(Protocol):
    """Told what every node says of itself."""

    def __call__(self, node: NodeName, facts: Facts) -> None:
        """Keep it."""
        ...


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
        operator: str,
        clock: Clock,
        lost: Mapping[NodeName, FleetError] | None = None,
        width: int = 64,
    ) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._link = link
        self._sync = sync
        self._journal = journal
        self._facts_seen = facts_seen
        self._operator = operator
        self._clock = clock
        self._lost = lost or {}
        self._pool = ThreadPoolExecutor(max_workers=max(1, min(width, len(jobs))), thread_name_prefix="fleet-node")
        self._left = threading.Event()
        self._open: dict[NodeName, _Open] = {}
        self._why: dict[NodeName, Event] = {}
        self.plans: dict[NodeName, NodePlan] = {}
        self.results: dict[NodeName, NodeResult] = {}

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exc: object) -> None:
        self._left.set()
        for opened in self._open.values():
            opened.session.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._journal.close()

    def show_with(self, show: Show) -> None:
        """From here on another view shows the events."""
        self._journal.show_with(show)

    def check(self) -> Mapping[NodeName, NodePlan]:
        """Ask every node what a deploy would do; a node that matches its receipt answers at once and is done."""
        for node, error in self._lost.items():
            self._finish(node, Outcome.UNREACHABLE if isinstance(error, Unreachable) else Outcome.FAILED, error=error)
        self._each(list(self._jobs.values()), self._check_one)
        return self.plans

    def release(self) -> None:
        """End every open conversation without a change."""
        for opened in self._open.values():
            try:
                opened.talk.bye()
            except FleetError:
                continue

    def apply(self, batches: Sequence[Batch]) -> Mapping[NodeName, NodeResult]:
        """Change the nodes, batch by batch. A batch with a failure stops the run there if its play says so."""
        stopped: str | None = None
        for number, batch in enumerate(batches, 1):
            if stopped:
                for node in batch.nodes:
                    self._finish(node, Outcome.SKIPPED, detail=f"not started: {stopped}")
                continue
            what = "canary" if batch.canary else f"batch {number} of {len(batches)}"
            self._journal.say(Phase.APPLY, "note", f"{what} ({batch.play}): {', '.join(batch.nodes)}")
            self._each([self._jobs[node] for node in batch.nodes], partial(self._apply_one, batch=batch))
            good = (Outcome.CHANGED, Outcome.UNCHANGED)
            failed = [node for node in batch.nodes if self.results[node].outcome not in good]
            if failed and batch.pace.stop_on_failure:
                stopped = f"{failed[0]} {self.results[failed[0]].outcome}"
        return self.results

    def _each(self, jobs: Sequence[NodeJob], work: Callable[[NodeJob], None]) -> None:
        list(self._pool.map(lambda job: self._guarded(job, work), jobs))

    def _guarded(self, job: NodeJob, work: Callable[[NodeJob], None]) -> None:
        try:
            work(job)
        except Unreachable as error:
            self._finish(job.name, Outcome.UNREACHABLE, error=error)
        except FleetError as error:
            self._finish(job.name, Outcome.FAILED, error=error)
        except Exception as error:  # noqa: BLE001 (one node's trouble must not end the threads of the others unheard)
            detail = "".join(traceback.format_exception(error))
            mistake = NodeError(f"fleet's own mistake: {error!r}", node=job.name, detail=detail)
            self._finish(job.name, Outcome.FAILED, error=mistake)

    def _finish(self, node: NodeName, outcome: Outcome, *, error: FleetError | None = None, detail: str = "") -> None:
        """The node's end: in the words of `detail`, else in those of its error."""
        self.results[node] = NodeResult(name=node, outcome=outcome, error=error, detail=detail)
        status = "ok" if outcome in (Outcome.UNCHANGED, Outcome.CHANGED) else "failed"
        untold = error if not detail else None
        self._journal.say(
            Phase.DONE,
            status,
            untold.title if untold else detail,
            node=node,
            detail=untold.detail if untold else "",
            hint=untold.hint if untold else "",
            outcome=outcome,
        )

    def _connect(self, job: NodeJob) -> tuple[Session, Conversation]:
        self._journal.say(Phase.CONNECT, "start", node=job.name)
        session = self._link.connect(job.target, deadline_seconds=_CONNECT_SECONDS)
        return session, Conversation(session, node=job.name, helper=job.helper, sync=self._sync)

    def _check_one(self, job: NodeJob) -> None:
        session, talk = self._connect(job)
        try:
            hello = talk.open(state_id=job.compiled.state.state_id, run_id=self._journal.run_id)
            if hello.facts:
                self._facts_seen(job.name, hello.facts)
                _refuse_changed(job, hello.facts)
            if hello.idle:
                self.plans[job.name] = idle_plan(job.name, job.compiled)
                session.close()
                self._finish(job.name, Outcome.UNCHANGED)
                return
            _refuse_busy(job.name, hello)
            self._journal.say(Phase.CHECK, "start", node=job.name)
            opened = _Open(job=job, session=session, talk=talk, observed=talk.observe(job.compiled.state))
        except BaseException:
            session.close()
            raise
        self._open[job.name] = opened
        self.plans[job.name] = opened.plan
        self._journal.say(Phase.CHECK, "ok", node=job.name)

    def _apply_one(self, job: NodeJob, *, batch: Batch) -> None:
        opened = self._open[job.name]
        self._send(opened)
        self._journal.say(Phase.STAGE, "start", node=job.name)
        deadline = batch.pace.healthy_deadline_seconds
        seen = 0
        taken = True
        talk: Conversation | None = opened.talk
        try:
            opened.talk.commit(self._journal.run_id, operator=self._operator, healthy_deadline_seconds=deadline)
            self._journal.say(Phase.STAGE, "ok", node=job.name)
        except (Unreachable, ProtocolError) as error:
            # It was told to, and stages on without us: whether it takes the run is seen by attaching to it.
            taken, talk = False, None
            self._journal.say(Phase.STAGE, "note", f"connection lost while staging ({error.title})", node=job.name)
        for wait_seconds in _REATTACH_WAITS:
            try:
                talk = talk or self._reattach(opened, after=seen)
                for frame in talk.follow(wait_seconds=deadline + 60):
                    if isinstance(frame, Done):
                        self._settle(job.name, frame)
                        return
                    seen, taken = frame.seq, True
                    self._tell(job.name, frame)
            except HostKeyError:
                raise
            except (Unreachable, ProtocolError) as error:
                if self._left.is_set():  # ^C: nobody listens any more, and nothing waits for this thread
                    raise
                note = f"connection lost, the node goes on alone ({error.title})"
                self._journal.say(Phase.APPLY, "note", note, node=job.name)
                self._clock.sleep(wait_seconds)
            except NodeError:
                if taken or self._left.is_set():
                    raise
                self._clock.sleep(wait_seconds)
            talk = None
        raise Unreachable(
            "the node took the run and cannot be reached any more"
            if taken
            else "the connection was lost while the node staged; it may take the run yet",
            node=job.name,
            hint="it finishes or reverts by itself; fleet status and fleet plan show what it became",
        )

    def _reattach(self, opened: _Open, *, after: int) -> Conversation:
        opened.session.close()
        session, talk = self._connect(opened.job)
        opened.session, opened.talk = session, talk
        talk.attach(self._journal.run_id, after=after)
        return talk

    def _send(self, opened: _Open) -> None:
        job, missing = opened.job, opened.observed.missing
        sizes = {digest: blob.size for digest, blob in job.compiled.state.blobs.items()}
        total = sum(sizes[want.digest] - want.offset for want in missing)
        done = 0

        def progress(count: int) -> None:
            nonlocal done
            done += count
            self._journal.say(Phase.SEND, "progress", node=job.name, done=done, total=total)

        self._journal.say(Phase.SEND, "start", node=job.name, total=total)
        # All of it before the first byte: from then on the node is held, and waits for no download.
        contents = {want.digest: _fetched(job.contents[want.digest]) for want in missing}
        opened.talk.send(missing, contents, salt=job.salt, sizes=sizes, progress=progress)
        self._journal.say(Phase.SEND, "ok", node=job.name, done=total, total=total)

    def _tell(self, node: NodeName, event: Event) -> None:
        if event.status == "failed":
            told = self._why.setdefault(node, event)
            if told is not event and told.text == event.text:
                return  # a step's failure comes again as its gate's, and as the end's
        if not event.key and event.status == "ok":
            return  # the journal's first and last line
        phase = {"gate": Phase.GATE, "revert": Phase.REVERT}.get(event.phase, Phase.APPLY)
        if event.phase == "revert" and event.status == "start" and not event.key:
            self._journal.say(phase, "note", "to what was there before", node=node)
            return
        detail, hint = _advice_apart(event.detail)
        text = _about(event, self._root(node), " · ")
        self._journal.say(phase, event.status, text, node=node, detail=detail, hint=hint)

    def _root(self, node: NodeName) -> str:
        return self._jobs[node].compiled.state.layout.root

    def _settle(self, node: NodeName, done: Done) -> None:
        match done.outcome:
            case "committed":
                self._finish(node, Outcome.CHANGED)
            case "unchanged":
                self._finish(node, Outcome.UNCHANGED)
            case "reverted":
                self._finish(node, Outcome.REVERTED, error=self._reason(node), detail="the node is as it was before")
            case _:
                text = f"neither new nor as it was: fleet logs {node} apply shows the last words"
                self._finish(node, Outcome.FAILED, error=self._reason(node), detail=text)

    def _reason(self, node: NodeName) -> NodeError:
        """Why the node's own run ended as it did; the run has told it already, when it happened."""
        why = self._why.get(node)
        if why is None:
            return NodeError("the node did not say why", node=node, hint=f"fleet logs {node} apply")
        detail, hint = _advice_apart(why.detail)
        return NodeError(_about(why, self._root(node), ": "), node=node, detail=detail, hint=hint)


def _fetched(content: Content | Callable[[], Content]) -> Content:
    return content() if callable(content) else content


def _about(event: Event, root: str, between: str) -> str:
    """What an event says, after what it is about, unless its words name that themselves."""
    name = named(event.key, root)
    bare = name.partition(" ")[2]
    return event.text if bare and bare in event.text else between.join(part for part in (name, event.text) if part)


def _advice_apart(detail: str) -> tuple[str, str]:
    """A node's detail without its last line, when that is advice; and the advice."""
    rest, _, last = detail.rpartition("\n")
    return (rest, last.removeprefix("hint: ")) if last.startswith("hint: ") else (detail, "")


def _refuse_changed(job: NodeJob, seen: Facts) -> None:
    """The state was compiled for what the node was when it was last seen; another OS or memory wants another one."""
    names = ("os_version", "memory_bytes", "arch", "chip")
    known = job.facts or seen
    changed = [name for name in names if getattr(known, name) != getattr(seen, name)]
    if changed:
        raise NodeError(
            "the node is not what it was when it was last seen",
            node=job.name,
            detail="\n".join(f"{name}: {getattr(known, name)} -> {getattr(seen, name)}" for name in changed),
            hint="the same command again compiles for what it is now",
        )


def _refuse_busy(node: NodeName, hello: Hello) -> None:
    if hello.active_run:
        raise NodeError(
            f"run {hello.active_run} is still going on there",
            node=node,
            hint=f"wait for its end, then deploy again; fleet logs {node} apply -f shows it",
        )
