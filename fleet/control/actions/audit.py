"""`fleet audit`: what was done to which node, by whom: the nodes' own lines and the laptop's, in one order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fleet.control.actions.asking import Asking
from fleet.control.inventory import Node
from fleet.control.inventory.project import Project
from fleet.control.rollout.audit import AuditFile
from fleet.control.rollout.conversation import Conversation
from fleet.errors import FleetError
from fleet.vocabulary.contracts.audit import AuditLine
from fleet.vocabulary.contracts.questions import AuditLines
from fleet.vocabulary.contracts.sync import Hello
from fleet.vocabulary.names import NodeName

LAPTOP = "laptop"


@dataclass(frozen=True, kw_only=True)
class Trail:
    """What one place has written down. `broken` says where its chain of hashes does not hold."""

    place: str
    lines: tuple[AuditLine, ...] = ()
    broken: str | None = None
    error: FleetError | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that was done to a node, and the places that wrote it down (the node's line counts)."""

    node: str
    line: AuditLine
    places: tuple[str, ...]


def audit_file(project: Project) -> AuditFile:
    """The audit that this laptop keeps of a project."""
    return AuditFile(project.state_dir / "audit.jsonl")


def laptop_trail(project: Project) -> Trail:
    """What this laptop has done to the project's nodes."""
    lines, broken = audit_file(project).read()
    return Trail(place=LAPTOP, lines=lines, broken=broken)


def node_trails(nodes: Sequence[Node], asking: Asking) -> Iterator[Trail]:
    """Ask every node at once for its whole audit; answers in the order in which they come."""

    def whole(node: Node, talk: Conversation, _hello: Hello) -> AuditLines:
        return pages(talk.audit(), lambda after: asking.one(node, lambda _node, other, _: other.audit(after=after)))

    for answer in asking.each(nodes, whole):
        said = answer.said or AuditLines()
        yield Trail(place=answer.node, lines=said.lines, broken=said.broken, error=answer.error)


def pages(first: AuditLines, ask: Callable[[int], AuditLines]) -> AuditLines:
    """The whole of an audit that does not fit into one answer: `ask` gives the lines behind a number."""
    lines, last = list(first.lines), first
    while last.more and last.lines:
        last = ask(lines[-1].seq)
        lines += last.lines
    return replace(last, lines=tuple(lines))


def merged(trails: Iterable[Trail], *, nodes: Iterable[NodeName], since_seconds: float | None = None) -> list[Entry]:
    """One entry for each thing that was done, oldest first. What node and laptop both wrote down is one entry."""
    wanted = set(nodes)
    found: dict[tuple[str, ...], Entry] = {}
    for trail in sorted(trails, key=lambda one: one.place == LAPTOP):
        for line in trail.lines:
            node = line.node or (trail.place if trail.place != LAPTOP else "")
            if node not in wanted or (since_seconds is not None and line.at_seconds < since_seconds):
                continue
            key = (node, line.run_id, line.action) if line.run_id else (trail.place, str(line.seq))
            known = found.get(key)
            if known is None:
                found[key] = Entry(node=node, line=line, places=(trail.place,))
            elif trail.place not in known.places:
                found[key] = Entry(node=node, line=known.line, places=(*known.places, trail.place))
    return sorted(found.values(), key=lambda one: (one.line.at_seconds, one.node, one.line.seq))
