"""Following a run that a node has, to its end: a connection that is lost is taken up again.

The node owns the run; nothing here can stop it. A run that waits for its confirmation gets it over a new connection.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.conversation import Conversation
from fleet.control.rollout.journal import Journal
from fleet.control.rollout.telling import Telling
from fleet.errors import FleetError, HostKeyError, NodeError, ProtocolError, Unreachable
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.events import Phase
from fleet.vocabulary.contracts.sync import Done, Event
from fleet.vocabulary.names import NodeName, RunId

_WAITS = (0.2, 1.0, 2.0, 4.0)
_LONGEST_WAIT = 8.0
_SILENCE_SECONDS = 60.0
_CONFIRM_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Following:
    """One node's run as it goes. `reach` connects anew, `confirm` says over a session of its own that it could."""

    node: NodeName
    reach: Callable[[], Conversation]
    confirm: Callable[[RunId], None]
    telling: Telling
    journal: Journal
    clock: Clock
    left: threading.Event

    def to_end(self, talk: Conversation | None, pace: Pace, *, run_id: RunId, taken: bool) -> Done:
        """How the run ended. Without `talk` the node is reached for first; `taken`: it is known to have the run.

        Raises Unreachable when it could not be reached for `give_up_after`, NodeError when it never took the run.
        """
        seen = 0
        gone_since: float | None = None
        waits = _pauses()
        while True:
            try:
                if talk is None:
                    talk = self.reach()
                    talk.attach(run_id, after=seen)
                for frame in talk.follow(wait_seconds=pace.healthy_deadline_seconds + _SILENCE_SECONDS):
                    if isinstance(frame, Done):
                        return frame
                    seen, taken, gone_since, waits = frame.seq, True, None, _pauses()
                    self._hear(frame, run_id, pace)
            except HostKeyError:
                raise
            except (Unreachable, ProtocolError) as error:
                if self.left.is_set():  # ^C: nobody listens any more, and nothing waits for this thread
                    raise
                if gone_since is None:
                    note = f"connection lost, the node goes on alone ({error.title})"
                    self.journal.say(Phase.APPLY, "note", note, node=self.node)
            except NodeError:
                if taken or self.left.is_set():
                    raise
            talk = None
            gone_since = self.clock.monotonic() if gone_since is None else gone_since
            if self.clock.monotonic() - gone_since >= pace.give_up_after_seconds:
                raise self._given_up(taken=taken)
            self.clock.sleep(next(waits))

    def _hear(self, event: Event, run_id: RunId, pace: Pace) -> None:
        self.telling.tell(event)
        if event.phase == "confirm" and event.status == "start":
            self._say_it_can_be_reached(run_id, pace.confirm_seconds or 0.0)

    def _say_it_can_be_reached(self, run_id: RunId, within_seconds: float) -> None:
        """Again and again while the node waits for it: a change of its network takes a moment to settle."""
        until = self.clock.monotonic() + within_seconds
        while not self.left.is_set():
            try:
                self.confirm(run_id)
                return
            except FleetError as error:
                if self.clock.monotonic() >= until:
                    note = f"no new connection reached it in time, so it goes back ({error.title})"
                    self.journal.say(Phase.GATE, "note", note, node=self.node)
                    return
            self.clock.sleep(_CONFIRM_AGAIN_SECONDS)

    def _given_up(self, *, taken: bool) -> Unreachable:
        return Unreachable(
            "the node took the run and cannot be reached any more"
            if taken
            else "the connection was lost while the node staged; it may take the run yet",
            node=self.node,
            hint="it finishes or reverts by itself; fleet status and fleet plan show what it became",
        )


def _pauses() -> Iterator[float]:
    """How long to wait before each attempt: shortly at first."""
    yield from _WAITS
    while True:
        yield _LONGEST_WAIT
