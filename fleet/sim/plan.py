"""What a simulation is made of: `sim.json` in its folder. Ports are picked once and remembered."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec

LIGHT_PORTS = 40_000
"""From here up the services of light nodes would listen, if there were any."""


class NodePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One node and its ports of 127.0.0.1. A plan of an older fleet has no `admin_port`."""

    name: str
    ssh_port: int
    gateway_port: int
    agent_port: int
    sidecar_port: int
    admin_port: int = 0


class SimPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation. `id` marks its processes; `token` opens its control port.

    The scales are those of Conditions. `openrouter_port` is the simulated OpenRouter's: none with `light` nodes,
    which run no daemons and take SSH's ports alone.
    """

    id: str
    token: str
    nodes: tuple[NodePlan, ...]
    models: tuple[str, ...] = ()
    openrouter_port: int = 0
    throttle_scale: float = 1.0
    exit_scale: float = 1.0
    enforce_root: bool = True
    light: bool = False
    schema: int = 1


def plan_nodes(count: int, ports: Iterator[int], *, light: bool = False) -> tuple[NodePlan, ...]:
    """`mac-1` to `mac-COUNT`, each with ports of its own. Where services never run, theirs need not be free."""
    others = itertools.count(LIGHT_PORTS) if light else ports
    return tuple(
        NodePlan(
            name=f"mac-{number}",
            ssh_port=next(ports),
            gateway_port=next(others),
            agent_port=next(others),
            sidecar_port=next(others),
            admin_port=next(others),
        )
        for number in range(1, count + 1)
    )


def read_plan(path: Path) -> SimPlan | None:
    """The plan of a folder, or None when it has none or another kind of file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=SimPlan)
    except (OSError, msgspec.MsgspecError):
        return None


def write_plan(path: Path, plan: SimPlan) -> None:
    """Remember the plan; it holds a token, so only its owner may read it."""
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n")
    part.replace(path)
