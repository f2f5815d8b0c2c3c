"""`fleet backup` and `fleet restore`: ledgers and keys, to another Mac if need be."""

from __future__ import annotations

from pathlib import Path

import click

from fleet.cli.context import narrate, print_json, project_of
from fleet.cli.doors import doors, json_option, playbook_option, tell_problems
from fleet.control.actions import backup as actions
from fleet.control.actions.gateways import exit_code
from fleet.control.inventory.clientkeys import FILE
from fleet.errors import UsageError
from fleet.vocabulary.units import bytes_text


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@json_option
@playbook_option
@click.pass_context
def backup(ctx: click.Context, file: Path, force: bool, as_json: bool, playbook: str) -> None:
    """Write the ledgers of all fronts, and keys.json, into FILE (tar.gz, 0600, with checksums).

    Fronts go on meanwhile. No prompt and no secret is in it. Exit code: 3 a front gave no ledger, 4 none did (then
    nothing is written).
    """
    if file.exists() and not force:
        raise UsageError(f"{file} is there already", hint="another name, or --force")
    with doors(ctx, playbook) as found:
        ledgers, errors = actions.fetch(found.all, found.open)
    tell_problems(errors)
    if ledgers:
        made = actions.write(file, ledgers, project_of(ctx).root / FILE)
        size = file.stat().st_size
        if as_json:
            print_json({"path": str(file), "size_bytes": size, "made": made.made, "fronts": sorted(made.ledgers)})
        else:
            keys = f" and {FILE}" if made.keys else ""
            click.echo(f"{file}: {bytes_text(size)} (the ledger of {', '.join(sorted(made.ledgers))}{keys})")
    ctx.exit(exit_code(len(ledgers) + len(errors), errors))


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--on", "node", metavar="NODE", help="The front that gets the ledger; else the one that it is of.")
@click.option("--from", "source", metavar="NODE", help="Whose ledger of the backup, when it has several.")
@click.option("--force", is_flag=True, help="Replace a ledger with newer rows, and another keys.json.")
@click.option("--no-keys", is_flag=True, help=f"Leave {FILE} as it is.")
@playbook_option
@click.pass_context
def restore(
    ctx: click.Context, file: Path, node: str | None, source: str | None, force: bool, no_keys: bool, playbook: str
) -> None:
    """Give a front a ledger out of FILE, and the project its keys.json.

    The front checks the file, keeps its old ledger beside it, drains and restarts. Before it pays for anything it asks
    the provider what was billed this month, and counts what the ledger does not know of as spent.
    """
    held = actions.read(file)
    chosen = actions.choose(held, source)
    with doors(ctx, playbook) as found:
        (front,) = found.named((node or chosen,))
        if not front.is_front:
            raise UsageError(f"{front.name} is no front", hint="name one with --on NODE")
        if not no_keys and actions.restore_keys(held, project_of(ctx).root / FILE, force=force):
            narrate(f"{FILE} is that of the backup: fleet deploy brings it to the fronts")
        told = f"restored from a backup of {held.made}, of {chosen}"
        packed = held.ledgers[chosen]
        found.open.one(front.node, lambda door: door.restore_ledger(packed, told=told, force=force))
    click.echo(f"{front.name} has the ledger of {chosen} of {held.made}, and restarts")
    narrate("paid routes open when the provider has told what it billed this month (fleet budget)")
