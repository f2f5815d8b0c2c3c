"""One node's part of a run: what it would do, sending and committing it, and following it to its end.

The node owns what was committed: a connection that is lost is taken up again, and the node goes on meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from fleet.control.link.protocol import Link, Session
from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.conversation import Content, Conversation, SyncPart
from fleet.control.rollout.guard import Judged
from fleet.control.rollout.journal import Journal
from fleet.control.rollout.nodejob import NodeJob, NodeResult, refuse_changed
from fleet.control.rollout.plan import NodePlan, idle_plan, node_plan
from fleet.control.rollout.telling import Telling
from fleet.control.rollout.terms import Terms
from fleet.errors import HostKeyError, NodeError, ProtocolError, Unreachable
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.events import Phase
from fleet.vocabulary.contracts.sync import Done, Facts, Hello, Observed, Progress
from fleet.vocabulary.names import NodeName

_CONNECT_SECONDS = 15.0
_REATTACH_WAITS = (0.2, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 0.0)

FactsSeen = Callable[[NodeName, Facts], None]
"""Told what every node says of itself."""


class NodeTalk:
    """Speaks with one node for one run. `left` is set when nobody listens any more. One thread at a time."""

    def __init__(
        self, job: NodeJob, *, link: Link, sync: SyncPart, journal: Journal, clock: Clock, left: threading.Event
    ) -> None:
        self.job = job
        self._link = link
        self._sync = sync
        self._journal = journal
        self._clock = clock
        self._left = left
        self._telling = Telling(job.name, root=job.root, journal=journal)
        self._session: Session | None = None
        self._talk: Conversation | None = None
        self._observed: Observed | None = None
        self._plan: NodePlan | None = None

    def check(self, terms: Terms, *, facts_seen: FactsSeen) -> NodePlan:
        """What a deploy would do here. Unless that is nothing, the conversation stays open for `apply`."""
        job = self.job
        try:
            talk = self._connect()
            hello = talk.open(state_id=job.compiled.state.state_id, run_id=self._journal.run_id)
            if hello.facts:
                facts_seen(job.name, hello.facts)
                refuse_changed(job, hello.facts)
            if hello.idle:
                self.close()
                return idle_plan(job.name, job.compiled)
            _refuse_busy(job.name, hello)
            self._journal.say(Phase.CHECK, "start", node=job.name)
            self._observed = talk.observe(job.compiled.state)
        except BaseException:
            self.close()
            raise
        plan = node_plan(job.name, job.compiled, self._observed, current=hello.release or "-")
        judged = terms.judged(job.name, hello, plan) if not plan.idle else Judged()
        self._plan = replace(plan, refusals=judged.refusals, notes=judged.notes)
        self._journal.say(Phase.CHECK, "ok", node=job.name)
        return self._plan

    def release(self) -> None:
        """End an open conversation without a change."""
        if self._talk:
            self._talk.bye()

    def apply(self, pace: Pace, terms: Terms) -> NodeResult:
        """Change the node, as `check` said it would, and see it to its end."""
        talk, plan = self._talk, self._plan
        if talk is None or plan is None:
            raise NodeError("nothing was planned", node=self.job.name)
        self._send(talk)
        self._journal.say(Phase.STAGE, "start", node=self.job.name)
        try:
            talk.commit(terms.commit(plan, run_id=self._journal.run_id, pace=pace), told=self._staging)
            self._journal.say(Phase.STAGE, "ok", node=self.job.name)
        except (Unreachable, ProtocolError) as error:
            # It was told to, and stages on without us: whether it takes the run is seen by attaching to it.
            note = f"connection lost while staging ({error.title})"
            self._journal.say(Phase.STAGE, "note", note, node=self.job.name)
            return self._follow(None, pace, taken=False)
        return self._follow(talk, pace, taken=True)

    def _staging(self, far: Progress) -> None:
        name = self.job.name
        self._journal.say(Phase.STAGE, "progress", far.what, node=name, done=far.done, total=far.total)

    def close(self) -> None:
        """Leave the node to itself."""
        if self._session:
            self._session.close()
        self._session = self._talk = None

    def _connect(self) -> Conversation:
        self._journal.say(Phase.CONNECT, "start", node=self.job.name)
        self._session = self._link.connect(self.job.target, deadline_seconds=_CONNECT_SECONDS)
        self._talk = Conversation(self._session, node=self.job.name, helper=self.job.helper, sync=self._sync)
        return self._talk

    def _follow(self, talk: Conversation | None, pace: Pace, *, taken: bool) -> NodeResult:
        seen = 0
        for wait_seconds in _REATTACH_WAITS:
            try:
                talk = talk or self._reattach(after=seen)
                for frame in talk.follow(wait_seconds=pace.healthy_deadline_seconds + 60):
                    if isinstance(frame, Done):
                        return self._telling.result(frame)
                    seen, taken = frame.seq, True
                    self._telling.tell(frame)
            except HostKeyError:
                raise
            except (Unreachable, ProtocolError) as error:
                if self._left.is_set():  # ^C: nobody listens any more, and nothing waits for this thread
                    raise
                note = f"connection lost, the node goes on alone ({error.title})"
                self._journal.say(Phase.APPLY, "note", note, node=self.job.name)
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
            node=self.job.name,
            hint="it finishes or reverts by itself; fleet status and fleet plan show what it became",
        )

    def _reattach(self, *, after: int) -> Conversation:
        self.close()
        talk = self._connect()
        talk.attach(self._journal.run_id, after=after)
        return talk

    def _send(self, talk: Conversation) -> None:
        job, missing = self.job, self._observed.missing if self._observed else ()
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
        talk.send(missing, contents, salt=job.salt, sizes=sizes, progress=progress)
        self._journal.say(Phase.SEND, "ok", node=job.name, done=total, total=total)


def _fetched(content: Content | Callable[[], Content]) -> Content:
    return content() if callable(content) else content


def _refuse_busy(node: NodeName, hello: Hello) -> None:
    if hello.active_run:
        raise NodeError(
            f"run {hello.active_run} is still going on there",
            node=node,
            hint=f"wait for its end, then deploy again; fleet logs {node} apply -f shows it",
        )
