"""`fleet inventory`: look at nodes and groups, and at where a value comes from. Reads files only, asks no node."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from fleet.cli.context import narrate, overrides_of, print_json, project_of, selected

if TYPE_CHECKING:
    from fleet.control.inventory import Inventory, Node


@click.group()
def inventory() -> None:
    """Look at nodes, groups and where a value comes from."""


@inventory.command("list")
@click.option("--on", "selector", metavar="SELECTOR", help="Only these, like 'mlx,!mini-3,@canary,mem_gb>=64'.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout, with every variable.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "ansible"]),
    default="table",
    help="`ansible` prints what `ansible-inventory --list` prints for the file.",
)
@click.pass_context
def list_(ctx: click.Context, selector: str | None, as_json: bool, form: str) -> None:
    """List the nodes."""
    found = _loaded(ctx)
    if form == "ansible":
        if selector or as_json:
            raise click.UsageError("--format ansible prints the whole file: it takes neither --on nor --json")
        from fleet.control.inventory.ansible import ansible_list

        print_json(ansible_list(found.structure))
        return
    nodes = selected(project_of(ctx), found, selector)
    if as_json or form == "json":
        print_json([_as_json(node) for node in nodes])
        return
    rows = [
        (node.name, _door(node), ", ".join(_groups(node)), "yes" if node.settings.adopted else "no") for node in nodes
    ]
    _table(("node", "address", "groups", "adopted"), rows)
    if not nodes:
        narrate("no node" if selector is None else f"no node is {selector}")


@inventory.command("graph")
@click.pass_context
def graph(ctx: click.Context) -> None:
    """Show the groups as a tree, each with its own nodes."""
    from fleet.control.inventory.graph import graph_lines

    for line in graph_lines(_loaded(ctx).structure):
        click.echo(line)


@inventory.command("explain")
@click.argument("node")
@click.argument("variable")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def explain(ctx: click.Context, node: str, variable: str, as_json: bool) -> None:
    """Show every value that VARIABLE could have on NODE, and which wins.

    The weakest is first: schema default, all, groups (deeper wins), the node itself, --set.
    """
    from fleet.control.inventory.ansible import plain

    candidates = _loaded(ctx).explain(node, variable)
    if as_json:
        print_json(
            [
                {
                    "value": plain(one.value),
                    "level": str(one.level),
                    "source": one.source,
                    "place": one.place,
                    "name": one.spelling,
                    "wins": one.wins,
                }
                for one in candidates
            ]
        )
        return
    rows = [
        ("→" if one.wins else "", json.dumps(plain(one.value), ensure_ascii=False), one.source, one.place)
        for one in candidates
    ]
    _table(("", variable, "from", "place"), rows)


def _loaded(ctx: click.Context) -> Inventory:
    """The inventory of this call; its warnings are narrated."""
    from fleet.control.inventory import load_inventory

    found = load_inventory(project_of(ctx), overrides=overrides_of(ctx))
    for finding in found.warnings:
        narrate(finding.text)
    return found


def _door(node: Node) -> str:
    settings = node.settings
    user = f"{settings.ssh_user}@" if settings.ssh_user else ""
    port = f":{settings.ssh_port}" if settings.ssh_port else ""
    return f"{user}{node.address}{port}"


def _groups(node: Node) -> tuple[str, ...]:
    return tuple(group for group in node.groups if group != "all")


def _as_json(node: Node) -> dict[str, Any]:
    from fleet.control.inventory.ansible import plain

    return {
        "name": node.name,
        "address": node.address,
        "groups": list(node.groups),
        "adopted": node.settings.adopted,
        "place": node.place,
        "variables": plain(dict(node.variables)),
    }


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table: drawn by rich on a terminal, plain columns of unshortened text anywhere else."""
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
        for row in (columns, *rows):
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(no_color=bool(os.environ.get("NO_COLOR")), highlight=False).print(table)
