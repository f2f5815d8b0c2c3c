"""`fleet gray`: how much goes to unproven models, of how much that could, and turning it off and on."""

from __future__ import annotations

from collections.abc import Iterator

import click
import msgspec

from fleet.cli.audited import write_down
from fleet.cli.context import narrate, print_json, project_of
from fleet.cli.doors import doors, json_option, playbook_option, tell_problems, unicode_of, who
from fleet.cli.grayview import gray_lines
from fleet.control.actions.gateways import exit_code
from fleet.control.actions.grayharness import with_harness
from fleet.control.actions.graypool import Pool, fronts_among, gray_pools, turn_gray
from fleet.errors import UsageError
from fleet.vocabulary.contracts.policy_admin import GrayRequest


@click.group()
def gray() -> None:
    """Look at the gray pool, and turn it off and on."""


@gray.command()
@json_option
@playbook_option
@click.pass_context
def status(ctx: click.Context, as_json: bool, playbook: str) -> None:
    """Show every gray route: observed share against its cap, of how many eligible requests, and its verdict.

    Exit code: 1 when one was rolled back, 3 some fronts did not answer, 4 none did.
    """
    with doors(ctx, playbook) as found:
        pools, errors = gray_pools(found.all, found.open)
        asked = len(fronts_among(found.all))
    tell_problems(errors)
    _show(pools, as_json=as_json)
    if not pools and not errors and not as_json:
        narrate("no gray route: a route with `track: gray` and a share makes one (docs/money.md)")
    rolled_back = any(one.state == "rolled_back" for pool in pools for one in pool.fronts.values())
    ctx.exit(exit_code(asked, errors) or (1 if rolled_back else 0))


@gray.command()
@click.argument("route")
@click.option("--ticket", default="", metavar="ID", help="Why it may be on again; needed after a rollback.")
@click.option("--harness", default="", metavar="RUN", help="RUN or RUN:TARGET that it passed; needed after a rollback.")
@json_option
@playbook_option
@click.pass_context
def enable(ctx: click.Context, route: str, ticket: str, harness: str, as_json: bool, playbook: str) -> None:
    """Turn the gray route ROUTE on again, at every front.

    After a rollback this takes a ticket, and a run of the harness (`fleet harness run`) that began after it: every
    prompt measured, 50 or more, and the model's tool calls as good as they were before.
    """
    asked = GrayRequest(route=route, on=True, by=who(), ticket=ticket)
    _turn(ctx, asked, harness=harness, as_json=as_json, playbook=playbook)


@gray.command()
@click.argument("route")
@click.option("--reason", default="", metavar="TEXT", help="For whoever looks later.")
@json_option
@playbook_option
@click.pass_context
def disable(ctx: click.Context, route: str, reason: str, as_json: bool, playbook: str) -> None:
    """Turn the gray route ROUTE off, at every front: its share goes to the route that it folds to.

    What runs is finished. It stays off over restarts and deploys.
    """
    if len(reason) > 500:
        raise UsageError("--reason is longer than 500 characters")
    _turn(ctx, GrayRequest(route=route, on=False, by=who(), reason=reason), as_json=as_json, playbook=playbook)


def _turn(ctx: click.Context, asked: GrayRequest, *, as_json: bool, playbook: str, harness: str = "") -> None:
    with doors(ctx, playbook) as found:
        fronts = fronts_among(found.all)
        if harness:
            pools, _ = gray_pools(found.all, found.open)
            asked = with_harness(asked, harness, pools, inventory=found.inventory, project=project_of(ctx))
        pool, errors = turn_gray(found.all, found.open, asked)
    tell_problems(errors)
    write_down(ctx, "gray", [front.name for front in fronts], errors, text=f"{asked.route} on={asked.on}")
    _show((pool,) if pool.fronts else (), as_json=as_json)
    if errors and len(errors) < len(fronts):
        narrate("the other fronts keep their own state; run it again when they are back")
    ctx.exit(exit_code(len(fronts), errors))


def _show(pools: tuple[Pool, ...], *, as_json: bool) -> None:
    if as_json:
        print_json(list(_documents(pools)))
        return
    from rich.console import Console

    console = Console()
    for pool in pools:
        for line in gray_lines(pool, unicode=unicode_of(console)):
            console.print(line, soft_wrap=True, highlight=False)


def _documents(pools: tuple[Pool, ...]) -> Iterator[dict[str, object]]:
    for pool in pools:
        share = pool.share
        yield {
            "route": pool.route,
            "share": None if share is None else str(share),
            "requests": pool.requests,
            "gray": pool.gray,
            "eligible": pool.eligible,
            "observed": pool.observed,
            "interval_of_eligible": pool.interval,
            "fronts": {name: msgspec.to_builtins(one) for name, one in pool.fronts.items()},
        }
