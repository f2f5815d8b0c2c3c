"""Reaching nodes by hand: run a command on many, the argv of a shell on one. Logs: logs.py."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.control.actions.spread import on_each
from fleet.control.inventory import Node
from fleet.control.link.protocol import Link, target_of
from fleet.errors import FleetError, NotAdopted
from fleet.vocabulary.argv import Argv, posix
from fleet.vocabulary.names import NodeName

_CONNECT_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command answered on one node. `error` is set when it could not be run."""

    node: NodeName
    status: int | None = None
    stdout: str = ""
    stderr: str = ""
    error: FleetError | None = None


def exec_on(
    nodes: Sequence[Node],
    words: Sequence[str],
    *,
    link: Link,
    base: Path,
    timeout_seconds: float,
    shell: bool = False,
) -> Iterator[Answer]:
    """Run one command on every node at once, as the SSH user; answers in the order in which they come.

    `base` is the project's folder, for relative key files.
    """
    command = posix(" ".join(words)) if shell else posix('exec "$@"', *words)
    return on_each(
        nodes,
        lambda node: _run(node, command, link=link, base=base, timeout_seconds=timeout_seconds),
        failed=lambda node, error: Answer(node=node.name, error=error),
    )


def _run(node: Node, command: str, *, link: Link, base: Path, timeout_seconds: float) -> Answer:
    require_adopted(node)
    session = link.connect(target_of(node, base=base), deadline_seconds=_CONNECT_SECONDS)
    try:
        channel = session.exec(command)
        channel.close_write()
        stdout = bytearray()
        while chunk := channel.read_some(within_seconds=timeout_seconds):
            stdout += chunk
        status = channel.wait(within_seconds=timeout_seconds)
        text = stdout.decode(errors="replace")
        return Answer(node=node.name, status=status, stdout=text, stderr=channel.stderr_tail)
    finally:
        session.close()


def ssh_argv(node: Node, words: Sequence[str], *, base: Path, pins: Path) -> Argv:
    """The user's own ssh to a node, held to the pinned host key: a known_hosts file is written into the folder `pins`.

    A connection that the user's ControlMaster holds was not checked against the pin: it is not shared.
    """
    require_adopted(node)
    settings = node.settings
    target = target_of(node, base=base)
    host, port = target.address, target.port
    pins.mkdir(parents=True, exist_ok=True)
    known, part = pins / node.name, pins / f"{node.name}.{os.getpid()}.part"
    # By an alias: ssh_config may turn the address into another name and port, under which ssh would look.
    alias = f"fleet-{node.name}"
    part.write_text(f"{alias} {settings.host_key}\n")
    part.replace(known)
    # In quotes: the value is a list of files, parted by blanks.
    argv = Argv.of("ssh", "-o", f'UserKnownHostsFile="{known}"', "-o", "GlobalKnownHostsFile=/dev/null")
    argv = argv.plus("-o", f"HostKeyAlias={alias}", "-o", "StrictHostKeyChecking=yes", "-o", "VerifyHostKeyDNS=no")
    argv = argv.plus("-o", "ControlPath=none")
    if port:
        argv = argv.plus("-p", port)
    if target.key_file:
        argv = argv.plus("-i", target.key_file, "-o", "IdentitiesOnly=yes")
    if target.user:
        argv = argv.plus("-l", target.user)
    return argv.plus(host, *words)


def require_adopted(node: Node) -> None:
    """Raises NotAdopted for a node whose key is not pinned."""
    if not node.settings.adopted:
        raise NotAdopted("not adopted yet", node=node.name, hint=f"fleet adopt {node.name}")
