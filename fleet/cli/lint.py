"""`fleet lint`: everything that can be said without any node."""

from __future__ import annotations

import click

from fleet.cli.context import narrate, overrides_of, print_json, project_of


@click.command()
@click.argument("playbook", default="site.yml")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def lint(ctx: click.Context, playbook: str, as_json: bool) -> None:
    """Check inventory, PLAYBOOK and templates without any node. Exit 1 when a deploy would be refused."""
    from fleet.control.actions.facts import FactsStore
    from fleet.control.desired.lint import Lint, finding_of
    from fleet.control.desired.lint import lint as look
    from fleet.control.inventory import load_inventory
    from fleet.control.inventory.yamlsource import load_yaml
    from fleet.control.playbook.loader import read_playbook
    from fleet.errors import ConfigError, PlaybookError, UsageError

    project = project_of(ctx)
    path = project.file("playbooks", playbook if playbook.endswith((".yml", ".yaml")) else f"{playbook}.yml")
    if path is None:
        hint = "playbooks/ of the project, then the shipped ones, are looked through"
        raise UsageError(f"no playbook {playbook!r}", hint=hint)
    try:
        inventory = load_inventory(project, overrides=overrides_of(ctx))
        plays, wrong = read_playbook(load_yaml(path, error=PlaybookError), path)
        facts = FactsStore(project).load(inventory.nodes)
        found = (
            Lint(findings=(*inventory.warnings, *wrong), fits={})
            if wrong
            else look(inventory, plays, project=project, facts=facts)
        )
        about = f"{len(inventory.nodes)} nodes, {len(plays.plays)} plays"
    except ConfigError as error:
        found, about = Lint(findings=(finding_of(error),), fits={}), "not readable"
    warnings = len(found.findings) - found.errors
    if as_json:
        print_json(
            {
                "schema": 1,
                "errors": found.errors,
                "warnings": warnings,
                "findings": [
                    {"place": one.place, "level": one.level, "message": one.message, "hint": one.hint}
                    for one in found.findings
                ],
                "fits": dict(found.fits),
            }
        )
    else:
        for node, text in found.fits.items():
            click.echo("\n".join(f"{node}: {line}" for line in text.splitlines()))
        for one in found.findings:
            click.echo(one.text)
        narrate(f"{about}: {_count(found.errors, 'error')}, {_count(warnings, 'warning')}")
    ctx.exit(1 if found.errors else 0)


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"
