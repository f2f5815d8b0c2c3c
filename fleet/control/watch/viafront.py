"""Looks at many nodes through one front: one SSH link instead of as many as there are nodes.

The front has their snapshots already, for routing and for people. What it does not know, or has not heard lately, is
asked directly, and so is everything when no front answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec

from fleet.control.inventory.node import Node
from fleet.control.link import http
from fleet.control.link.protocol import Link, Session, target_of
from fleet.control.watch.poll import TokenFor
from fleet.control.watch.rows import Seen, Sighting
from fleet.control.watch.view import Reach
from fleet.errors import FleetError
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.gateway_admin import (
    NodeIntent,
    NodeWord,
    NodeWords,
    RouteReports,
    SidecarIntent,
)
from fleet.vocabulary.health.table import STALE_AFTER_SECONDS
from fleet.vocabulary.names import Intent, NodeName

_NODES = "/admin/nodes?brief=1"
DIRECT_NODES = 50
"""Up to so many nodes each has an SSH link of its own."""
AGAIN_SECONDS = 30.0
"""A front that did not answer is asked again after so long."""


class Asker(Protocol):
    """What looks at nodes: directly, or through a front."""

    def poll(self, nodes: Sequence[Node]) -> Mapping[NodeName, Sighting]:
        """What each of them says now."""
        ...

    def session_of(self, node: NodeName) -> Session | None:
        """The session with a node, where there is one."""
        ...

    def close(self) -> None:
        """End the sessions."""
        ...


class ThroughFront:
    """Asks the first of `fronts` that answers for all nodes; `direct` asks for the rest. For one thread."""

    def __init__(
        self,
        direct: Asker,
        *,
        link: Link,
        fronts: Sequence[Node],
        key_for: TokenFor,
        clock: Clock,
        base: Path | None = None,
        timeout_seconds: float = 5.0,
    ) -> None:
        self._direct, self._link, self._key_for, self._clock = direct, link, key_for, clock
        self._fronts, self._base, self._timeout = [*fronts], base, timeout_seconds
        self._sessions: dict[NodeName, Session] = {}
        self._failed_at: dict[NodeName, float] = {}

    def poll(self, nodes: Sequence[Node]) -> Mapping[NodeName, Sighting]:
        """What is known of each node now, from whoever knows it."""
        heard = self._heard()
        wanted = {node.name for node in nodes}
        told = {name: one for name, one in heard.items() if name in wanted and one.seen is not None}
        asked = self._direct.poll([node for node in nodes if node.name not in told])
        silent = {name: one for name, one in heard.items() if one.seen is None}
        found = {**told, **{name: _with_heard(one, silent.get(name)) for name, one in asked.items()}}
        return {node.name: found[node.name] for node in nodes}

    def session_of(self, node: NodeName) -> Session | None:
        """Of a node that was asked directly."""
        return self._direct.session_of(node)

    def close(self) -> None:
        """End the sessions, the front's too."""
        self._direct.close()
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def _heard(self) -> Mapping[NodeName, Sighting]:
        """What the first front that answers says; nothing when none does."""
        now = self._clock.monotonic()
        for front in self._fronts:
            if now - self._failed_at.get(front.name, -AGAIN_SECONDS) < AGAIN_SECONDS:
                continue
            try:
                return self._ask(front)
            except (FleetError, msgspec.DecodeError, UnicodeDecodeError):
                self._failed_at[front.name] = now
                if (session := self._sessions.pop(front.name, None)) is not None:
                    session.close()
        return {}

    def _ask(self, front: Node) -> Mapping[NodeName, Sighting]:
        kept = front.name in self._sessions
        try:
            before = self._clock.now()
            words = msgspec.json.decode(self._get(front, _NODES), type=NodeWords)
            at = before + (self._clock.now() - before) / 2
        except FleetError:
            if not kept:
                raise
            self._sessions.pop(front.name).close()  # it slept or was cut: once more with a new one
            return self._ask(front)
        return sightings_of(words, self._intents(front), at=at)

    def _intents(self, front: Node) -> Mapping[str, NodeIntent]:
        try:
            return intents_in(msgspec.json.decode(self._get(front, "/admin/routes"), type=RouteReports))
        except (FleetError, msgspec.DecodeError, UnicodeDecodeError):
            return {}

    def _get(self, front: Node, path: str) -> bytes:
        """What its admin door says. Raises FleetError."""
        key = self._key_for(front)
        session = self._sessions.get(front.name)
        if session is None:
            target = target_of(front, base=self._base)
            session = self._sessions[front.name] = self._link.connect(target, deadline_seconds=self._timeout)
        headers = {"Authorization": f"Bearer {key.reveal()}"}
        port = front.settings.gateway_admin_port
        answer = http.get(session, port, path, headers=headers, timeout=self._timeout)
        if answer.status != 200:
            raise FleetError(f"its gateway answered HTTP {answer.status}", node=front.name)
        return answer.body


def sightings_of(words: NodeWords, intents: Mapping[str, NodeIntent], *, at: datetime) -> Mapping[NodeName, Sighting]:
    """A sighting of each node of which the front has a snapshot. Pure.

    `at` is our own time of the front's `at_seconds`: its clock need not agree with ours, only run as fast. What it has
    not heard lately is `heard`, and no answer.
    """
    found: dict[NodeName, Sighting] = {}
    for word in words.nodes:
        name, seen = NodeName(word.node), _seen(word, words.at_seconds, at)
        if seen is None:
            continue
        fresh = not word.problem and (at - seen.at).total_seconds() <= STALE_AFTER_SECONDS
        found[name] = Sighting(
            node=name,
            reach=Reach.ANSWERED if fresh else Reach.UNREACHABLE,
            seen=seen if fresh else None,
            heard=None if fresh else seen,
            problem=None if fresh else f"{words.node} says: {word.problem or 'not heard of lately'}",
            intent=intents.get(word.node),
            via=words.node,
        )
    return found


def intents_in(reports: RouteReports) -> Mapping[str, NodeIntent]:
    """The intent of each node, by what the upstreams of the front's routes say. Pure."""
    states = {one.name: one for route in reports.routes for one in route.upstreams if one.node}
    found: dict[str, list[SidecarIntent]] = {}
    for one in states.values():
        intent = {"draining": Intent.DRAINING, "drained": Intent.DRAINED}.get(one.state, Intent.SERVING)
        found.setdefault(one.node, []).append(SidecarIntent(name=one.name, intent=intent, in_flight=one.in_flight))
    return {node: NodeIntent(node=node, sidecars=tuple(sidecars)) for node, sidecars in found.items()}


def _seen(word: NodeWord, front_seconds: float, at: datetime) -> Seen | None:
    if word.snapshot is None or word.heard_at_seconds is None:
        return None
    age = max(0.0, front_seconds - word.heard_at_seconds) + max(0.0, word.sample_age_seconds or 0.0)
    return Seen(at=at - timedelta(seconds=age), snapshot=word.snapshot)


def _with_heard(direct: Sighting, silent: Sighting | None) -> Sighting:
    """What the node itself said; of one that said nothing, what the front remembers."""
    if direct.seen is not None or silent is None:
        return direct
    return Sighting(
        node=direct.node,
        reach=direct.reach,
        problem=direct.problem,
        hint=direct.hint,
        intent=direct.intent,
        via=silent.via,
        heard=silent.heard,
    )
