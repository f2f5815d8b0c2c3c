"""What adopt and doctor share: how a probe is put together, how its answer is taken apart, what both look for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

from fleet.control.inventory import Node
from fleet.vocabulary.argv import quote

_HEAD = re.compile(r"== (\S+) (-?\d{1,4}|-)")

POWER_WANTED: Mapping[str, int] = {
    "sleep": 0,
    "disksleep": 0,
    "powernap": 0,
    "lowpowermode": 0,
    "autorestart": 1,
    "womp": 1,
}
"""Power settings of a Mac that serves, as playbooks/provision.yml sets them (FACTS section 2.5)."""
ENOUGH_DISK_BYTES = 20 * 1024**3

Blocks = Mapping[str, tuple[str, str]]
"""Name -> (exit status, output) of each block."""


def node_ports(node: Node) -> tuple[int, ...]:
    """The ports that fleet's services will want on a node, as far as the inventory says."""
    settings = node.settings
    return tuple(
        dict.fromkeys((settings.gateway_port, settings.gateway_admin_port, settings.agent_port, settings.sidecar_port))
    )


def script_text(names: Sequence[str], values: Mapping[str, str]) -> str:
    """Scripts of this package, one behind the other, with their values as assignments before them."""
    head = "".join(f"{key}={quote([value])}\n" for key, value in values.items())
    folder = files("fleet.control.actions")
    return head + "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def blocks_of(text: str, magic: str) -> dict[str, tuple[str, str]]:
    """The blocks behind the magic line (blocks.sh). Cut or foreign text gives fewer."""
    blocks: dict[str, tuple[str, str]] = {}
    _, found, rest = text.partition(magic)
    name, lines = "", list[str]()
    for line in rest.splitlines() if found else ():
        head = _HEAD.fullmatch(line)
        if head:
            name, lines = head[1], []
            blocks[name] = (head[2], "")
        elif line.startswith("|") and name:
            lines.append(line[1:])
            blocks[name] = (blocks[name][0], "\n".join(lines))
    return blocks


def pids_of_ours(said: Mapping[str, str], *, root: str) -> frozenset[int]:
    """Of the blocks process.PID those that run out of fleet's root."""
    return frozenset(
        int(name.removeprefix("process."))
        for name, line in said.items()
        if name.startswith("process.") and name[8:].isdigit() and f"{root}/" in line
    )
