"""`fleet doctor`: what stops a Mac from serving, and what mends it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from fleet.cli.context import link_of, narrate, overrides_of, print_json, project_of, selected
from fleet.cli.doctorview import blocks, mended_json, plain_lines, reports_json
from fleet.control.actions.doctor import Doctor, Mended, Report, exit_code
from fleet.control.inventory import Inventory, Node, load_inventory
from fleet.errors import UsageError
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.secret import Secret


@click.command()
@click.argument("names", nargs=-1, metavar="[NODE]...")
@click.option("--on", metavar="SELECTOR", help="These nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout: every check of every node.")
@click.option("--plain", is_flag=True, help="One fact per line, what is well too.")
@click.option("--fix", is_flag=True, help="Mend what is safe to mend: the plan is shown, then asked about.")
@click.option("-y", "--yes", is_flag=True, help="With --fix: do not ask.")
@click.option("--ask-sudo-password", is_flag=True, help="With --fix: ask for sudo's password (or FLEET_SUDO_PASSWORD).")
@click.pass_context
def doctor(
    ctx: click.Context,
    names: tuple[str, ...],
    on: str | None,
    as_json: bool,
    plain: bool,
    fix: bool,
    yes: bool,
    ask_sudo_password: bool,
) -> None:
    """Look for what stops a Mac from serving, and say the command that mends it.

    Looking changes nothing and needs no root. --fix mends power settings, disabled labels of fleet's and a lost GPU
    wired limit: what provision.yml does as well. docs/doctor.md lists every check.

    Exit code: 0 clean, or notes and unknowns only; 1 something is wrong; 3 some nodes could not be asked; 4 none was
    reached.
    """
    if as_json and plain:
        raise click.UsageError("--json or --plain, not both")
    if (yes or ask_sudo_password) and not fix:
        raise click.UsageError("--yes and --ask-sudo-password go with --fix")
    project = project_of(ctx)
    inventory = load_inventory(project, overrides=overrides_of(ctx))
    nodes = _by_name(inventory, names) if names else selected(project, inventory, on)
    if names and on is not None:
        raise UsageError("either nodes by name or --on")
    if not nodes:
        raise UsageError(f"no node fits {on!r}", hint="fleet inventory list shows the nodes")
    password = os.environ.get("FLEET_SUDO_PASSWORD")
    if ask_sudo_password:
        password = click.prompt("sudo password on the nodes", hide_input=True, err=True)
    link = link_of(ctx)
    who = Doctor(link=link, clock=SystemClock(), base=project.root, password=Secret(password) if password else None)
    mended: list[Mended] = []
    try:
        reports = list(who.look(nodes))
        if fix and _agreed(reports, yes=yes):
            mended = [one for of_node in who.mend(nodes, reports) for one in of_node]
            touched = {one.node for one in mended}
            again = who.look([node for node in nodes if node.name in touched])
            reports = [*(report for report in reports if report.node not in touched), *again]
    finally:
        link.close()
    _show(reports, mended, as_json=as_json, plain=plain)
    failed = any(one.error is not None or one.status for one in mended)
    ctx.exit(exit_code(reports) or int(failed))


def _by_name(inventory: Inventory, names: Sequence[str]) -> tuple[Node, ...]:
    return tuple(inventory.node(name) for name in dict.fromkeys(names))


def _agreed(reports: Sequence[Report], *, yes: bool) -> bool:
    """Whether a person wants what is shown to them."""
    plan = [(report.node, finding) for report in reports for finding in report.mendable]
    if not plan:
        narrate("nothing here is mended by --fix")
        return False
    narrate("--fix would run:")
    for node, finding in plan:
        click.echo(f"  {node}: {finding.command}", err=True)
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError("nobody to ask: stdin is not a terminal. --yes runs it without asking")
    if click.confirm("Run it?", default=False, err=True):
        return True
    narrate("nothing was changed")
    return False


def _show(reports: Sequence[Report], mended: Sequence[Mended], *, as_json: bool, plain: bool) -> None:
    for one in mended:
        if one.error is not None:
            narrate(one.error.text)
        elif one.status:
            narrate(f"{one.node}: {one.command}\n  ended with {one.status}: {one.said or 'it said nothing'}")
    if as_json:
        document: dict[str, Any] = {"reports": reports_json(reports)}
        if mended:
            document["mended"] = mended_json(mended)
        print_json(document)
        return
    lines = plain_lines(reports) if plain else blocks(reports, unicode=_unicode())
    for line in lines:
        click.echo(line, color=False if os.environ.get("NO_COLOR") else None)


def _unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
