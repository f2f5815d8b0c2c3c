"""A plan that was saved, to be done later exactly as it was shown: `fleet plan -o FILE`, `fleet deploy --plan FILE`.

It holds names, paths and digests. No file's content is in it, no command's words and no value of a variable: what was
shown is compared by digest. Its own digest tells a file that was cut or changed by hand; it proves no more than that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

import fleet
from fleet.control.rollout.guard import Refusal
from fleet.control.rollout.plan import NodePlan
from fleet.errors import UsageError
from fleet.vocabulary.contracts.codec import digest_of
from fleet.vocabulary.contracts.shown import steps_digest, told_apart
from fleet.vocabulary.contracts.sync import Facts, Step
from fleet.vocabulary.names import NodeName

_SCHEMA = 1
_AGAIN = "make a new plan: fleet plan -o FILE"
_FACTS = ("os_version", "os_build", "memory_bytes", "arch", "chip")


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is certain of one step, without what it would type."""

    key: str
    kind_of: str
    action: str
    before: str | None = None
    after: str | None = None
    may: bool = False

    @property
    def step(self) -> Step:
        """It as a step."""
        return Step(
            key=self.key,
            kind_of=self.kind_of,
            action=self.action,
            task="",
            before=self.before,
            after=self.after,
            may=self.may,
        )


class PlannedNode(msgspec.Struct, frozen=True, kw_only=True):
    """What was shown for one node. `current` is the release that was live (`-`: none; None: the node was idle)."""

    state_id: str
    current: str | None
    steps: tuple[PlannedStep, ...]
    steps_digest: str
    diffs_digest: str
    facts: dict[str, str]


class SavedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan of a whole run. `sets` names the variables of `--set`; their values are in the state ids only."""

    made_at: str
    fleet_version: str
    playbook: str
    on: str | None
    sets: tuple[str, ...]
    git_commit: str | None
    git_dirty: bool | None
    nodes: dict[NodeName, PlannedNode]
    digest: str = ""
    schema: int = _SCHEMA


def planned_node(plan: NodePlan, facts: Facts | None) -> PlannedNode:
    """One node of a plan, as it is saved."""
    steps = tuple(change.step for change in plan.changes)
    return PlannedNode(
        state_id=plan.state_id,
        current=plan.current,
        steps=tuple(
            PlannedStep(key=s.key, kind_of=s.kind_of, action=s.action, before=s.before, after=s.after, may=s.may)
            for s in steps
        ),
        steps_digest=steps_digest(steps),
        diffs_digest=_diffs_digest(plan),
        facts=_facts(facts),
    )


def saved_plan(
    nodes: Mapping[NodeName, PlannedNode],
    *,
    playbook: str,
    on: str | None,
    overrides: Sequence[str],
    git: tuple[str | None, bool | None],
    now: datetime,
) -> SavedPlan:
    """The plan of a run, as it is saved. `git` is commit and whether the tree was dirty."""
    return _sealed(
        SavedPlan(
            made_at=now.isoformat(timespec="seconds"),
            fleet_version=fleet.__version__,
            playbook=playbook,
            on=on,
            sets=tuple(sorted(word.partition("=")[0] for word in overrides)),
            git_commit=git[0],
            git_dirty=git[1],
            nodes=dict(nodes),
        )
    )


def write_plan(path: Path, plan: SavedPlan) -> None:
    """Write the file, 0600, in one rename. Raises UsageError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    text = msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n"
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"the plan cannot be written to {path}: {error.strerror or error}") from error


def read_plan(path: Path) -> SavedPlan:
    """A saved plan. Raises UsageError when it is none, of another schema, or not as it was written."""
    try:
        plan = msgspec.json.decode(path.read_bytes(), type=SavedPlan)
    except OSError as error:
        raise UsageError(f"the plan {path} cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no saved plan", detail=str(error), hint="fleet plan -o FILE writes one") from error
    if plan.schema != _SCHEMA:
        raise UsageError(f"{path} is a plan of schema {plan.schema}; this fleet reads {_SCHEMA}", hint=_AGAIN)
    if _sealed(plan).digest != plan.digest:
        raise UsageError(f"{path} is not as it was written", hint=_AGAIN)
    return plan


def other_state(planned: PlannedNode, state_id: str) -> Refusal | None:
    """Why what inventory, playbook and sources make of a node is not what was planned."""
    if planned.state_id == state_id:
        return None
    detail = f"planned: state {planned.state_id[:12]}\nnow:     state {state_id[:12]}"
    title = "inventory, playbook or sources make another state of it now than was planned"
    return Refusal(title=title, detail=detail, hint=_AGAIN)


def moved(planned: PlannedNode, plan: NodePlan, facts: Facts | None) -> Refusal | None:
    """Why the node is not what it was when the plan was made. None: the plan still holds, or has been done already."""
    if plan.idle:
        return None
    seen = _facts(facts)
    other = [f"{name}: {planned.facts[name]} -> {seen[name]}" for name in _FACTS if _differs(name, planned.facts, seen)]
    if other:
        return Refusal(
            title="the node is another machine than it was when planned", detail="\n".join(other), hint=_AGAIN
        )
    if plan.current is not None and planned.current is not None and plan.current != planned.current:
        names = [name[:12] if name != "-" else "none" for name in (planned.current, plan.current)]
        title = "another release is live on the node than when the plan was made"
        return Refusal(title=title, detail=f"planned against: {names[0]}\nlive now:        {names[1]}", hint=_AGAIN)
    now = tuple(change.step for change in plan.changes)
    difference = told_apart((one.step for one in planned.steps), now)
    if difference:
        return Refusal(title="the node has moved since the plan was made", detail="\n".join(difference), hint=_AGAIN)
    if _diffs_digest(plan) != planned.diffs_digest:
        title = "files on the node are not what they were when the plan was made: the diffs would be other ones"
        return Refusal(title=title, hint=_AGAIN)
    return None


def _sealed(plan: SavedPlan) -> SavedPlan:
    plain = msgspec.to_builtins(msgspec.structs.replace(plan, digest=""))
    return msgspec.structs.replace(plan, digest=digest_of(plain))


def _diffs_digest(plan: NodePlan) -> str:
    certain = [change for change in plan.changes if not change.step.may]
    return digest_of([[change.step.key, list(change.diff)] for change in certain if change.diff])


def _facts(facts: Facts | None) -> dict[str, str]:
    return {name: str(value) for name in _FACTS if (value := getattr(facts, name, None)) is not None}


def _differs(name: str, then: Mapping[str, str], now: Mapping[str, str]) -> bool:
    return name in then and name in now and then[name] != now[name]
