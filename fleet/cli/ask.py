"""`fleet ask`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from fleet.cli.context import link_of, overrides_of, project_of
from fleet.control.actions.ask import ask as put
from fleet.control.actions.ask import curl_of, door_of
from fleet.control.actions.playbooks import playbook_of
from fleet.control.inventory import load_inventory
from fleet.errors import UsageError


@click.command()
@click.argument("question", required=False)
@click.option("--route", default="default", show_default=True, help="A route, or the name of a served model.")
@click.option("--front", "node", metavar="NODE", help="Ask this front; else the first of the playbook.")
@click.option("--system", metavar="TEXT", help="A system message before the question.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="No longer answer than this.")
@click.option("--playbook", default="site.yml", show_default=True, help="The playbook that says which node is a front.")
@click.option("--curl", is_flag=True, help="Print the question as a curl command instead of asking.")
@click.pass_context
def ask(
    ctx: click.Context,
    question: str | None,
    route: str,
    node: str | None,
    system: str | None,
    max_tokens: int | None,
    playbook: str,
    curl: bool,
) -> None:
    """Ask a model through the gateway; the answer comes as it is made.

    Without QUESTION, or with `-`, the question is read from stdin.
    """
    project = project_of(ctx)
    inventory = load_inventory(project, overrides=overrides_of(ctx))
    door = door_of(inventory, playbook_of(project, playbook), project, node=node)
    text = _question(question)
    if curl:
        key_file = _key_file(door.node.settings.gateway_key or "", project.root)
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
    where = reply.upstream.removesuffix(f"/{reply.model}")  # an edge's upstream is NODE/MODEL
    notes = [f"{reply.model} on {where}" if where else reply.model]
    notes += [f"{tokens} token{'s' if tokens != 1 else ''}"] if tokens is not None else []
    notes += ["cut at max_tokens"] if reply.finish == "length" else []
    click.secho(" · ".join(note for note in notes if note), dim=True, err=True)


def _question(given: str | None) -> str:
    """The words to ask. Raises UsageError when there are none."""
    if given is None and sys.stdin.isatty():
        raise UsageError("what is the question?", hint='fleet ask "What is the capital of France?"')
    text = sys.stdin.read() if given in (None, "-") else given
    if not text or not text.strip():
        raise UsageError("the question is empty")
    return text


def _key_file(reference: str, root: Path) -> str:
    """The file of the clients' key, as curl finds it from here."""
    kind, _, path = reference.partition(":")
    return os.path.relpath(root / path) if kind == "file" else "KEY_FILE"
