"""Reaching nodes by hand: run a command on many, read logs, the argv of a shell on one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.control.actions.spread import on_each
from fleet.control.inventory import Node
from fleet.control.link.protocol import Channel, Link, target_of
from fleet.errors import FleetError, NodeError, NotAdopted
from fleet.vocabulary.argv import Argv, posix, quote
from fleet.vocabulary.names import NodeName

_CONNECT_SECONDS = 15.0
_DAY_SECONDS = 86400.0


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


def follow_logs(
    nodes: Sequence[Node],
    services: Sequence[str],
    *,
    link: Link,
    base: Path,
    lines: int,
    follow: bool,
    emit: Callable[[NodeName, str], None],
    failed: Callable[[NodeName, FleetError], None],
) -> None:
    """Print the last `lines` of the services' logs, and with `follow` what comes, line by line as it comes.

    `services` are names as in `fleet status` (`agent`, `sidecar.chat`, `apply`); none means all.
    """

    def one(node: Node) -> None:
        try:
            require_adopted(node)
            session = link.connect(target_of(node, base=base), deadline_seconds=_CONNECT_SECONDS)
        except FleetError as error:
            failed(node.name, error)
            return
        try:
            channel = session.exec(log_command(node, services, lines=lines, follow=follow).text)
            for line in _lines(channel, quiet_seconds=_DAY_SECONDS if follow else 30.0):
                emit(node.name, line)
            if channel.wait():
                failed(node.name, NodeError("no log to show", node=node.name, detail=channel.stderr_tail.strip()))
        except FleetError as error:
            failed(node.name, error)
        finally:
            session.close()

    threads = [threading.Thread(target=one, args=(node,), daemon=True) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _lines(channel: Channel, *, quiet_seconds: float) -> Iterator[str]:
    rest = b""
    while chunk := channel.read_some(within_seconds=quiet_seconds):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def log_command(node: Node, services: Sequence[str], *, lines: int, follow: bool) -> Argv:
    """What reads the logs on the node: tail, which follows a renamed file by -F on macOS and Linux alike."""
    root = node.settings.layout().root
    names = [quote([f"{root}/{_log_folder(service)}/{service}"]) + "*.log" for service in services]
    names = names or [f"{quote([root])}/log/*.log"]
    flag = "-F " if follow else ""
    script = (
        f'for f in {" ".join(names)}; do [ -f "$f" ] && set -- "$@" "$f"; done; '
        '[ $# -gt 0 ] || { echo "no log there yet" >&2; exit 1; }; '
        f'exec tail -n {lines} {flag}"$@"'
    )
    return Argv.of("/bin/sh", "-c", script, "fleet")


def _log_folder(service: str) -> str:
    """What runs as root does not log where the services' account may write."""
    return "state" if service in ("apply", "sysctl") else "log"


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
