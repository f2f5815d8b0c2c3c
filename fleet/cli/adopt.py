"""`fleet adopt`: pin a node's keys and make it ready for deploys."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

import click

from fleet.cli.audited import write_down
from fleet.cli.context import link_to, narrate, overrides_of, print_json, project_of
from fleet.cli.lines import for_stdout, names_text
from fleet.control.actions.adopt import Adopter, Adoption, Stranger
from fleet.control.actions.adopt_probe import reached_while_locked
from fleet.control.inventory import Inventory, Node, load_inventory
from fleet.control.link.hostkeys import fingerprint
from fleet.control.supply.cache import Cache
from fleet.errors import UsageError
from fleet.vocabulary.secret import Secret
from fleet.vocabulary.units import bytes_text


@click.command()
@click.argument("names", nargs=-1, metavar="NODE...")
@click.option("--all", "everything", is_flag=True, help="Every node of the inventory, or of --on.")
@click.option("--on", metavar="SELECTOR", help="With --all: only these nodes.")
@click.option("--accept", metavar="SHA256:...", help="The one fingerprint to accept without a question.")
@click.option(
    "--yes",
    is_flag=True,
    help="Trust what every node shows now; the fingerprints are printed.",
)
@click.option("--rekey", is_flag=True, help="Ask about a key that is no longer the pinned one.")
@click.option("--downgrade", is_flag=True, help="Also over what a newer fleet adopted.")
@click.option("--ask-sudo-password", is_flag=True, help="Ask for sudo's password (or set FLEET_SUDO_PASSWORD).")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def adopt(
    ctx: click.Context,
    names: tuple[str, ...],
    everything: bool,
    on: str | None,
    accept: str | None,
    yes: bool,
    rekey: bool,
    downgrade: bool,
    ask_sudo_password: bool,
    as_json: bool,
) -> None:
    """Pin a node's keys and make it ready for deploys.

    Shows each fingerprint and asks; looks at the node; installs the interpreter, sync, the sudo helper and the apply
    job; writes host_key, edge_key and secret_salt into the inventory. Doing it again changes nothing.
    """
    project = project_of(ctx)
    inventory = load_inventory(project, overrides=overrides_of(ctx))
    nodes = _nodes(inventory, names, everything=everything, on=on)
    if rekey and everything:
        raise UsageError("--rekey takes the nodes by name", hint="fleet adopt --rekey NODE")
    password = os.environ.get("FLEET_SUDO_PASSWORD")
    if ask_sudo_password:
        password = click.prompt("sudo password on the nodes", hide_input=True, err=True)
    link = link_to(project, inventory)
    adopter = Adopter(
        project=project,
        link=link,
        cache=Cache(),
        accept=lambda stranger: _accepts(stranger, accept=accept, yes=yes),
        notify=lambda node, text: narrate(f"{node}: {text}"),
        propose=_Proposals(yes=yes),
        password=Secret(password) if password else None,
        rekey=rekey,
        downgrade=downgrade,
    )
    try:
        adoptions = adopter.adopt(nodes)
    finally:
        link.close()
    errors = {node.name: one.error for node, one in zip(nodes, adoptions, strict=True) if one.error is not None}
    write_down(ctx, "adopt", [node.name for node in nodes], errors, text="new keys" if rekey else "")
    if as_json:
        print_json([_json(node, one) for node, one in zip(nodes, adoptions, strict=True)])
    else:
        _show(nodes, adoptions)
    for one in adoptions:
        if one.error is not None:
            narrate(one.error.text)
    ctx.exit(_exit_code(adoptions))


def _nodes(inventory: Inventory, names: tuple[str, ...], *, everything: bool, on: str | None) -> tuple[Node, ...]:
    if names and everything:
        raise UsageError("either nodes by name or --all")
    if on is not None and not everything:
        raise UsageError("--on goes with --all", hint="fleet adopt --all --on SELECTOR")
    if everything:
        nodes = inventory.select(on)
        if not nodes:
            raise UsageError(f"no node fits {on!r}" if on else "the inventory has no node")
        return nodes
    if not names:
        raise UsageError("which node?", hint="fleet adopt NODE..., or --all")
    return tuple(inventory.node(name) for name in dict.fromkeys(names))


def _accepts(stranger: Stranger, *, accept: str | None, yes: bool) -> bool:
    """Whether a person, or what they said beforehand, trusts the shown key."""
    shown = stranger.fingerprint
    head = f"{stranger.node} ({stranger.address}) shows {stranger.shown.split()[0]} {shown}"
    if stranger.pinned is not None:
        head += f"\n  pinned is {fingerprint(stranger.pinned)}"
    if accept is not None:
        narrate(head)
        return accept == shown
    if yes and stranger.pinned is None:
        narrate(f"{stranger.node}  trusted now: {shown}")
        return True
    if not sys.stdin.isatty():
        narrate(head)
        narrate(f"  nobody to ask: --accept {shown} accepts it")
        return False
    narrate(head)
    return click.confirm("  is that the machine's own key?", default=False, err=True)


class _Proposals:
    """Asks one question at a time: nodes are adopted side by side."""

    def __init__(self, *, yes: bool) -> None:
        self._yes = yes
        self._lock = threading.Lock()

    def __call__(self, node: str, why: str) -> bool:
        """Whether `link: openssh` may be written beside the node."""
        with self._lock:
            narrate(f"{node}: {why}")
            if self._yes:
                narrate(f"{node}  link: openssh is written beside it")
                return True
            if not sys.stdin.isatty():
                return False
            return click.confirm("  write `link: openssh` beside it?", default=True, err=True)


def _exit_code(adoptions: Sequence[Adoption]) -> int:
    errors = [one.error for one in adoptions if one.error is not None]
    if not errors:
        return 0
    if len(errors) < len(adoptions):
        return 3
    return 4 if all(error.exit_code == 4 for error in errors) else 1


def _row(node: Node, one: Adoption) -> tuple[str, ...]:
    probe = one.probe
    repinned = one.host_key != node.settings.host_key
    outcome = "failed" if one.error else "adopted" if one.changed else "key pinned" if repinned else "unchanged"
    if probe is None:
        return (node.name, outcome, "-", "-", "-", "-", "-")
    vault = {True: "on", False: "off", None: "-"}[probe.filevault]
    tools = {True: "yes", False: "stub", None: "-"}[probe.developer_tools]
    mac = " ".join(filter(None, [probe.chip or probe.model, bytes_text(probe.memory_bytes)]))
    return (node.name, outcome, mac, probe.os_version or "-", probe.sudo, tools, vault)


_COLUMNS = ("node", "outcome", "machine", "macOS", "sudo", "dev tools", "FileVault")


def _show(nodes: Sequence[Node], adoptions: Sequence[Adoption]) -> None:
    rows = [_row(node, one) for node, one in zip(nodes, adoptions, strict=True)]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(*_COLUMNS, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    else:
        widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
        for row in (_COLUMNS, *rows):
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    told: dict[str, list[str]] = {}
    for node, one in zip(nodes, adoptions, strict=True):
        for problem in one.problems:
            told.setdefault(f"{problem.what}\n  {problem.advice}", []).append(node.name)
        if one.probe is not None and one.probe.filevault:
            told.setdefault(reached_while_locked(node, one.probe), []).append(node.name)
    for text, names in told.items():
        who = "every node" if len(names) == len(nodes) > 1 else names_text(names)
        click.echo(for_stdout(f"{who}: {text}"))


def _json(node: Node, one: Adoption) -> dict[str, Any]:
    probe = one.probe
    found: dict[str, Any] = {
        "node": node.name,
        "outcome": "failed" if one.error else "changed" if one.changed else "unchanged",
        "fingerprint": fingerprint(one.host_key) if one.host_key else None,
        "changed": list(one.changed),
        "problems": [{"what": p.what, "advice": p.advice, "serious": p.serious} for p in one.problems],
        "error": {"code": one.error.code, "text": one.error.text} if one.error else None,
    }
    if probe is not None:
        found["found"] = {
            "user": probe.user,
            "sudo": probe.sudo,
            "developer_tools": probe.developer_tools,
            "os_version": probe.os_version,
            "chip": probe.chip,
            "model": probe.model,
            "memory_bytes": probe.memory_bytes,
            "disk_free_bytes": probe.disk_free_bytes,
            "filevault": probe.filevault,
            "reached_while_locked": reached_while_locked(node, probe),
            "power": probe.power,
            "python_version": probe.python_version,
            "ports": [{"port": p.port, "command": p.command, "pid": p.pid, "user": p.user} for p in probe.ports],
        }
    return found
