"""Nodes that give weights to others: a conversation with each, opened when somebody wants something of it."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fleet.control.link.protocol import Link, Session, Target
from fleet.control.rollout.conversation import Conversation, SyncPart
from fleet.errors import FleetError, NodeError
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.contracts.desired import Tree
from fleet.vocabulary.contracts.peers import Give
from fleet.vocabulary.names import NodeName, RunId

_CONNECT_SECONDS = 15.0
STILL_SECONDS = 20.0
"""A node that hears nothing for two minutes takes the laptop for gone."""

_PATIENCE_SECONDS = 1.0
_MORE_TAKERS = 2
"""A taker that is done may be counted for a moment longer on the node than here."""


@dataclass(frozen=True, kw_only=True)
class GivingNode:
    """A node that may give. `host` is where other nodes reach it; `trees` are weights that it has or will have."""

    name: NodeName
    target: Target
    helper: Argv
    host: str
    trees: tuple[Tree, ...]
    bytes_per_second: int | None = None


@dataclass(frozen=True, kw_only=True)
class Door:
    """Where a node gives, behind which pin (SHA-256 of its certificate), to whom."""

    host: str
    port: int
    pin: str
    token: str = field(repr=False)


@dataclass
class _Open:
    session: Session
    talk: Conversation
    door: Door


class Givers:
    """The givers of one run. Safe for many threads; `close` ends all giving."""

    def __init__(
        self,
        nodes: Mapping[NodeName, GivingNode],
        *,
        link: Link,
        sync: SyncPart,
        run_id: RunId,
        lost: Callable[[NodeName], None],
        most_takers: int,
        still_seconds: float = STILL_SECONDS,
    ) -> None:
        self._nodes = nodes
        self._link = link
        self._sync = sync
        self._run_id = run_id
        self._lost = lost
        self._most_takers = most_takers
        self._still_seconds = still_seconds
        self._locks = {name: threading.Lock() for name in nodes}
        self._open: dict[NodeName, _Open] = {}
        self._over = threading.Event()
        self._beating: threading.Thread | None = None
        self._beginning = threading.Lock()

    def door(self, giver: NodeName) -> Door:
        """Where that node gives; it is told to, the first time. Raises FleetError."""
        with self._locks[giver]:
            if self._over.is_set():
                raise NodeError("the run is over", node=giver)
            if giver not in self._open:
                self._open[giver] = self._tell(self._nodes[giver])
                self._beat()
            door = self._open[giver].door
            if self._over.is_set():  # `close` did not wait for us
                self._leave(giver)
            return door

    def close(self) -> None:
        """Nobody gives any more."""
        self._over.set()
        for giver, lock in self._locks.items():
            if lock.acquire(timeout=_PATIENCE_SECONDS):
                try:
                    self._leave(giver)
                finally:
                    lock.release()

    def _tell(self, node: GivingNode) -> _Open:
        session = self._link.connect(node.target, deadline_seconds=_CONNECT_SECONDS)
        try:
            talk = Conversation(session, node=node.name, helper=node.helper, sync=self._sync)
            talk.open(state_id="-", run_id=self._run_id)
            token = secrets.token_hex(16)
            giving = talk.give(
                Give(
                    trees=node.trees,
                    token=token,
                    host=node.host,
                    most_takers=self._most_takers + _MORE_TAKERS,
                    bytes_per_second=node.bytes_per_second,
                )
            )
        except BaseException:
            session.close()
            raise
        return _Open(session, talk, Door(host=node.host, port=giving.port, pin=giving.pin, token=token))

    def _beat(self) -> None:
        with self._beginning:
            if self._beating is None:
                self._beating = threading.Thread(target=self._beat_on, name="fleet-givers", daemon=True)
                self._beating.start()

    def _beat_on(self) -> None:
        """A giver that hears nothing for two minutes stops: so it does when the laptop is gone, or sleeps."""
        while not self._over.wait(self._still_seconds):
            for giver, lock in self._locks.items():
                with lock:
                    talking = self._open.get(giver)
                    if talking is None or self._over.is_set():
                        continue
                    try:
                        talking.talk.still()
                        continue
                    except FleetError:
                        self._leave(giver)
                self._lost(giver)

    def _leave(self, giver: NodeName) -> None:
        talking = self._open.pop(giver, None)
        if talking is not None:
            with contextlib.suppress(FleetError):
                talking.talk.bye()
            talking.session.close()
