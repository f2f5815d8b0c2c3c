"""`fleet rollback`: a deploy of what a node has kept. Its own record is the desired state, through the same apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.control.actions.asking import Asking
from fleet.control.actions.deploy import Prepared, Wanted
from fleet.control.desired.states import Compiled
from fleet.control.inventory import Inventory, Node
from fleet.control.link.protocol import target_of
from fleet.control.playbook import Playbook
from fleet.control.rollout.conversation import Content, Conversation, helper_argv
from fleet.control.rollout.nodejob import NodeJob
from fleet.control.supply.cache import Cache
from fleet.errors import FleetError, NodeError
from fleet.vocabulary.contracts.desired import Blob, Daemon, DesiredState, File, Tree
from fleet.vocabulary.contracts.questions import History
from fleet.vocabulary.contracts.sync import Hello, Missing
from fleet.vocabulary.names import NodeName, RunId

_NAMED = 6


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """A release that a node can be brought back to, what the node would need for it, and texts of it, to be shown."""

    state: DesiredState
    missing: tuple[Missing, ...]
    texts: Mapping[str, str]


def prepare_rollback(
    inventory: Inventory,
    playbook: Playbook,
    nodes: Sequence[Node],
    *,
    to: str | None,
    wanted: Wanted,
    asking: Asking,
    cache: Cache,
) -> Prepared:
    """A run that brings nodes back: to the release that begins with `to`, else to the one before the live one.

    A rollback that is resumed (`wanted.resume`) brings every node to the release that it began with. A node that cannot
    be asked, has no such release, or no longer all of its contents, is left out and told. Raises what stood in the way
    when that is every node.
    """
    named = {node.name for play in playbook.plays for node in inventory.select(play.hosts)}
    lost: dict[NodeName, FleetError] = {}
    jobs: list[NodeJob] = []
    begun = wanted.resume

    def kept_by(node: Node, talk: Conversation, hello: Hello) -> _Kept:
        return _kept(
            node, talk, hello, begun.states.get(node.name) if begun else to, of_run=begun.run_id if begun else None
        )

    for answer in asking.each(nodes, kept_by):
        kept, node = answer.said, inventory.node(answer.node)
        if kept is None:
            lost[answer.node] = answer.error or NodeError("it gave no release", node=answer.node)
        elif answer.node not in named:
            hint = "its strategy is not known; --playbook FILE names another playbook"
            lost[answer.node] = NodeError(f"no play of {playbook.path.name} names it", node=node.name, hint=hint)
        elif gone := _gone(kept, cache):
            lost[answer.node] = _incomplete(node, kept, gone, asking)
        else:
            jobs.append(_job(node, kept, cache=cache, base=asking.base))
    if not jobs:
        raise next(iter(lost.values()))
    order = {name: index for index, name in enumerate(inventory.nodes)}
    return Prepared(
        inventory=inventory,
        playbook=playbook,
        jobs=tuple(sorted(jobs, key=lambda job: order[job.name])),
        sync=asking.sync,
        lost=lost,
        wanted=wanted,
        action="rollback",
    )


def _kept(node: Node, talk: Conversation, hello: Hello, to: str | None, *, of_run: RunId | None) -> _Kept:
    """The wanted release as the node keeps it, and what the node would need for it."""
    if hello.active_run and hello.active_run != of_run:
        raise NodeError(f"run {hello.active_run} is still going on there", node=node.name, hint="wait for its end")
    state = talk.recall(to)
    observed = talk.observe(state, contents=True)
    talk.bye()
    return _Kept(state=state, missing=observed.missing, texts=observed.contents)


def _gone(kept: _Kept, cache: Cache) -> list[str]:
    """Digests of contents that neither the node nor this laptop has any more."""
    return [want.digest for want in kept.missing if not cache.has(want.digest)]


def _incomplete(node: Node, kept: _Kept, gone: Sequence[str], asking: Asking) -> NodeError:
    names = [_owner(kept.state, digest) for digest in gone]
    shown = [*dict.fromkeys(names)]
    more = [f"and {len(shown) - _NAMED} more"] if len(shown) > _NAMED else []
    history: History = asking.one(node, lambda _node, talk, _hello: talk.history())
    made = next((one.made_live for one in history.releases if one.state_id == kept.state.state_id), None)
    commit = f"check out {made.git_commit[:12]}" if made and made.git_commit else "check out what it was deployed from"
    return NodeError(
        f"release {kept.state.state_id[:12]} cannot be brought back: contents of it are gone",
        node=node.name,
        detail="\n".join(f"gone: {name}" for name in (*shown[:_NAMED], *more)),
        hint=f"{commit}, then: fleet deploy --force --on {node.name}",
    )


def _owner(state: DesiredState, digest: str) -> str:
    """What a content belongs to, for a person. Of a secret its place only."""
    for item in state.items:
        blobs: list[Blob] = []
        if isinstance(item, File):
            blobs = [item.blob]
        elif isinstance(item, Daemon):
            blobs = [item.plist]
        elif isinstance(item, Tree):
            blobs = [file.blob for file in item.files] + ([item.archive] if item.archive else [])
        if any(blob.digest == digest for blob in blobs):
            return item.key.replace(":", " ") + (" (secret)" if digest.startswith("hmac-") else "")
    return digest


def _job(node: Node, kept: _Kept, *, cache: Cache, base: Path) -> NodeJob:
    contents: dict[str, Content] = {want.digest: cache.blob_path(want.digest) for want in kept.missing}
    return NodeJob(
        name=node.name,
        target=target_of(node, base=base),
        helper=helper_argv(node.settings.layout(), sudo=node.settings.sudo),
        compiled=Compiled(state=kept.state, contents={digest: text.encode() for digest, text in kept.texts.items()}),
        contents=contents,
        salt="",
    )
