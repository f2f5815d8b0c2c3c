"""`fleet ask`."""

from __future__ import annotations

import sys

import click

from fleet.cli.context import link_of, overrides_of, project_of
from fleet.control.actions.ask import ask as put
from fleet.control.actions.ask import curl_of, door_of
from fleet.control.actions.playbooks import playbook_of
from fleet.control.inventory import load_inventory


@click.command()
@click.argument("question")
@click.option("--route", default="default", show_default=True, help="A route, or the name of a served model.")
@click.option("--front", "node", metavar="NODE", help="Ask this front; else the first of the playbook.")
@click.option("--system", metavar="TEXT", help="A system message before the question.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="No longer answer than this.")
@click.option("--playbook", default="site.yml", show_default=True, help="The playbook that says which node is a front.")
@click.option("--curl", is_flag=True, help="Print the question as a curl command instead of asking.")
@click.pass_context
def ask(
    ctx: click.Context,
    question: str,
    route: str,
    node: str | None,
    system: str | None,
    max_tokens: int | None,
    playbook: str,
    curl: bool,
) -> None:
    """Ask a model through the gateway; the answer comes as it is made. QUESTION `-` reads stdin."""
    project = project_of(ctx)
    inventory = load_inventory(project, overrides=overrides_of(ctx))
    door = door_of(inventory, playbook_of(project, playbook), project, node=node)
    text = sys.stdin.read() if question == "-" else question
    if curl:
        reference = door.node.settings.gateway_key or ""
        key_file = reference.removeprefix("file:") if reference.startswith("file:") else "KEY_FILE"
        click.echo(curl_of(door, question=text, model=route, key_file=key_file))
        return

    def emit(piece: str) -> None:
        sys.stdout.write(piece)
        sys.stdout.flush()

    reply = put(
        door, text, model=route, link=link_of(ctx), project=project, emit=emit, system=system, max_tokens=max_tokens
    )
    emit("\n")
    tokens = reply.usage.get("completion_tokens")
    notes = [f"{reply.model} on {reply.upstream}" if reply.upstream else reply.model]
    notes += [f"{tokens} tokens"] if tokens is not None else []
    notes += ["cut at max_tokens"] if reply.finish == "length" else []
    click.secho(" · ".join(note for note in notes if note), dim=True, err=True)
