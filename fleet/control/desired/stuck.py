"""Strategies by which a node may never go: its model has no more copies than the floor, and nothing is away. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fleet.control.desired.roster import Roster
from fleet.control.inventory import Finding, Inventory
from fleet.control.playbook.playbook import Play, Playbook
from fleet.control.playbook.strategy import LastCopy
from fleet.vocabulary.names import NodeName

_NEVER = {
    LastCopy.WAIT: "a deploy that restarts it waits in vain, then leaves it out",
    LastCopy.REFUSE: "a deploy that restarts it leaves it out",
}


def stuck(inventory: Inventory, playbook: Playbook, lists: Mapping[NodeName, Roster]) -> Iterator[Finding]:
    """A warning for every play and model where `last_copy` keeps all the copies for ever."""
    copies: dict[str, list[NodeName]] = {}
    for name, roster in lists.items():
        for model in dict.fromkeys(sidecar.serves for sidecar in roster.sidecars):
            copies.setdefault(model, []).append(name)
    last: dict[NodeName, Play] = {}
    for play in playbook.plays:  # the last play that names a node rules how it changes
        last.update(dict.fromkeys((node.name for node in inventory.select(play.hosts)), play))
    for model, nodes in sorted(copies.items()):
        for play in {last[node].place: last[node] for node in nodes if node in last}.values():
            if play.pace.last_copy in _NEVER and len(nodes) <= play.pace.floor:
                yield _finding(play, model, nodes)


def _finding(play: Play, model: str, nodes: list[NodeName]) -> Finding:
    pace = play.pace
    count = "one copy" if len(nodes) == 1 else f"{len(nodes)} copies"
    mend = f"floor: {len(nodes) - 1}, " if len(nodes) > 1 else ""
    return Finding(
        play.place,
        "warning",
        f"play {play.name}: {model} has {count} ({', '.join(nodes)}), floor {pace.floor} and "
        f"last_copy: {pace.last_copy} never let one go: {_NEVER[pace.last_copy]}",
        f"{mend}one copy more, or last_copy: allow",
    )
