"""`fleet route`: the routes of a front, where a request would go now, and routing tickets."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from fleet.cli.context import print_json
from fleet.cli.doors import doors, json_option, plain_option, playbook_option, show, tell_problems, unicode_of
from fleet.cli.routetickets import apply, close, propose, tickets_
from fleet.control.actions.routes import first_answer, fronts_of
from fleet.errors import UsageError
from fleet.vocabulary.contracts.gateway_admin import ExplainRequest
from fleet.vocabulary.names import Lane

_FRONT = click.option("--front", metavar="NODE", help="Ask this node's gateway; else the first front that answers.")
_LONGEST_BYTES = 6 * 1024 * 1024


@click.group()
def route() -> None:
    """Look at the routes of a front, at where a request would go, and at tickets that propose other routes."""


route.add_command(tickets_)
route.add_command(propose)
route.add_command(apply)
route.add_command(close)


@route.command("list")
@_FRONT
@json_option
@plain_option
@playbook_option
@click.pass_context
def list_(ctx: click.Context, front: str | None, as_json: bool, plain: bool, playbook: str) -> None:
    """List the routes with their upstreams in order, as the front sees them now."""
    _one_form(as_json=as_json, plain=plain)
    with doors(ctx, playbook) as found:
        report, errors = first_answer(fronts_of(found.all, named=front), found.open, lambda door: door.routes())
    tell_problems(errors)
    if as_json:
        print_json(msgspec.to_builtins(report))
    elif plain:
        from fleet.cli.gatewayview import routes_lines

        click.echo("\n".join(routes_lines(report)))
    else:
        from rich.console import Console

        from fleet.cli.gatewayview import routes_screen

        console = Console()
        show(routes_screen(report, unicode=unicode_of(console)), console)
    ctx.exit(3 if errors else 0)


@route.command()
@click.argument("model", metavar="ROUTE|MODEL")
@click.option("--prompt", metavar="TEXT|@FILE|-", default="", help="What would be asked: its size and beginning count.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="The longest answer that would be allowed.")
@click.option("--lane", type=click.Choice([lane.value for lane in Lane]), default="interactive", show_default=True)
@click.option("--session", metavar="NAME", default="", help="The conversation that it would belong to.")
@click.option(
    "--work", type=click.Choice(["chat", "completions", "embeddings"]), default="chat", show_default=True,
    help="What would be asked for.",
)  # fmt: skip
@_FRONT
@json_option
@plain_option
@playbook_option
@click.pass_context
def explain(
    ctx: click.Context,
    model: str,
    prompt: str,
    max_tokens: int | None,
    lane: str,
    session: str,
    work: str,
    front: str | None,
    as_json: bool,
    plain: bool,
    playbook: str,
) -> None:
    """Say in which order upstreams would be asked now, and why. Nothing is asked of a model.

    The prompt goes to the front, is measured there, and is kept nowhere.
    """
    _one_form(as_json=as_json, plain=plain)
    asked = ExplainRequest(
        model=model, prompt=_prompt(prompt), max_tokens=max_tokens, work=work, session=session, lane=Lane(lane)
    )
    with doors(ctx, playbook) as found:
        fronts = fronts_of(found.all, named=front)
        explanation, errors = first_answer(fronts, found.open, lambda door: door.explain(asked))
    tell_problems(errors)
    if as_json:
        print_json(msgspec.to_builtins(explanation))
    elif plain:
        from fleet.cli.gatewayview import explanation_lines

        click.echo("\n".join(explanation_lines(explanation)))
    else:
        from rich.console import Console

        from fleet.cli.gatewayview import explanation_screen

        console = Console()
        show(explanation_screen(explanation, unicode=unicode_of(console)), console)
    ctx.exit(3 if errors else 0)


def _prompt(given: str) -> str:
    """The text itself, of a file, or of stdin. Raises UsageError."""
    if given == "-":
        text = sys.stdin.read()
    elif given.startswith("@"):
        try:
            text = Path(given[1:]).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise UsageError(f"--prompt {given}: {(error.strerror or str(error)).lower()}") from None
    else:
        text = given
    if len(text.encode(errors="replace")) > _LONGEST_BYTES:
        raise UsageError("the prompt is longer than 6 MiB", hint="its first part says as much")
    return text


def _one_form(*, as_json: bool, plain: bool) -> None:
    if as_json and plain:
        raise click.UsageError("--json or --plain, not both")
