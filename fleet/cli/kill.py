"""`fleet kill`: end a request in flight."""

from __future__ import annotations

import click
import msgspec

from fleet.cli.context import narrate, print_json
from fleet.cli.doors import doors, json_option, playbook_option, tell_problems
from fleet.control.actions.requests import kill as end
from fleet.vocabulary.units import seconds_text


@click.command()
@click.argument("request", metavar="REQ")
@click.option("--reason", metavar="TEXT", default="", help="Its client reads it in the error.")
@json_option
@playbook_option
@click.pass_context
def kill(ctx: click.Context, request: str, reason: str, as_json: bool, playbook: str) -> None:
    """End the request REQ: an id of `fleet ps`, or the beginning of one.

    It is ended where it came in, so the generation behind it ends, too. Its client gets an error that clients do not
    answer by asking again.
    """
    with doors(ctx, playbook) as found:
        ended, errors = end(request, found.all, found.open, reason=reason)
    tell_problems(errors)
    if as_json:
        print_json({"killed": msgspec.to_builtins(ended)})
        return
    of = f" of {ended.key}" if ended.key else ""
    narrate(f"{ended.gateway}: ended {ended.id}{of}, {ended.phase} since {seconds_text(ended.seconds)}")
