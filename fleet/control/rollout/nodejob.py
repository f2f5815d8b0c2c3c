"""What a run is told of one node, and what it says of it at the end. Values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fleet.control.desired.states import Compiled
from fleet.control.link.protocol import Target
from fleet.control.rollout.conversation import Content
from fleet.control.rollout.givers import GivingNode
from fleet.control.rollout.met import Met
from fleet.errors import FleetError, NodeError, Unreachable
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.contracts.desired import Tree
from fleet.vocabulary.contracts.events import Outcome
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.names import NodeName


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
    peer_host: str | None = None
    """Where other nodes reach it to get weights from; None: it neither gives nor takes any."""
    peer_bytes_per_second: int | None = None
    met: Met | None = None
    """Where it was asked who it is, and still listens."""

    @property
    def root(self) -> str:
        """Where fleet lives on the node."""
        return self.compiled.state.layout.root

    @property
    def weights(self) -> tuple[Tree, ...]:
        """The models of its state."""
        return tuple(item for item in self.compiled.state.items if isinstance(item, Tree) and item.role == "model")

    @property
    def giving(self) -> GivingNode | None:
        """The node as one that exchanges weights with others; None where it has none, or is not to."""
        if not self.weights or self.peer_host is None:
            return None
        return GivingNode(
            name=self.name,
            target=self.target,
            helper=self.helper,
            host=self.peer_host,
            trees=self.weights,
            bytes_per_second=self.peer_bytes_per_second,
        )


@dataclass(frozen=True, kw_only=True)
class NodeResult:
    """How a run ended for one node. `mixed`: it is neither new nor as it was."""

    name: NodeName
    outcome: Outcome
    error: FleetError | None = None
    detail: str = ""
    mixed: bool = False


def failed(node: NodeName, error: FleetError) -> NodeResult:
    """How a node ended that could not be looked at or changed."""
    outcome = Outcome.UNREACHABLE if isinstance(error, Unreachable) else Outcome.FAILED
    return NodeResult(name=node, outcome=outcome, error=error)


def refuse_changed(job: NodeJob, seen: Facts) -> None:
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
