"""`fleet schema`: JSON Schemas for editors."""

from __future__ import annotations

import click

from fleet.cli.context import print_json


@click.command()
@click.argument("what", type=click.Choice(["inventory", "playbook"]))
def schema(what: str) -> None:
    """Print the JSON Schema of an inventory or a playbook.

    An editor finds it by the first line of a file: # yaml-language-server: $schema=../.fleet/playbook.schema.json
    """
    if what == "inventory":
        from fleet.control.inventory.schema import inventory_schema

        print_json(inventory_schema())
    else:
        from fleet.control.playbook.schema import playbook_schema

        print_json(playbook_schema())
