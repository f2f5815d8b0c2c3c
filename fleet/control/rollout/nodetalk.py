"""One node's part of a run: what it would do, sending and committing it, and following it to its end.

The node owns what was committed: a connection that is lost is taken up again, and the node goes on meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from fleet.control.link.protocol import Link, Session
from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.audit import run_line
from fleet.control.rollout.conversation import Conversation, NodeRefusal, SyncPart
from fleet.control.rollout.exchange import Exchange
from fleet.control.rollout.following import Following
from fleet.control.rollout.guard import Judged
from fleet.control.rollout.journal import Journal
from fleet.control.rollout.nodejob import NodeJob, NodeResult, failed, refuse_changed
from fleet.control.rollout.plan import NodePlan, idle_plan, node_plan
from fleet.control.rollout.sending import Sending
from fleet.control.rollout.telling import Telling
from fleet.control.rollout.terms import Terms
from fleet.errors import FleetError, HostKeyError, NodeError, ProtocolError, Unreachable
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.events import Outcome, Phase
from fleet.vocabulary.contracts.sync import Commit, Facts, Hello, Hold, Missing, Observed, Progress
from fleet.vocabulary.names import NodeName, RunId, StateId

NOTHING_LIVE = "-"
"""In the place of a state id: no release was live."""

_CONNECT_SECONDS = 15.0
_FIRST_WORD_SECONDS = 60.0
_CONFIRM_WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)
_SENT_UNASKED_BYTES = 256 * 1024

FactsSeen = Callable[[NodeName, Facts], None]
"""Told what every node says of itself."""


class NodeTalk:
    """Speaks with one node for one run. `left` is set when nobody listens any more. One thread at a time."""

    def __init__(
        self,
        job: NodeJob,
        *,
        link: Link,
        sync: SyncPart,
        journal: Journal,
        clock: Clock,
        left: threading.Event,
        exchange: Exchange | None = None,
    ) -> None:
        self.job = job
        self._link = link
        self._sync = sync
        self._journal = journal
        self._clock = clock
        self._left = left
        self._exchange = exchange
        self._telling = Telling(job.name, root=job.root, journal=journal)
        self._session: Session | None = None
        self._talk: Conversation | None = None
        self._observed: Observed | None = None
        self._plan: NodePlan | None = None

    def check(self, terms: Terms, *, facts_seen: FactsSeen) -> NodePlan:
        """What a deploy would do here. Unless that is nothing, the conversation stays open for `apply`."""
        met = self.job.met
        if met is not None and met.run_id == self._journal.run_id:
            self._session, self._talk = met.session, met.talk
            try:
                return self._look(met.talk, met.hello, terms, facts_seen=facts_seen)
            except (Unreachable, ProtocolError):  # it went away while the state was compiled
                pass
        try:
            talk = self._connect()
            hello = talk.open(state_id=self.job.compiled.state.state_id, run_id=self._journal.run_id)
        except BaseException:
            self.close()
            raise
        return self._look(talk, hello, terms, facts_seen=facts_seen)

    def _look(self, talk: Conversation, hello: Hello, terms: Terms, *, facts_seen: FactsSeen) -> NodePlan:
        job = self.job
        try:
            if hello.facts:
                facts_seen(job.name, hello.facts)
                refuse_changed(job, hello.facts)
            if hello.idle:
                self._has_weights(())
                self.close()
                return idle_plan(job.name, job.compiled)
            if terms.steal:
                self._steal(talk, terms)
            else:
                self._refuse_busy(hello)
            self._journal.say(Phase.CHECK, "start", node=job.name)
            self._observed = talk.observe(job.compiled.state)
            self._has_weights(self._observed.missing)
        except BaseException:
            self.close()
            raise
        plan = node_plan(job.name, job.compiled, self._observed, current=hello.release or NOTHING_LIVE)
        judged = terms.judged(job.name, hello, plan) if not plan.idle else Judged()
        self._plan = replace(plan, refusals=judged.refusals, notes=judged.notes)
        self._journal.say(Phase.CHECK, "ok", node=job.name)
        return self._plan

    def _steal(self, talk: Conversation, terms: Terms) -> None:
        """Take the node over before it is looked at: a run that has it goes back first."""
        victim = talk.hold(self._wish(terms, steal=True)).stolen_from
        if victim is not None:
            text = f"taken over from run {victim.run_id} of {victim.holder or 'somebody'}"
            self._journal.say(Phase.CHECK, "note", text, node=self.job.name)

    def release(self) -> None:
        """End an open conversation without a change."""
        if self._talk:
            self._talk.bye()

    def began(self) -> bool:
        """Whether the node has this run, from before: its end is in `follow`. Else it was not touched."""
        try:
            talk = self._connect()
            talk.attach(self._journal.run_id, after=0)
            next(talk.follow(wait_seconds=_FIRST_WORD_SECONDS))
        except NodeRefusal as refusal:
            if refusal.said != "no_run":
                raise
            return False
        finally:
            self.close()
        return True

    def apply(self, pace: Pace, terms: Terms) -> NodeResult:
        """Change the node, as `check` said it would, and see it to its end."""
        talk, plan = self._talk, self._plan
        if talk is None or plan is None:
            raise NodeError("nothing was planned", node=self.job.name)
        commit = terms.commit(plan, run_id=self._journal.run_id, pace=pace)
        return self._written_down(lambda: self._change(talk, pace, terms, commit), commit, plan, terms)

    def _change(self, talk: Conversation, pace: Pace, terms: Terms, commit: Commit) -> NodeResult:
        self._send(talk, terms)
        self._journal.say(Phase.STAGE, "start", node=self.job.name)
        try:
            self._commit(talk, commit)
            self._journal.say(Phase.STAGE, "ok", node=self.job.name)
        except (Unreachable, ProtocolError) as error:
            # It was told to, and stages on without us: whether it takes the run is seen by attaching to it.
            note = f"connection lost while staging ({error.title})"
            self._journal.say(Phase.STAGE, "note", note, node=self.job.name)
            return self._end(None, pace, taken=False)
        return self._end(talk, pace, taken=True)

    def follow(self, pace: Pace) -> NodeResult:
        """See a run that the node has to its end."""
        return self._end(None, pace, taken=True)

    def bring_back(self, to: str, pace: Pace, terms: Terms) -> NodeResult:
        """Make live again what was live before the run; `to` is its state id, `-` where nothing was."""
        name = self.job.name
        if to == NOTHING_LIVE:
            detail = "stays: this is its first release, there is nothing to go back to"
            return NodeResult(name=name, outcome=Outcome.CHANGED, detail=detail)
        self.close()
        run_id = RunId(f"{self._journal.run_id}.back")
        talk = self._connect()
        hello = talk.open(state_id="-", run_id=run_id)
        observed = talk.observe(talk.recall(to))
        if observed.missing:
            raise NodeError(
                "what was live before is not whole on the node any more",
                node=name,
                hint="deploy the last good commit: it sends what is missing",
            )
        plan = NodePlan(node=name, state_id=StateId(to), current=hello.release or NOTHING_LIVE)
        back = replace(terms, action="rollback", force=True)
        commit = back.commit(plan, run_id=run_id, pace=replace(pace, confirm_seconds=None))
        return self._written_down(lambda: self._bring_back(talk, pace, commit), commit, plan, terms)

    def _bring_back(self, talk: Conversation, pace: Pace, commit: Commit) -> NodeResult:
        name, run_id = self.job.name, RunId(commit.run_id)
        self._commit(talk, commit)
        done = self._following().to_end(talk, pace, run_id=run_id, taken=True)
        if done.outcome in ("committed", "unchanged"):
            return NodeResult(name=name, outcome=Outcome.REVERTED, detail="back to what it was before the run")
        return replace(self._telling.result(done), outcome=Outcome.FAILED, detail="it did not go back")

    def _written_down(
        self, change: Callable[[], NodeResult], commit: Commit, plan: NodePlan, terms: Terms
    ) -> NodeResult:
        """Do it, and write into the laptop's audit how it ended."""
        began = self._clock.monotonic()
        commit = replace(commit, key_fingerprint=self._key_fingerprint)
        try:
            result = change()
        except FleetError as error:
            self._write_down(commit, plan, terms, failed(self.job.name, error), began)
            raise
        self._write_down(commit, plan, terms, result, began)
        return result

    def _write_down(self, commit: Commit, plan: NodePlan, terms: Terms, result: NodeResult, began: float) -> None:
        seconds = self._clock.monotonic() - began
        line = run_line(commit, plan, result, at_seconds=self._clock.now().timestamp(), seconds=seconds)
        try:
            terms.write_down(line)
        except OSError as error:
            text = f"the audit of this laptop could not be written: {error}"
            self._journal.say(Phase.APPLY, "note", text, node=self.job.name)

    def cut(self) -> None:
        """From another thread: whoever waits on the connection sees that it is gone."""
        session = self._session
        if session:
            session.close()

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

    def _end(self, talk: Conversation | None, pace: Pace, *, taken: bool) -> NodeResult:
        return self._telling.result(self._following().to_end(talk, pace, run_id=self._journal.run_id, taken=taken))

    def _following(self) -> Following:
        return Following(
            node=self.job.name,
            reach=self._reach,
            confirm=self._confirm,
            telling=self._telling,
            journal=self._journal,
            clock=self._clock,
            left=self._left,
        )

    def _refuse_busy(self, hello: Hello) -> None:
        node, lease = self.job.name, hello.lease
        if hello.active_run in (None, self._journal.run_id):
            return
        who = f" ({lease.holder}, {_moment(lease.since_seconds)})" if lease and lease.holder else ""
        raise NodeError(
            f"run {hello.active_run} is still going on there{who}",
            node=node,
            hint=f"wait for its end, then deploy again; fleet logs {node} apply -f shows it\n"
            "or take the node over, and let that run go back: fleet deploy --steal",
        )

    def _wish(self, terms: Terms, *, steal: bool = False) -> Hold:
        return Hold(holder=terms.operator, key_fingerprint=self._key_fingerprint, steal=steal)

    def _commit(self, talk: Conversation, commit: Commit) -> None:
        talk.commit(replace(commit, key_fingerprint=self._key_fingerprint), told=self._staging)

    @property
    def _key_fingerprint(self) -> str | None:
        return self._session.key_fingerprint if self._session else None

    def _reach(self) -> Conversation:
        self.close()
        return self._connect()

    def _confirm(self, run_id: RunId) -> None:
        """Over a connection of its own: that it can be had is what is to be proved. One that fails is tried again."""
        for wait_seconds in _CONFIRM_WAITS:
            try:
                self._confirm_once(run_id)
                return
            except HostKeyError:
                raise
            except (Unreachable, ProtocolError):
                self._clock.sleep(wait_seconds)
        self._confirm_once(run_id)

    def _confirm_once(self, run_id: RunId) -> None:
        session = self._link.connect(self.job.target, deadline_seconds=_CONNECT_SECONDS)
        try:
            Conversation(session, node=self.job.name, helper=self.job.helper, sync=self._sync).confirm(run_id)
        finally:
            session.close()

    def _has_weights(self, missing: Sequence[Missing]) -> None:
        """The node has all weights of its state but what is missing: others may get them from it."""
        if self._exchange is not None:
            lacks = {want.digest for want in missing}
            have = (file.blob.digest for tree in self.job.weights for file in tree.files)
            self._exchange.holds(self.job.name, [digest for digest in have if digest not in lacks])

    def _send(self, talk: Conversation, terms: Terms) -> None:
        job, missing = self.job, self._observed.missing if self._observed else ()
        done = 0

        def progress(count: int) -> None:
            nonlocal done
            done += count
            self._journal.say(Phase.SEND, "progress", node=job.name, done=done, total=total)

        def waits_now() -> None:
            text = "waits until another node has the weights"
            self._journal.say(Phase.SEND, "note", text, node=job.name, done=done, total=total)

        sending = Sending(
            node=job.name,
            missing=missing,
            contents=job.contents,
            sizes={digest: blob.size for digest, blob in job.compiled.state.blobs.items()},
            salt=job.salt,
            exchange=self._exchange,
            progress=progress,
            waits_now=waits_now,
        )
        total = sending.total
        self._journal.say(Phase.SEND, "start", node=job.name, total=total)
        sending.prepare()
        if missing and not terms.steal:
            if total > _SENT_UNASKED_BYTES or sending.waits:
                talk.hold(self._wish(terms))
            else:  # a round trip less; who is refused has sent next to nothing
                talk.hold_on(self._wish(terms))
        sending.run(talk)
        self._journal.say(Phase.SEND, "ok", sending.told, node=job.name, done=total, total=total)


def _moment(since_seconds: float) -> str:
    return f"since {datetime.fromtimestamp(since_seconds, UTC):%Y-%m-%d %H:%M} UTC"
