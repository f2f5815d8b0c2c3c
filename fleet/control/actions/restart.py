"""`fleet restart`: services of one node, emptied first and proved after. The node does it, as a run of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import fleet
from fleet.control.actions.drain import require_another
from fleet.control.actions.gateways import GatewayNode, Gateways
from fleet.control.actions.reach import require_adopted
from fleet.control.inventory import Node
from fleet.control.link.protocol import Link, target_of
from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.conversation import Conversation, SyncPart, helper_argv
from fleet.control.rollout.following import Following
from fleet.control.rollout.journal import Journal
from fleet.control.rollout.telling import Telling
from fleet.errors import FleetError, NodeError, Unreachable
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.events import Outcome, Phase
from fleet.vocabulary.contracts.questions import Restart

_CONNECT_SECONDS = 15.0
_STARTING_SECONDS = 600.0
_GATEWAY = "gateway"
_NOT_SERVING = frozenset({"agent", "openclaw"})


@dataclass(frozen=True, kw_only=True)
class RestartTerms:
    """How to restart. `drain_seconds` None = as long as was deployed; `force` also cuts, and takes a last copy away."""

    operator: str
    drain_seconds: float | None = None
    force: bool = False


def without_work(services: Sequence[str]) -> tuple[str, ...] | None:
    """The sidecars that get no work meanwhile, by these words; None = all of the node. Pure.

    No word is every sidecar, and whatever is behind a gateway waits with it.
    """
    if not services or _GATEWAY in services:
        return None
    return tuple(word for word in services if word not in _NOT_SERVING)


class Restarter:
    """Restarts services of one node. `journal` hears every step."""

    def __init__(
        self,
        found: Sequence[GatewayNode],
        doors: Gateways,
        *,
        link: Link,
        base: Path,
        sync: SyncPart,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._found = found
        self._doors = doors
        self._link = link
        self._base = base
        self._sync = sync
        self._journal = journal
        self._clock = clock

    def run(self, node: Node, services: Sequence[str], terms: RestartTerms) -> FleetError | None:
        """Restart these services; None of them named: every sidecar. Why it did not end well, else None."""
        began = self._clock.monotonic()
        try:
            require_adopted(node)
            if not terms.force:
                self._require_another(node, services)
            self._restart(node, services, terms)
        except FleetError as error:
            outcome = Outcome.UNREACHABLE if isinstance(error, Unreachable) else Outcome.FAILED
            self._journal.say(
                Phase.DONE, "failed", error.title, node=node.name, detail=error.detail, hint=error.hint,
                outcome=outcome,
            )  # fmt: skip
            return error
        took = f"restarted in {self._clock.monotonic() - began:.0f} s"
        self._journal.say(Phase.DONE, "ok", took, node=node.name, outcome=Outcome.CHANGED)
        return None

    def _require_another(self, node: Node, services: Sequence[str]) -> None:
        gateway = next((one for one in self._found if one.name == node.name), None)
        sidecars = without_work(services)
        if gateway is not None and sidecars != ():
            require_another([gateway], self._found, self._doors, sidecars=sidecars)

    def _restart(self, node: Node, services: Sequence[str], terms: RestartTerms) -> None:
        telling = Telling(node.name, root=node.settings.layout().root, journal=self._journal)
        following = Following(
            node=node.name, reach=lambda: self._reach(node), confirm=lambda _: None, telling=telling,
            journal=self._journal, clock=self._clock, left=threading.Event(),
        )  # fmt: skip
        self._journal.say(Phase.CONNECT, "start", node=node.name)
        talk = self._reach(node)
        talk.open(state_id="-", run_id=self._journal.run_id)
        wish = Restart(
            services=tuple(services),
            operator=terms.operator,
            drain_seconds=terms.drain_seconds,
            force=terms.force,
            fleet_version=fleet.__version__,
        )
        talk.restart(wish)
        pace = Pace(healthy_deadline_seconds=_STARTING_SECONDS + (terms.drain_seconds or 0.0))
        done = following.to_end(talk, pace, run_id=self._journal.run_id, taken=True)
        if done.outcome != "committed":
            raise telling.result(done).error or NodeError("the node did not say why", node=node.name)

    def _reach(self, node: Node) -> Conversation:
        """The link ends the session with the command."""
        session = self._link.connect(target_of(node, base=self._base), deadline_seconds=_CONNECT_SECONDS)
        helper = helper_argv(node.settings.layout(), sudo=node.settings.sudo)
        return Conversation(session, node=node.name, helper=helper, sync=self._sync)
