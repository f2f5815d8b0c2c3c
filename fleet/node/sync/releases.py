"""Records of desired states on the node, and the `current` link."""

from __future__ import annotations

import functools
import re

from fleet.node.sync.machine import Machine
from fleet.vocabulary.contracts.codec import ContractError, canonical, decode
from fleet.vocabulary.contracts.desired import DesiredState

_RECORD = re.compile(r"[0-9a-f]{64}\.json")


def save(machine: Machine, state: DesiredState) -> None:
    """Write the record of a desired state. It may hold command lines, so only root reads it."""
    machine.disk.write(machine.layout.release(state.state_id), canonical(state), mode=0o600)


def load(machine: Machine, state_id: str | None) -> DesiredState | None:
    """The record of a state; None when there is none, or it cannot be read any more."""
    text = machine.disk.read(machine.layout.release(state_id)) if state_id else None
    return _state_in(text) if text else None


@functools.lru_cache(maxsize=4)
def _state_in(text: bytes) -> DesiredState | None:
    """A run looks at the same two or three again and again."""
    try:
        return decode(text, DesiredState)
    except ContractError:
        return None


def current_id(machine: Machine) -> str | None:
    """The state id that the `current` link names."""
    target = machine.disk.link_target(machine.layout.current)
    name = (target or "").rsplit("/", 1)[-1]
    return name.removesuffix(".json") if name.endswith(".json") else None


def kept_ids(machine: Machine) -> tuple[str, ...]:
    """The state ids of the releases that are kept."""
    names = machine.disk.names(f"{machine.layout.root}/releases")
    return tuple(name.removesuffix(".json") for name in names if _RECORD.fullmatch(name))


def switch(machine: Machine, state_id: str | None) -> None:
    """Let `current` name another release, in one rename; None takes it away."""
    if state_id is None:
        machine.disk.remove(machine.layout.current)
    elif current_id(machine) != state_id:
        machine.disk.symlink(f"{state_id}.json", machine.layout.current)


def mark_bad(machine: Machine, state_id: str, why: str) -> None:
    """Remember that a release failed here, and why. It may hold last lines of logs, so only root reads it."""
    machine.disk.directory(machine.layout.state("bad"))
    machine.disk.write(f"{machine.layout.state('bad')}/{state_id}", why.encode(), mode=0o600)


def unmark_bad(machine: Machine, state_id: str) -> None:
    """A release works after all."""
    machine.disk.remove(f"{machine.layout.state('bad')}/{state_id}")


def why_bad(machine: Machine, state_id: str) -> str | None:
    """Why a release failed here the last time, if it did."""
    text = machine.disk.read(f"{machine.layout.state('bad')}/{state_id}")
    return None if text is None else text.decode("utf-8", "replace")
