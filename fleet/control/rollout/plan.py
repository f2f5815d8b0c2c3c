"""The difference between desired and observed, per node, as a value. Pure.

The steps are the node's own (sync computes them with the function that apply uses); here they get their diffs:
by key for a plist, by line for other text, by value for a setting. A secret is never shown: its field is named, and
that it changes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.control.desired.plistdiff import KeyChange, plist_diff, text_diff
from fleet.control.desired.states import Compiled
from fleet.control.rollout.guard import Judged, Refusal
from fleet.vocabulary.contracts.desired import Command, Daemon, File
from fleet.vocabulary.contracts.sync import Observed, ServiceState, Step
from fleet.vocabulary.names import NodeName, StateId

HIDDEN = "(secret)"
_SECRET_FIELD = re.compile(r"(?i)(?:secret|token|passw|credential|private_?key|api_?key|auth_?key)[^.\[]*$")
LIVE_ACTIONS = frozenset({"bootstrap", "rebootstrap", "restart", "reload", "bootout", "cure"})
"""What happens to a daemon; everything else happens to files and settings."""
STOPS = frozenset({"rebootstrap", "restart", "bootout"})
"""What ends the process of a daemon."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One step of a plan with its diff. `diff` lines begin with `-`, `+` or a key's name; empty where there is none.

    `drain_seconds`: the service gets no new work first, and what runs on it may end, for so long; None = it is stopped
    at once, or not at all.
    """

    step: Step
    diff: tuple[str, ...] = ()
    drain_seconds: float | None = None

    @property
    def mark(self) -> str:
        """`+` comes, `-` goes, `~` changes, `?` may change."""
        if self.step.may:
            return "?"
        return {"create": "+", "bootstrap": "+", "remove": "-", "bootout": "-"}.get(self.step.action, "~")


@dataclass(frozen=True, kw_only=True)
class NodePlan:
    """What a deploy would do on one node. `send_bytes` is what would cross the wire."""

    node: NodeName
    state_id: StateId
    changes: tuple[Change, ...] = ()
    send_bytes: int = 0
    services: tuple[ServiceState, ...] = ()
    root: str = ""
    bad: str | None = None
    """Why exactly this state failed on the node before, when it did."""
    current: str | None = None
    """The release that was live when the node was looked at (`-`: none). None: the node was idle, and not asked."""
    refusals: tuple[Refusal, ...] = ()
    """Why a deploy would leave this node alone."""
    notes: tuple[str, ...] = ()
    """What a person should know before agreeing."""

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes

    @property
    def touches(self) -> tuple[str, ...]:
        """Labels of the daemons that would be started, restarted, reloaded or stopped."""
        return tuple(
            change.step.key.removeprefix("daemon:") for change in self.changes if change.step.action in LIVE_ACTIONS
        )


def idle_plan(node: NodeName, compiled: Compiled) -> NodePlan:
    """The plan of a node whose receipt matches."""
    return NodePlan(node=node, state_id=StateId(compiled.state.state_id))


def node_plan(
    node: NodeName, compiled: Compiled, observed: Observed, *, current: str | None = None, judged: Judged | None = None
) -> NodePlan:
    """The plan of a node from what it answered; `judged` is what the guards said of it."""
    judged = judged or Judged()
    blobs = compiled.state.blobs
    drains = {daemon.key: daemon.drain.seconds for daemon in compiled.state.daemons if daemon.drain}
    sent = sum(blobs[m.digest].size - m.offset for m in observed.missing if m.digest in blobs)
    return NodePlan(
        node=node,
        state_id=StateId(compiled.state.state_id),
        changes=tuple(
            Change(
                step=step,
                diff=_diff(step, compiled, observed.texts),
                drain_seconds=drains.get(step.key) if step.action in STOPS else None,
            )
            for step in observed.steps
        ),
        send_bytes=sent,
        services=observed.services,
        root=compiled.state.layout.root,
        bad=observed.bad,
        current=current,
        refusals=judged.refusals,
        notes=judged.notes,
    )


def _diff(step: Step, compiled: Compiled, texts: Mapping[str, str]) -> tuple[str, ...]:
    if step.before is not None or step.after is not None:
        return (f"- {step.before}", f"+ {step.after}") if step.before is not None else (f"+ {step.after}",)
    item = next((item for item in compiled.state.items if item.key == step.key), None)
    match item:
        case Daemon():
            old = texts.get(compiled.state.layout.plist(item.label))
            new = compiled.contents.get(item.plist.digest)
            if old is None or not isinstance(new, bytes):
                return ()
            return tuple(_line(change) for change in plist_diff(old, new.decode()))
        case Command(sensitive=True):
            return (f"command: {HIDDEN}",)
        case File() if item.sensitive or item.blob.secret:
            # Of a step that mends only the mode, the reason says so.
            return (f"content: {HIDDEN} changed",) if step.action == "update" and "content" in step.reason else ()
        case File():
            old, new = texts.get(item.path), compiled.contents.get(item.blob.digest)
            if old is None or not isinstance(new, bytes):
                return ()
            return tuple(text_diff(old, new.decode(errors="replace")))
    return ()


def _line(change: KeyChange) -> str:
    """A plist's key that differs; of one that is named like a secret, that it does."""
    if not _SECRET_FIELD.search(change.path):
        return change.text
    verb = "added" if change.old is None else "removed" if change.new is None else "changed"
    return f"{change.path}: {HIDDEN} {verb}"


def named(key: str, root: str) -> str:
    """An item or gate by its key as a person reads it: its kind and name, paths below the node's root made short."""
    kind, _, name = key.partition(":")
    if name.startswith(f"{root}/"):
        name = name.removeprefix(f"{root}/")
    elif kind in ("tree", "http", "generate"):
        name = name.replace(":", " ", 1) if kind == "tree" else name
    elif kind in ("pmset", "sysctl"):
        name = name.replace(",", " ")
    return f"{kind} {name}".strip()


def plan_id(plans: Mapping[NodeName, NodePlan]) -> str:
    """12 hex digits that name this plan: equal plans have equal names."""
    text = "\n".join(
        f"{name} {plan.state_id} " + " ".join(f"{c.step.action}:{c.step.key}" for c in plan.changes)
        for name, plan in sorted(plans.items())
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]
