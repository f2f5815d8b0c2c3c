"""`fleet history`: the releases that nodes keep."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from fleet.cli.context import narrate, print_json
from fleet.cli.nodewords import asking_of, exit_code_of, harmless
from fleet.cli.place import Place
from fleet.control.actions.asking import Answer
from fleet.control.actions.history import histories
from fleet.vocabulary.contracts.codec import plain
from fleet.vocabulary.contracts.questions import History, KeptRelease


@click.command()
@click.argument("names", nargs=-1, metavar="[NODE]...")
@click.option("--on", metavar="SELECTOR", help="These nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def history(ctx: click.Context, names: tuple[str, ...], on: str | None, as_json: bool) -> None:
    """Show which releases nodes keep: when each was live last, who deployed it from which git commit, which failed.

    The live one comes first. fleet rollback --to takes the beginning of a release's name.

    Exit code: 0 done; 3 some nodes failed; 4 none was reached.
    """
    place = Place.of(ctx, names, on)
    with asking_of(ctx, place.project) as asking:
        answers = place.in_order(histories(place.nodes, asking))
    if as_json:
        print_json([_document(one) for one in answers])
    for answer in answers:
        if answer.error is not None:
            narrate(answer.error.text)
        elif not as_json:
            for line in lines(answer):
                click.echo(harmless(line))
    ctx.exit(exit_code_of([one.error for one in answers if one.error], asked=len(answers)))


def lines(answer: Answer[History]) -> list[str]:
    """What is said of one node."""
    releases = answer.said.releases if answer.said else ()
    return [answer.node, *(_line(one) for one in releases)] if releases else [f"{answer.node}: no release is kept"]


def _line(one: KeptRelease) -> str:
    made = one.made_live
    words = [f"  {'*' if one.live else ' '} {one.state_id[:12]}"]
    words.append(f"{datetime.fromtimestamp(made.at_seconds, UTC):%Y-%m-%d %H:%M:%S} UTC" if made else "never live here")
    if made:
        words += [made.action, made.outcome, made.operator or "-"]
        words += [f"run {made.run_id}"] if made.run_id else []
        words += [f"git {made.git_commit[:12]}{' with changes' if made.git_dirty else ''}"] if made.git_commit else []
        words += [f"fleet {made.fleet_version}"] if made.fleet_version else []
    if one.live:
        words.append("live")
    if one.bad is not None:
        words.append(f"failed here: {one.bad.partition(chr(10))[0]}")
    if one.missing and not one.live:
        words.append(f"{one.missing} contents are not on the node any more")
    return "  ".join(words)


def _document(answer: Answer[History]) -> dict[str, Any]:
    if answer.error is not None or answer.said is None:
        return {"node": answer.node, "error": answer.error.text if answer.error else "no answer"}
    return {"node": answer.node, **plain(answer.said)}
