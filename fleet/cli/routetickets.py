"""`fleet route tickets|propose|apply|close`: from a routing ticket to the file in which the routes live."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from fleet.cli.context import narrate, print_json, project_of
from fleet.cli.doors import json_option, show, who
from fleet.control.actions.routefile import Applied, MovedOn, RouteFile
from fleet.control.inventory.nearest import did_you_mean
from fleet.control.inventory.project import Project
from fleet.errors import FleetError, UsageError
from fleet.practice.tickets.store import FOLDER, read_ticket, read_tickets, write_ticket
from fleet.practice.tickets.text import markdown, state_words
from fleet.practice.tickets.ticket import ALREADY, Proposal, State, Ticket, decided
from fleet.practice.tickets.wording import short
from fleet.vocabulary.clock import SystemClock

_TICKET = click.argument("ticket", metavar="TICKET")


@click.command("tickets")
@click.option("--all", "every", is_flag=True, help="Decided ones as well.")
@json_option
@click.pass_context
def tickets_(ctx: click.Context, every: bool, as_json: bool) -> None:
    """List the routing tickets that are open; `fleet rankings diff` opens them."""
    found = [one for one in read_tickets(_folder(project_of(ctx))) if every or one.state is State.OPEN]
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    if not found:
        narrate("no open ticket" if not every else "no ticket")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fleet.cli.rankingsview import consequence

    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("ticket", no_wrap=True)
    for name in ("what", "since", *(("state",) if every else ()), "for our routes"):
        table.add_column(name, overflow="fold")
    for one in found:
        state = ("open" if one.state is State.OPEN else state_words(one),) if every else ()
        table.add_row(*map(Text, (one.id, short(one.last), one.opened, *state, consequence(one))))
    show(table, Console())


@click.command()
@_TICKET
@click.option("--text", "whole", is_flag=True, help="The whole ticket, not only the diff.")
@click.pass_context
def propose(ctx: click.Context, ticket: str, whole: bool) -> None:
    """Print what TICKET would change in the file of the routes, as a diff of the file as it is now.

    What is printed is what `fleet route apply` writes; it is kept in the ticket. The routes are not touched.
    """
    project = project_of(ctx)
    found = _read(project, ticket)
    if found.state is State.OPEN and found.changes:
        found = _proposed(project, found)
    if whole:
        click.echo(markdown(found), nl=False)
        return
    for change in found.changes:
        narrate(change.sentence)
    if found.proposal is None:
        narrate(found.problem or "\n".join(found.advice))
        raise click.exceptions.Exit(1)
    _print_diff(found.proposal)
    if found.state is not State.OPEN:
        narrate(f"{found.id} is {state_words(found)}")


@click.command()
@_TICKET
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def apply(ctx: click.Context, ticket: str, yes: bool) -> None:
    """Change the file of the routes as TICKET proposes: exactly what `fleet route propose` showed, or nothing.

    Refused when the file has changed since. A front knows nothing of it before `fleet deploy`.
    """
    project = project_of(ctx)
    found = _read(project, ticket)
    if found.proposal is None:
        _settle(project, found)
        return
    if found.state is State.CLOSED:
        raise UsageError(f"{found.id} is {state_words(found)}", hint="a later week that finds it again opens it")
    file = RouteFile(project=project)
    try:
        if file.pending(found.proposal):
            _print_diff(found.proposal)
            _confirm(found.proposal, yes=yes)
        done = file.apply(found.proposal, found.changes)
    except MovedOn as moved:
        moved.hint = f"fleet route propose {found.id} shows what it would be now"
        raise
    if found.state is State.OPEN:
        write_ticket(_folder(project), decided(found, State.APPLIED, by=who(), at=_now()))
    if done is Applied.ALREADY:
        narrate(f"{found.proposal.file} says that already")
    else:
        narrate(f"{found.proposal.file} is changed. To the fronts it goes with `fleet plan` and `fleet deploy`.")


@click.command()
@_TICKET
@click.option("--why", metavar="TEXT", required=True, help="For whoever looks later.")
@click.pass_context
def close(ctx: click.Context, ticket: str, why: str) -> None:
    """Decide that nothing is to be done about TICKET. A later week that finds the same opens it again."""
    if not why.strip() or len(why) > 500 or not why.isprintable():
        raise UsageError("--why is one line of up to 500 characters")
    project = project_of(ctx)
    found = _read(project, ticket)
    if found.state is not State.OPEN:
        narrate(f"{found.id} is {state_words(found)}: nothing to do")
        return
    closed = decided(found, State.CLOSED, by=who(), at=_now(), why=why.strip())
    write_ticket(_folder(project), closed)
    narrate(f"{closed.id} is {state_words(closed)}")


def _proposed(project: Project, ticket: Ticket) -> Ticket:
    """With the proposal of now, written down when it is another one."""
    try:
        proposal: Proposal | None = RouteFile(project=project).propose(ticket.changes)
        problem = ""
    except FleetError as error:
        proposal, problem = None, error.title
    found = msgspec.structs.replace(ticket, proposal=proposal, problem=problem)
    if found != ticket:
        write_ticket(_folder(project), found)
    return found


def _settle(project: Project, ticket: Ticket) -> None:
    """A ticket without a proposal is applied when the file says it already. Raises UsageError, with the reason."""
    if not ticket.changes or ticket.state is not State.OPEN:
        raise UsageError(f"{ticket.id} proposes no change of a file", hint="\n".join(ticket.advice))
    found = _proposed(project, ticket)
    if found.problem != ALREADY:
        hint = found.problem or f"fleet route propose {found.id} shows what it would be now"
        raise UsageError(f"{found.id} proposes no change of a file", hint=hint)
    write_ticket(_folder(project), decided(found, State.APPLIED, by=who(), at=_now()))
    narrate(f"{project.inventory.name}: {ALREADY}")


def _confirm(proposal: Proposal, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to say yes", hint="--yes says it")
    if not click.confirm(f"Change {proposal.file} so?", err=True):
        raise click.Abort


def _print_diff(proposal: Proposal) -> None:
    if not sys.stdout.isatty():
        click.echo(proposal.diff, nl=False)
        return
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in proposal.diff.splitlines():
        plain = line.startswith(("+++", "---"))
        click.secho(line, fg=None if plain else colours.get(line[:1]), bold=plain)


def _read(project: Project, name: str) -> Ticket:
    """Raises UsageError for a ticket that is not there."""
    found = read_ticket(_folder(project), name.removesuffix(".md").removesuffix(".json"))
    if found is None:
        known = [one.id for one in read_tickets(_folder(project))]
        hint = did_you_mean(name, known) or (f"there is: {', '.join(known[:6])}" if known else "fleet rankings diff")
        raise UsageError(f"there is no routing ticket {name!r}", hint=hint)
    return found


def _folder(project: Project) -> Path:
    return project.root / FOLDER


def _now() -> str:
    return SystemClock().now().isoformat(timespec="seconds").replace("+00:00", "Z")
