"""Playbook x inventory -> the tasks of each node: `when` decided, `{{ }}` filled in on demand. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fleet.control.desired.fill import filled, filled_as
from fleet.control.desired.namespace import group_views, namespace, scope
from fleet.control.desired.templates import Templates
from fleet.control.inventory import Inventory, Node
from fleet.control.playbook.health import Check
from fleet.control.playbook.playbook import HealthCheck, Play, Playbook, Task
from fleet.control.playbook.predicates import holds
from fleet.errors import PlaybookError, UsageError
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.layout import NodeLayout
from fleet.vocabulary.names import NodeName

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class NodePlaybook:
    """What the playbook says of one node. `values` is the namespace of its scalars and templates."""

    node: Node
    facts: Facts | None
    layout: NodeLayout
    tasks: tuple[Task, ...]
    checks: tuple[HealthCheck, ...]
    values: Mapping[str, object] = field(repr=False)
    templates: Templates = field(repr=False)

    def of_kind(self, kind: str, shape: type[T]) -> Iterator[tuple[Task, T]]:
        """The tasks of a kind whose action is a `shape`, filled in."""
        for task in self.tasks:
            if task.kind == kind and isinstance(task.action, shape):
                yield task, self.fill(task)

    def fill(self, task: Task, **more: object) -> Any:
        """The task's action with its `{{ }}` filled in; `more` are further names. Raises PlaybookError."""
        values = {**self.values, **more}
        return filled(task.action, task.kind, templates=self.templates, values=values, place=task.place)

    def fill_check(self, check: HealthCheck) -> Check:
        """A health check, filled in. Raises PlaybookError."""
        return filled_as(
            type(check.check),
            check.check,
            templates=self.templates,
            values=self.values,
            place=check.place,
            what="health",
        )


def expand(
    inventory: Inventory, playbook: Playbook, *, facts: Mapping[NodeName, Facts], templates: Templates
) -> Mapping[NodeName, NodePlaybook]:
    """The playbook of every node that a play names, in inventory order. Raises PlaybookError.

    `when` is decided here, for every task: what is not known is an error, also on nodes that only others refer to.
    """
    members = [_members(inventory, play, facts) for play in playbook.plays]
    groups = group_views(inventory)
    found: dict[NodeName, NodePlaybook] = {}
    for name, node in inventory.nodes.items():
        plays = [play for play, names in zip(playbook.plays, members, strict=True) if name in names]
        if not plays:
            continue
        layout = node.settings.layout()
        known = scope(node, inventory, facts.get(name))
        tasks = [task for play in plays for task in play.tasks]
        found[name] = NodePlaybook(
            node=node,
            facts=facts.get(name),
            layout=layout,
            tasks=tuple(t for t in tasks if t.when is None or holds(t.when, known, place=t.place)),
            checks=tuple(check for play in plays for check in play.health),
            values=namespace(node, facts.get(name), layout, groups=groups),
            templates=templates,
        )
    return found


def _members(inventory: Inventory, play: Play, facts: Mapping[NodeName, Facts]) -> frozenset[NodeName]:
    try:
        return frozenset(node.name for node in inventory.select(play.hosts, facts=facts))
    except UsageError as error:
        raise PlaybookError(f"play {play.name!r}: {error.title}", place=play.place, hint=error.hint) from None


def refuse_tags(tags: tuple[str, ...]) -> None:
    """Tags cannot choose tasks of a whole state. Raises PlaybookError."""
    if tags:
        raise PlaybookError(
            f"--tags {','.join(tags)} is not carried out by this release",
            detail="A node's desired state is whole: tasks that are left out would be taken off the node.",
            hint="--on limits the nodes; `when` limits a task",
        )
