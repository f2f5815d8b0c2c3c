"""`fleet drift`: what on a node is not as its own live release says. Nothing new is wanted, and nothing is changed.

The node looks at itself with the function that a deploy uses, for the release that it has: what a deploy would mend is
what drifted. With `verify` it also walks and hashes every tree, which no deploy does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from fleet.control.actions.asking import Answer, Asking
from fleet.control.inventory import Node
from fleet.control.rollout.conversation import Conversation
from fleet.control.rollout.plan import HIDDEN
from fleet.errors import NodeError
from fleet.vocabulary.contracts.desired import DesiredState, File
from fleet.vocabulary.contracts.questions import Verified
from fleet.vocabulary.contracts.sync import Hello, LastWrite, Observed, Progress, Step
from fleet.vocabulary.names import NodeName

_WAS_TO = re.compile(r"(mode|owner) (\S+) -> (\S+)")
_WORDS = {
    "its content changes": "its content is not the deployed one",
    "its plist changes": "its plist is not the deployed one",
    "its plist is missing": "its plist is missing",
}


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One thing that is not as it was deployed. `may`: it cannot be known without doing it."""

    key: str
    what: str
    may: bool = False
    secret: bool = False
    written: LastWrite | None = None


@dataclass(frozen=True, kw_only=True)
class Drifted:
    """What a node has of its live release. `release` is None when nothing was ever deployed."""

    release: str | None
    root: str = ""
    drifts: tuple[Drift, ...] = ()
    verified: Verified | None = None

    @property
    def clean(self) -> bool:
        """Whether nothing drifted, as far as it was looked at."""
        return not self.drifts and not (self.verified and self.verified.flaws)


Told = Callable[[NodeName, Progress], None]
"""Hears how far the walk over a node's trees is; called by the threads of all nodes."""


def drifts(
    nodes: Sequence[Node], asking: Asking, *, verify: bool, told: Told = lambda _node, _: None
) -> Iterator[Answer[Drifted]]:
    """Look at every node at once; answers in the order in which they come."""

    def look(node: Node, talk: Conversation, hello: Hello) -> Drifted:
        if hello.active_run:
            hint = f"wait for its end; fleet logs {node.name} apply -f shows it"
            raise NodeError(f"run {hello.active_run} is changing it right now", node=node.name, hint=hint)
        if hello.release is None:
            return Drifted(release=None)
        state = talk.recall(hello.release)
        found = drifted(state, talk.observe(state))
        talk.bye()
        hear = partial(told, node.name)
        walked = asking.one(node, lambda _node, other, _hello: other.verify(told=hear)) if verify else None
        if walked is not None:  # what is told already is not told twice
            known = {one.key for one in found}
            walked = replace(walked, flaws=tuple(flaw for flaw in walked.flaws if flaw.key not in known))
        return Drifted(release=hello.release, root=state.layout.root, drifts=found, verified=walked)

    return asking.each(nodes, look)


def drifted(state: DesiredState, observed: Observed) -> tuple[Drift, ...]:
    """What the steps back to a live release say of the node. What would only follow from another step is left out."""
    secret = {item.key for item in state.items if isinstance(item, File) and (item.sensitive or item.blob.secret)}
    return tuple(
        Drift(
            key=step.key,
            what=_words(step),
            may=step.may,
            secret=step.key in secret,
            written=observed.written.get(step.key),
        )
        for step in observed.steps
        if step.action != "wait" and not _follows(step)
    )


def _follows(step: Step) -> bool:
    """Whether the step is there because of another one: a daemon that reads a file, a command on a change of it."""
    return step.action in ("restart", "reload", "run") and step.reason.endswith(" changes")


def _words(step: Step) -> str:
    """What is there, in place of what would be done about it."""
    if step.before is not None or step.after is not None:
        return f"it is {step.before or 'not there'}, deployed as {step.after}"
    if step.action == "create":
        return f"it is missing: {step.reason}" if step.reason else "it is missing"
    if step.action == "remove":
        return "it is there, though the release has no such thing"
    return _WAS_TO.sub(r"\1 is \2, deployed as \3", _WORDS.get(step.reason, step.reason))


def shown_as(drift: Drift) -> str:
    """The drift as a person reads it: of a secret nothing but that it differs."""
    return f"{drift.what} {HIDDEN}" if drift.secret and "content" in drift.what else drift.what
