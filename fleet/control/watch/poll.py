"""Asks the agents over kept sessions, each within one deadline.

A node that is met for the first time has a thread to itself. Those with a kept connection are asked several at a time:
all requests first, then the answers, which costs far fewer wake-ups.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec

from fleet.control.inventory.node import Node
from fleet.control.link.http import HttpAnswer
from fleet.control.link.kept import KeptHttp
from fleet.control.link.protocol import Link, Session, target_of
from fleet.control.watch.rows import Seen, Sighting
from fleet.control.watch.view import Reach
from fleet.errors import FleetError, Unreachable
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.gateway_admin import NodeIntent
from fleet.vocabulary.contracts.snapshot import Snapshot
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.secret import Secret

TokenFor = Callable[[Node], Secret]
"""The bearer token of a node's agent, or the key of its gateway. May raise FleetError."""
_MOST_THREADS = 64
_TOGETHER = 10
"""Nodes that one thread asks at once."""
_GRACE_SECONDS = 0.5
_INTENT_SECONDS = 2.0
_LEAST_SECONDS = 0.05
"""For one whose group waited in vain for another: its own answer has come long since."""
_SNAPSHOT, _INTENT = "/v1/snapshot", "/admin/intent"


@dataclass
class _Line:
    """The session with one node and the doors behind it, kept between polls. One thread at a time uses it."""

    session: Session | None = None
    doors: dict[int, KeptHttp] = field(default_factory=dict)
    abandoned: bool = False

    def door(self, session: Session, port: int) -> KeptHttp:
        if port not in self.doors:
            self.doors[port] = KeptHttp(session, port)
        return self.doors[port]

    def hang_up(self) -> None:
        for door in self.doors.values():
            door.close()
        self.doors.clear()
        session, self.session = self.session, None
        if session is not None:
            session.close()


class Poller:
    """Polls nodes again and again over kept sessions."""

    def __init__(
        self,
        link: Link,
        *,
        token_for: TokenFor,
        clock: Clock,
        timeout_seconds: float = 5.0,
        base: Path | None = None,
        key_for: TokenFor | None = None,
    ) -> None:
        """With `key_for`, a node that runs a gateway is asked for its intent, too."""
        self._link, self._token_for, self._clock, self._key_for = link, token_for, clock, key_for
        self._timeout, self._base = timeout_seconds, base
        self._lines: dict[NodeName, _Line] = {}

    def poll(self, nodes: Sequence[Node]) -> Mapping[NodeName, Sighting]:
        """What each node says now. A node that overruns its deadline is a sighting too, and its session is given up."""
        if not nodes:
            return {}
        work: queue.SimpleQueue[tuple[Node, ...]] = queue.SimpleQueue()
        answers: queue.SimpleQueue[Sighting] = queue.SimpleQueue()
        lines = {node.name: self._lines.setdefault(node.name, _Line()) for node in nodes}
        groups = _groups(nodes, lines)
        threads = min(len(groups), _MOST_THREADS)
        for group in (*groups, *((),) * threads):
            work.put(group)
        for _ in range(threads):
            # daemon: a call that overran its deadline must not hold the command's end up
            threading.Thread(target=self._worker, args=(work, answers, lines), daemon=True).start()
        found: dict[NodeName, Sighting] = {}
        ends = time.monotonic() + self._timeout * math.ceil(len(groups) / threads) + _GRACE_SECONDS
        while len(found) < len(nodes):
            try:
                sighting = answers.get(timeout=max(0.0, ends - time.monotonic()))
            except queue.Empty:
                break
            found[sighting.node] = sighting
        for node in nodes:
            if node.name not in found:
                self._lines.pop(node.name).abandoned = True
                found[node.name] = self._failed(node, Reach.UNREACHABLE, f"no answer within {self._timeout:g} s")
        return found

    def close(self) -> None:
        """End the sessions. The next poll opens new ones: also what to do after the machine slept."""
        for line in self._lines.values():
            line.hang_up()
        self._lines.clear()

    def session_of(self, node: NodeName) -> Session | None:
        """The session with a node, as the last poll left it; for one thread, and not while a poll runs."""
        line = self._lines.get(node)
        return None if line is None else line.session

    def _worker(
        self,
        work: queue.SimpleQueue[tuple[Node, ...]],
        answers: queue.SimpleQueue[Sighting],
        lines: Mapping[NodeName, _Line],
    ) -> None:
        """Work off groups of nodes; an empty one is the end."""
        while group := work.get():
            ends = time.monotonic() + self._timeout
            if len(group) > 1:
                for node in group:
                    self._ask_ahead(node, lines[node.name])
            for node in group:
                line = lines[node.name]
                try:
                    answers.put(self._ask(node, line, ends))
                except Exception as error:  # noqa: BLE001 (one odd node never takes the table down)
                    line.hang_up()
                    answers.put(self._failed(node, Reach.UNREACHABLE, f"{type(error).__name__}: {error}"))
                if line.abandoned:
                    line.hang_up()

    def _ask_ahead(self, node: Node, line: _Line) -> None:
        """Send what the last round asked, too. What goes wrong shows again when the answer is waited for."""
        for port, door in list(line.doors.items()):
            try:
                path, headers = self._question(node, port)
                door.ask(path, headers=headers, timeout=self._timeout)
            except FleetError:
                door.close()

    def _ask(self, node: Node, line: _Line, ends: float) -> Sighting:
        if not node.settings.adopted:
            return self._failed(node, Reach.NOT_ADOPTED, "not adopted yet", f"fleet adopt {node.name}")
        kept = line.session is not None
        try:
            path, headers = self._question(node, node.settings.agent_port)
            session = line.session = line.session or self._connect(node, ends)
        except FleetError as error:
            return self._failed(node, Reach.UNREACHABLE, error.title, error.hint)
        try:
            left = max(_LEAST_SECONDS, ends - time.monotonic())
            answer = line.door(session, node.settings.agent_port).get(path, headers=headers, timeout=left)
            return self._read(node, line, session, answer, ends)
        except Unreachable as error:
            line.hang_up()
            if kept and time.monotonic() < ends:  # a session that slept or was cut: once more with a new one
                return self._ask(node, line, ends)
            return self._failed(node, Reach.AGENT_SILENT, error.title, f"fleet logs {node.name} agent")
        except FleetError as error:
            line.hang_up()
            return self._failed(node, Reach.AGENT_SILENT, error.title, error.hint)

    def _connect(self, node: Node, ends: float) -> Session:
        left = max(0.1, ends - time.monotonic())
        return self._link.connect(target_of(node, base=self._base), deadline_seconds=left)

    def _question(self, node: Node, port: int) -> tuple[str, dict[str, str]]:
        """Path and header fields of what is asked at a port of the node: its agent's, or its gateway's admin door."""
        key_for = self._key_for
        if port == node.settings.agent_port or key_for is None:
            return _SNAPSHOT, _bearer(self._token_for(node))
        return _INTENT, _bearer(key_for(node))

    def _read(self, node: Node, line: _Line, session: Session, answer: HttpAnswer, ends: float) -> Sighting:
        if answer.status == 401:
            return self._failed(
                node, Reach.AGENT_SILENT, "the agent refuses our token", f"fleet deploy --on {node.name}"
            )
        if answer.status != 200:
            return self._failed(node, Reach.AGENT_SILENT, f"the agent answered HTTP {answer.status}")
        try:
            snapshot = msgspec.json.decode(answer.body, type=Snapshot)
        except msgspec.DecodeError:
            hint = f"fleet deploy --on {node.name}"
            return self._failed(node, Reach.AGENT_SILENT, "the agent's answer is of another version", hint)
        at = self._clock.now() - timedelta(seconds=_age(answer.headers.get("age")))
        intent = self._intent(node, line, session, ends, asked=_has_gateway(snapshot))
        return Sighting(node=node.name, reach=Reach.ANSWERED, seen=Seen(at=at, snapshot=snapshot), intent=intent)

    def _intent(self, node: Node, line: _Line, session: Session, ends: float, *, asked: bool) -> NodeIntent | None:
        """What the gateway's admin door says, on the same session. Without such a door, or a key: nothing."""
        port = node.settings.gateway_admin_port
        if self._key_for is None or not asked:
            if (door := line.doors.pop(port, None)) is not None:
                door.close()
            return None
        left = min(_INTENT_SECONDS, max(_LEAST_SECONDS, ends - time.monotonic()))
        try:
            path, headers = self._question(node, port)
            answer = line.door(session, port).get(path, headers=headers, timeout=left)
            return msgspec.json.decode(answer.body, type=NodeIntent) if answer.status == 200 else None
        except (FleetError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _failed(self, node: Node, reach: Reach, problem: str, hint: str = "") -> Sighting:
        return Sighting(node=node.name, reach=reach, problem=problem, hint=hint or None)


def _groups(nodes: Sequence[Node], lines: Mapping[NodeName, _Line]) -> tuple[tuple[Node, ...], ...]:
    """Those with a kept connection together, as many as one thread asks at once; every other by itself."""
    kept = [node for node in nodes if lines[node.name].doors]
    rest = [node for node in nodes if not lines[node.name].doors]
    together = [tuple(kept[at : at + _TOGETHER]) for at in range(0, len(kept), _TOGETHER)]
    return (*together, *((node,) for node in rest))


def _bearer(secret: Secret) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret.reveal()}"}


def _has_gateway(snapshot: Snapshot) -> bool:
    return any(service.name == "gateway" and service.up is not False for service in snapshot.services)


def _age(header: str | None) -> float:
    """How old the sample is by the node's own clock; the two clocks need not agree."""
    return float(header) if header is not None and header.isdecimal() and len(header) < 10 else 0.0


def poll(
    nodes: Sequence[Node],
    *,
    link: Link,
    token_for: TokenFor,
    clock: Clock,
    timeout_seconds: float = 5.0,
    base: Path | None = None,
) -> Mapping[NodeName, Sighting]:
    """What each node says now, over sessions of this one call."""
    poller = Poller(link, token_for=token_for, clock=clock, timeout_seconds=timeout_seconds, base=base)
    try:
        return poller.poll(nodes)
    finally:
        poller.close()
