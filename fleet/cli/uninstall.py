"""`fleet uninstall`."""

from __future__ import annotations

import sys

import click

from fleet.cli.audited import write_down
from fleet.cli.context import link_of, narrate, overrides_of, project_of
from fleet.control.actions.uninstall import uninstall as remove
from fleet.control.inventory import load_inventory
from fleet.errors import UsageError


@click.command()
@click.argument("selector")
@click.option("--keep-data", is_flag=True, help="Keep models and what services wrote (ROOT/models, ROOT/var).")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def uninstall(ctx: click.Context, selector: str, keep_data: bool, yes: bool) -> None:
    """Take fleet off the nodes of SELECTOR: every daemon, file and the sudoers entry."""
    project = project_of(ctx)
    nodes = load_inventory(project, overrides=overrides_of(ctx)).select(selector)
    if not nodes:
        raise UsageError(f"no node fits {selector!r}", hint="fleet inventory list shows the nodes")
    names = ", ".join(node.name for node in nodes)
    what = "daemons and files, models and data kept" if keep_data else "daemons, files, models and data"
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody to ask: stdin is not a terminal. --yes removes without asking")
        if not click.confirm(f"Remove fleet from {names} ({what})?", err=True):
            narrate("nothing was changed")
            ctx.exit(1)
    bad = []
    removals = []
    for removal in remove(nodes, link=link_of(ctx), base=project.root, keep_data=keep_data):
        removals.append(removal)
        if removal.error:
            bad.append(removal.error)
            narrate(removal.error.text)
        elif removal.absent:
            click.echo(f"{removal.node}: nothing of fleet there")
        else:
            click.echo(f"{removal.node}: removed ({len(removal.steps)} steps)")
            for step in removal.steps:
                click.secho(f"  {step}", dim=True)
    touched = [removal.node for removal in removals if not removal.absent]
    errors = {removal.node: removal.error for removal in removals if removal.error}
    write_down(ctx, "uninstall", touched, errors, text="data was kept" if keep_data else "")
    if bad:
        ctx.exit(bad[0].exit_code if len(bad) == len(nodes) else 3)
