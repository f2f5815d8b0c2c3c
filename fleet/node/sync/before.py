"""Settings as they were before fleet's first change of them, so that an uninstall can put them back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import Problem
from fleet.node.sync.settings import change, read_named
from fleet.vocabulary.contracts.codec import ContractError, canonical, decode


@dataclass(frozen=True, kw_only=True)
class Before:
    """By `pmset:KEY` or `sysctl:KEY`: `was` before the first change, `made` what fleet set last."""

    was: dict[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    schema: int = 1


def load_before(machine: Machine) -> Before:
    """The record; an empty one when there is none, or it cannot be read."""
    try:
        return decode(machine.disk.read(_path(machine)) or b"", Before)
    except ContractError:
        return Before()


def remember(machine: Machine, name: str, *, was: str | None, made: str) -> None:
    """Note a change that is about to be made. Of several the first `was` counts. Raises OSError."""
    known = load_before(machine)
    old = known.was if was is None or name in known.was else {**known.was, name: was}
    new = Before(was=old, made={**known.made, name: made})
    if new != known:
        machine.disk.write(_path(machine), canonical(new), mode=0o644)


def put_back(machine: Machine) -> Iterator[tuple[str, str]]:
    """Put every setting back that still is as fleet made it; its name, and what was done, for a person.

    What somebody changed since is theirs, and a value that differed by power source cannot be set in one word.
    """
    known = load_before(machine)
    live = read_named(machine, known.was)
    for name, was in sorted(known.was.items()):
        words = name.replace(":", " ")
        if live.get(name) == was:
            continue
        if live.get(name) != known.made.get(name):
            yield name, f"{words} stays {live.get(name, 'unknown')}: it was changed since"
        elif "|" in was:
            yield name, f"{words} stays {live[name]}: it was {was.replace('|', ' or ')} by power source"
        else:
            try:
                change(machine, name, was)
                yield name, f"{words} is {was} again"
            except Problem as problem:
                yield name, f"{words} could not be put back to {was}: {problem.title}"


def _path(machine: Machine) -> str:
    return machine.layout.state("before.json")
