"""`fleet model pull`: weights to nodes ahead of a deploy, into the places that the deploy will use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fleet.control.actions.asking import Asking
from fleet.control.actions.deploy import operator_name
from fleet.control.desired.trees import weights_tree
from fleet.control.inventory import Node
from fleet.control.inventory.project import Project
from fleet.control.rollout.conversation import Conversation
from fleet.control.supply.cache import Cache
from fleet.control.supply.models import model_file
from fleet.errors import FleetError, NodeError
from fleet.vocabulary.contracts.model import ModelManifest
from fleet.vocabulary.contracts.questions import Stowing
from fleet.vocabulary.contracts.sync import Missing
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.units import bytes_text

Progress = Callable[[NodeName, int, int], None]
"""Told (node, bytes sent, bytes to send)."""


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """How it went on one node. Nothing sent = the node had the weights already."""

    node: NodeName
    sent_bytes: int = 0
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

        What came before a cut is kept on the node, and the next pull or deploy goes on from there.
        """
        for answer in self.asking.each(
            nodes, lambda node, talk, _hello: self._one(talk, node, name, manifests[node.name])
        ):
            yield answer.said or Pulled(node=answer.node, error=answer.error)

    def _one(self, talk: Conversation, node: Node, name: str, manifest: ModelManifest) -> Pulled:
        tree = weights_tree(name, manifest, node.settings.layout(), task="fleet model pull")
        lacking = talk.stow((tree,), holder=operator_name())
        _require_space(node.name, lacking)
        total = self._send(talk, node.name, manifest, lacking.missing)
        stowed = talk.seal()
        return Pulled(node=node.name, sent_bytes=total, path=stowed.paths[0], kept_days=stowed.kept_days)

    def _send(self, talk: Conversation, node: NodeName, manifest: ModelManifest, missing: tuple[Missing, ...]) -> int:
        files = {f"sha256:{file.sha256}": file for file in manifest.files}
        # All of it before the first byte: from then on the node is held, and waits for no download.
        contents = {
            want.digest: model_file(
                manifest, files[want.digest], cache=self.cache, project=self.project, notify=self.notify
            )
            for want in missing
        }
        sizes = {digest: file.size_bytes for digest, file in files.items()}
        total = sum(sizes[want.digest] - want.offset for want in missing)
        done = 0

        def progress(count: int) -> None:
            nonlocal done
            done += count
            self.progress(node, done, total)

        talk.send(missing, contents, salt="", sizes=sizes, progress=progress)
        return total


def _require_space(node: NodeName, lacking: Stowing) -> None:
    """Refuse before anything is downloaded for it. The node itself looks again, and makes room where it may."""
    if lacking.free_bytes is not None and lacking.needed_bytes > lacking.free_bytes:
        raise NodeError(
            "not enough space for the weights",
            node=node,
            detail=f"{bytes_text(lacking.needed_bytes)} are needed, {bytes_text(lacking.free_bytes)} are free",
            hint=f"fleet model gc {node} and fleet gc {node} free what no release needs",
        )
