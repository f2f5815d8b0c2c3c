"""When a node's power is switched: never on a guess. Pure.

SSH and gateway must both have been dead for long, with the SSH port known to have answered this front before (else the
port, or the name, may only be closed to us), and somebody else must answer (else it is we who are cut off).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from fleet.traffic.config import Power


class PowerBook(msgspec.Struct, frozen=True, kw_only=True):
    """What outlives a restart: when the hook last ran for a node (Unix time), and whose SSH port ever answered."""

    ran_seconds: dict[str, float] = {}
    ssh_answered: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Signs:
    """One node: whether it answers now, and for how long its gateway and its SSH port have been dead.

    None = alive, or not known yet. `has_edge` False: no gateway could answer, and the SSH port alone speaks for it.
    """

    answers: bool
    edge_dead_seconds: float | None = None
    ssh_dead_seconds: float | None = None
    has_edge: bool = True


def decide(
    power: Power, signs: Mapping[str, Signs], book: PowerBook, now_seconds: float, *, peer_answers: bool = False
) -> tuple[str, ...]:
    """The nodes to run the hook for now. `signs` are of all nodes but this front's own."""
    return tuple(
        node
        for node, one in signs.items()
        if _is_dead(one, power.after_seconds)
        and node in book.ssh_answered
        and (peer_answers or any(other.answers for name, other in signs.items() if name != node))
        and _is_allowed(book.ran_seconds.get(node), power.again_seconds, now_seconds)
    )


def argv_for(power: Power, node: str) -> tuple[str, ...]:
    """The command for one node: words, never a line for a shell."""
    return tuple(word.replace("{node}", node) for word in power.argv)


def _is_dead(one: Signs, after_seconds: float) -> bool:
    if one.answers:
        return False
    ssh = one.ssh_dead_seconds is not None and one.ssh_dead_seconds >= after_seconds
    edge = not one.has_edge or (one.edge_dead_seconds is not None and one.edge_dead_seconds >= after_seconds)
    return ssh and edge


def _is_allowed(ran: float | None, again_seconds: float, now: float) -> bool:
    """Not twice within the time; also not when the clock was set back behind the last run."""
    return ran is None or now - ran >= again_seconds
