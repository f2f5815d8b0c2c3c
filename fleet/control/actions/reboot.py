"""`fleet reboot --rolling`: one node after the other is emptied, restarted, proved, and given work again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet.control.actions.drain import DrainReport, drain, resume
from fleet.control.actions.gateways import GatewayNode, Gateways, NodeRefusal
from fleet.control.actions.reach import require_adopted
from fleet.control.inventory import Node
from fleet.control.link.protocol import Link, target_of
from fleet.control.rollout.conversation import Conversation, SyncPart, helper_argv
from fleet.control.rollout.journal import Journal
from fleet.errors import FleetError, HostKeyError, NodeError, Unreachable
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.events import Outcome, Phase
from fleet.vocabulary.contracts.gateway_admin import DEPLOY, DoorRequest
from fleet.vocabulary.contracts.questions import Reboot
from fleet.vocabulary.contracts.sync import Facts, Hello
from fleet.vocabulary.names import Intent, NodeName
from fleet.vocabulary.secret import Secret

_CONNECT_SECONDS = 15.0
_BACK_POLL_SECONDS = 2.0
_DRAIN_POLL_SECONDS = 0.5
_CLOSED_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class RebootTerms:
    """How to restart. `password` is for `fdesetup authrestart`; `force` also takes the last copy of a model away."""

    operator: str
    drain_seconds: float = 300.0
    back_seconds: float = 900.0
    force: bool = False
    password: Secret | None = None


class Rebooter:
    """Restarts nodes, one at a time. Told as a run: `journal` hears every step."""

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
        self._found = {gateway.name: gateway for gateway in found}
        self._doors = doors
        self._link = link
        self._base = base
        self._sync = sync
        self._journal = journal
        self._clock = clock

    def run(self, nodes: Sequence[Node], terms: RebootTerms) -> Mapping[NodeName, FleetError]:
        """Restart these nodes in their order; a node that fails stops the rest. Those that failed, and why."""
        failed: dict[NodeName, FleetError] = {}
        for node in nodes:
            if failed:
                self._end(node, Outcome.SKIPPED, f"not restarted: {next(iter(failed))} failed")
                continue
            try:
                took = self._restart(node, terms)
                self._end(node, Outcome.CHANGED, f"restarted in {took:.0f} s")
            except FleetError as error:
                failed[node.name] = error
                outcome = Outcome.UNREACHABLE if isinstance(error, Unreachable) else Outcome.FAILED
                self._end(node, outcome, error.title, detail=error.detail, hint=error.hint)
        return failed

    def _restart(self, node: Node, terms: RebootTerms) -> float:
        """Seconds from the command until it was proved."""
        require_adopted(node)
        self._journal.say(Phase.CONNECT, "start", node=node.name)
        with self._talk(node) as (_, hello):
            before = hello.facts or Facts()
        _refuse(node, hello, terms)
        with self._emptied(node, terms):
            began = self._clock.monotonic()
            self._journal.say(Phase.REBOOT, "start", "shutdown -r now", node=node.name)
            password = None if terms.password is None else terms.password.reveal()
            with self._talk(node) as (talk, _):
                talk.reboot(Reboot(operator=terms.operator, password=password))
        try:
            self._wait_until_back(node, before, within_seconds=terms.back_seconds)
            self._journal.say(Phase.REBOOT, "ok", "it is back, with another boot id", node=node.name)
            self._journal.say(Phase.GATE, "start", "the gates of its release", node=node.name)
            with self._talk(node) as (talk, _):
                for passed in talk.prove().passed:
                    self._journal.say(Phase.GATE, "ok", passed, node=node.name)
        except FleetError as error:
            if node.name in self._found:
                advice = f"it gets no new work until `fleet resume {node.name}`"
                error.hint = f"{error.hint}\n{advice}" if error.hint else advice
            raise
        self._resume(node, terms)
        return self._clock.monotonic() - began

    @contextmanager
    def _emptied(self, node: Node, terms: RebootTerms) -> Iterator[None]:
        """The node without work; with work again when it is not restarted after all."""
        gateway = self._found.get(node.name)
        if gateway is None:
            yield
            return
        try:
            self._drain(gateway, terms)
            yield
        except BaseException:
            with contextlib.suppress(FleetError):
                self._resume(node, terms)
            raise

    def _drain(self, gateway: GatewayNode, terms: RebootTerms) -> None:
        """No new work; wait for what runs. Raises LastUpstream, and NodeError when something still runs then."""
        node, by, clock = gateway.node, _by(terms), self._clock
        self._journal.say(Phase.DRAIN, "start", "no new work; what runs may end", node=node.name)
        report, problems = drain([gateway], list(self._found.values()), self._doors, force=terms.force, by=by)
        for problem in problems.values():
            if not terms.force:
                raise problem
            self._journal.say(Phase.DRAIN, "note", f"not drained: {problem.title}", node=node.name)
            return
        until, told = clock.monotonic() + terms.drain_seconds, -1
        while count := self._runs(gateway, report, by):
            if count != told:
                told = count
                self._journal.say(Phase.DRAIN, "progress", f"{count} still running", node=node.name)
            if clock.monotonic() >= until:
                if terms.force:
                    return
                raise NodeError(
                    f"{count} requests still run after {terms.drain_seconds:.0f} s",
                    node=node.name,
                    hint="--drain waits longer; fleet ps shows them; --force restarts all the same",
                )
            clock.sleep(_DRAIN_POLL_SECONDS)
            report = DrainReport(nodes=(self._doors.one(node, lambda door: door.intent()),))
        self._journal.say(Phase.DRAIN, "ok", "nothing runs on it", node=node.name)

    def _runs(self, gateway: GatewayNode, report: DrainReport, by: str) -> int:
        """What still runs there. A front refuses new requests meanwhile, until it restarts."""
        running = report.in_flight
        if gateway.is_front:
            closed = DoorRequest(intent=Intent.DRAINING, by=by, seconds=_CLOSED_SECONDS)
            try:
                running = max(running, self._doors.one(gateway.node, lambda door: door.door(closed)).in_flight)
            except NodeRefusal as refusal:
                if refusal.status != 404:  # an older gateway has no such door
                    raise
        return running

    def _resume(self, node: Node, terms: RebootTerms) -> None:
        gateway = self._found.get(node.name)
        if gateway is None:
            return
        _, problems = resume([gateway], self._doors, by=_by(terms))
        for problem in problems.values():
            raise problem
        if gateway.is_front:
            opened = DoorRequest(intent=Intent.SERVING, by=_by(terms))
            with contextlib.suppress(NodeRefusal):
                self._doors.one(node, lambda door: door.door(opened))

    def _wait_until_back(self, node: Node, before: Facts, *, within_seconds: float) -> None:
        """Until SSH answers from another boot. Raises NodeError, HostKeyError."""
        until = self._clock.monotonic() + within_seconds
        last: FleetError | None = None
        while self._clock.monotonic() < until:
            self._clock.sleep(_BACK_POLL_SECONDS)
            try:
                with self._talk(node) as (_, hello):
                    if hello.facts and _another_boot(before, hello.facts):
                        return
                last = None
            except HostKeyError:
                raise
            except FleetError as error:
                last = error
                self._journal.say(Phase.REBOOT, "progress", "waits until it is back", node=node.name)
        still = "it answers, but from the same boot: it did not restart" if last is None else last.title
        raise NodeError(
            f"it did not come back within {within_seconds:.0f} s",
            node=node.name,
            detail=still,
            hint="look at its screen: FileVault, a login or an update may wait there; no further node is restarted",
        )

    @contextmanager
    def _talk(self, node: Node) -> Iterator[tuple[Conversation, Hello]]:
        session = self._link.connect(target_of(node, base=self._base), deadline_seconds=_CONNECT_SECONDS)
        try:
            helper = helper_argv(node.settings.layout(), sudo=node.settings.sudo)
            talk = Conversation(session, node=node.name, helper=helper, sync=self._sync)
            yield talk, talk.open(state_id="-", run_id=self._journal.run_id)
        finally:
            session.close()

    def _end(self, node: Node, outcome: Outcome, text: str, *, detail: str = "", hint: str = "") -> None:
        status = "ok" if outcome is Outcome.CHANGED else "failed"
        self._journal.say(Phase.DONE, status, text, node=node.name, detail=detail, hint=hint, outcome=outcome)


def _refuse(node: Node, hello: Hello, terms: RebootTerms) -> None:
    """Before anything is drained: a node that is busy, or that nobody could reach after its restart."""
    if hello.lease is not None or hello.active_run:
        raise NodeError(
            "a run is at work there", node=node.name, hint=f"wait for its end; fleet logs {node.name} apply -f shows it"
        )
    vault = hello.facts.filevault if hello.facts else None
    if vault is not False and terms.password is None:
        state = "on" if vault else "in a state that it does not tell"
        raise NodeError(
            f"FileVault is {state}: after a restart somebody would have to unlock it by hand",
            node=node.name,
            hint="--authrestart REFERENCE unlocks it once, with the password of an account that may",
        )


def _another_boot(before: Facts, now: Facts) -> bool:
    if before.boot_id and now.boot_id:
        return before.boot_id != now.boot_id
    return before.boot_time_seconds != now.boot_time_seconds


def _by(terms: RebootTerms) -> str:
    """A wish that gives back only what it took: whatever an operator drained stays drained."""
    return f"{DEPLOY} restart by {terms.operator}"
