"""The signs of life of all others: their gateways (from the book of nodes), their SSH ports, the other fronts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fleet.node.gateway.frontwatch.knocking import Knocker
from fleet.node.gateway.frontwatch.looks import Answer
from fleet.node.gateway.frontwatch.peers import Peers
from fleet.node.gateway.frontwatch.power import Signs
from fleet.node.gateway.nodebook import Heard, NodeBook
from fleet.traffic.config import FleetWatch, WatchedNode

OLD_SECONDS = 60.0
"""What was tried longer ago says nothing of now. The book tries every few seconds."""


class SignsOfLife:
    """Who answers, by which way, and for how long somebody has been dead (monotonic seconds). `front` is left out."""

    def __init__(
        self,
        front: str,
        book: NodeBook,
        peers: Peers,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._front = front
        self._book = book
        self._peers = peers
        self._now = now
        self._monotonic = monotonic
        self._edge_dead_since: dict[str, float] = {}
        self.knocker = Knocker(monotonic=monotonic)

    def follow(self, names: set[str]) -> None:
        """Forget who is not among `names`."""
        self.knocker.keep(names)
        self._edge_dead_since = {name: at for name, at in self._edge_dead_since.items() if name in names}

    def note(self, heard: Iterable[Heard]) -> None:
        """Attempts at gateways. One that falls silent gets a knock at its SSH port soon."""
        for one in heard:
            if one.reached:
                self._edge_dead_since.pop(one.node, None)
            elif one.node not in self._edge_dead_since:
                self._edge_dead_since[one.node] = self._monotonic()
                self.knocker.hurry(one.node)

    def forgive(self) -> None:
        """We were cut off ourselves: every silence begins anew."""
        self._edge_dead_since = {}
        self.knocker.forgive()

    def others(self, watch: FleetWatch) -> tuple[WatchedNode, ...]:
        """The nodes but this one."""
        return tuple(node for node in watch.nodes if node.node != self._front)

    def doors(self, watch: FleetWatch) -> dict[str, Answer]:
        """The SSH ports of nodes that have nothing else."""
        return {node.node: self.ssh(node.node) for node in self.others(watch) if node.url is None}

    def ssh(self, name: str) -> Answer:
        """What is known of an SSH port."""
        return self.knocker.answers.get(name, Answer())

    def answering(self, watch: FleetWatch) -> dict[str, bool | None]:
        """Whether each other one answers, by any way that there is; None = not known yet."""
        found: dict[str, bool | None] = {}
        for node in self.others(watch):
            edge = self._edge_answers(node.node) if node.url is not None else False
            known = self.ssh(node.node).answers
            unknown = edge is None or (node.url is None and known is None)
            peer = self._peers.answers.get(node.node, Answer()).answers
            found[node.node] = True if True in (edge, known, peer) else None if unknown else False
        for name, answer in self._peers.answers.items():
            found.setdefault(name, answer.answers)
        return found

    def signs(self, watch: FleetWatch) -> dict[str, Signs]:
        """What the power hook is decided by."""
        answering, now = self.answering(watch), self._monotonic()
        return {
            node.node: Signs(
                answers=answering.get(node.node) is True,
                edge_dead_seconds=_since(self._edge_dead_since.get(node.node), now),
                ssh_dead_seconds=_since(self.knocker.dead_since.get(node.node), now),
                has_edge=node.url is not None,
            )
            for node in self.others(watch)
        }

    def peer_answers(self, watch: FleetWatch) -> bool:
        """Whether a front answers that is none of the nodes."""
        names = {node.node for node in watch.nodes}
        return any(answer.answers for name, answer in self._peers.answers.items() if name not in names)

    async def knock(self, watch: FleetWatch) -> None:
        """Ask SSH ports where something depends on it."""
        edgeless = set(self.doors(watch))
        await self.knocker.round(
            self.others(watch),
            silent=lambda name: name in edgeless or name in self._edge_dead_since,
            all_nodes=watch.power is not None,
        )

    def _edge_answers(self, node: str) -> bool | None:
        heard = self._book.heard(node)
        tried = heard.tried_at_seconds if heard is not None else None
        if heard is None or tried is None or abs(self._now() - tried) > OLD_SECONDS:
            return None
        return heard.reached


def _since(at: float | None, now: float) -> float | None:
    return None if at is None else now - at
