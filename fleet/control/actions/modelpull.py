"""`fleet model pull`: weights to nodes ahead of a deploy, into the places that the deploy will use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fleet.control.actions.asking import Asking
from fleet.control.actions.deploy import operator_name
from fleet.control.desired.trees import weights_tree
from fleet.control.inventory import Node
from fleet.control.inventory.project import Project
from fleet.control.link.protocol import target_of
from fleet.control.rollout.conversation import Conversation, helper_argv
from fleet.control.rollout.exchange import Exchange
from fleet.control.rollout.givers import GivingNode
from fleet.control.rollout.journal import new_run_id
from fleet.control.rollout.sending import Sending
from fleet.control.supply.cache import Cache
from fleet.control.supply.models import model_file
from fleet.errors import FleetError, NodeError
from fleet.vocabulary.contracts.desired import Tree
from fleet.vocabulary.contracts.model import ModelFile, ModelManifest
from fleet.vocabulary.contracts.questions import Stowing
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.units import bytes_text

_TWO = 2
Progress = Callable[[NodeName, int, int], None]
"""Told (node, bytes sent, bytes to send)."""


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """How it went on one node. Nothing sent: it had the weights already. `peers`: what other nodes gave of them."""

    node: NodeName
    sent_bytes: int = 0
    peers: str = ""
    path: str = ""
    kept_days: float = 0.0
    error: FleetError | None = None


@dataclass(frozen=True, kw_only=True)
class Puller:
    """Brings weights to nodes. Built without I/O."""

    project: Project
    asking: Asking
    cache: Cache
    notify: Callable[[str], None]
    progress: Progress = lambda node, done, total: None  # noqa: ARG005 (a default that listens to nothing)

    def pull(self, name: str, nodes: Sequence[Node], manifests: Mapping[NodeName, ModelManifest]) -> Iterator[Pulled]:
        """To every node at once, the manifest of each being its own; answers in the order in which they come.

        This laptop sends a file once; who has it gives it to the others. What came before a cut is kept on the node,
        and the next pull or deploy goes on from there.
        """
        trees = {node.name: _tree(name, node, manifests[node.name]) for node in nodes}
        exchange = self._exchange(nodes, trees)
        if exchange is not None:
            exchange.expect(node.name for node in nodes)
        try:
            for answer in self.asking.each(
                nodes,
                lambda node, talk, _hello: self._one(talk, node, trees[node.name], manifests[node.name], exchange),
            ):
                if exchange is not None and answer.error is not None:
                    exchange.holds(answer.node, ())  # it said nothing: nobody waits for it
                yield answer.said or Pulled(node=answer.node, error=answer.error)
        finally:
            if exchange is not None:
                exchange.close()

    def _one(
        self, talk: Conversation, node: Node, tree: Tree, manifest: ModelManifest, exchange: Exchange | None
    ) -> Pulled:
        lacking = talk.stow((tree,), holder=operator_name())
        _require_space(node.name, lacking)
        if exchange is not None:
            lacks = {want.digest for want in lacking.missing}
            exchange.holds(node.name, [one.blob.digest for one in tree.files if one.blob.digest not in lacks])
        done = 0

        def progress(count: int) -> None:
            nonlocal done
            done += count
            self.progress(node.name, done, sending.total)

        sending = Sending(
            node=node.name,
            missing=lacking.missing,
            contents={f"sha256:{file.sha256}": partial(self._file, manifest, file) for file in manifest.files},
            sizes={f"sha256:{file.sha256}": file.size_bytes for file in manifest.files},
            exchange=exchange,
            progress=progress,
        )
        sending.prepare()
        sending.run(talk)
        stowed = talk.seal()
        return Pulled(
            node=node.name,
            sent_bytes=sending.total,
            peers=sending.told,
            path=stowed.paths[0],
            kept_days=stowed.kept_days,
        )

    def _file(self, manifest: ModelManifest, file: ModelFile) -> Path:
        return model_file(manifest, file, cache=self.cache, project=self.project, notify=self.notify)

    def _exchange(self, nodes: Sequence[Node], trees: Mapping[NodeName, Tree]) -> Exchange | None:
        giving = [
            GivingNode(
                name=node.name,
                target=target_of(node, base=self.asking.base),
                helper=helper_argv(node.settings.layout(), sudo=node.settings.sudo),
                host=node.address.strip("[]"),
                trees=(trees[node.name],),
                bytes_per_second=node.settings.peer_bytes_per_second,
            )
            for node in nodes
            if node.settings.adopted and node.settings.peer_weights
        ]
        if len(giving) < _TWO:
            return None
        run_id = new_run_id(self.asking.clock.now())
        return Exchange(giving, link=self.asking.link, sync=self.asking.sync, run_id=run_id, cache=self.cache)


def _tree(name: str, node: Node, manifest: ModelManifest) -> Tree:
    return weights_tree(name, manifest, node.settings.layout(), task="fleet model pull")


def _require_space(node: NodeName, lacking: Stowing) -> None:
    """Refuse before anything is downloaded for it. The node itself looks again, and makes room where it may."""
    if lacking.free_bytes is not None and lacking.needed_bytes > lacking.free_bytes:
        raise NodeError(
            "not enough space for the weights",
            node=node,
            detail=f"{bytes_text(lacking.needed_bytes)} are needed, {bytes_text(lacking.free_bytes)} are free",
            hint=f"fleet model gc {node} and fleet gc {node} free what no release needs",
        )
