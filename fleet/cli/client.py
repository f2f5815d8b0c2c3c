"""`fleet client`: configurations for the programs that ask the fleet."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from fleet.cli.context import link_of, narrate, overrides_of, print_json, project_of
from fleet.cli.doors import json_option, playbook_option
from fleet.clients.configuration import KEY_VARIABLE, Configuration, NoWay, Offer
from fleet.clients.registry import CLIENTS
from fleet.control.actions.ask import Door, door_of
from fleet.control.actions.clientconfig import Routes, chosen, routes_of, write_certificate
from fleet.control.actions.gateways import gateways
from fleet.control.actions.playbooks import playbook_of
from fleet.control.actions.repotag import look
from fleet.control.inventory import load_inventory
from fleet.control.inventory.project import Project
from fleet.control.link.protocol import Link
from fleet.errors import FleetError, HostKeyError, NodeError, Unreachable, UsageError
from fleet.traffic.sensitivity.labels import REPO_HEADER, SENSITIVITY_HEADER


@click.group()
def client() -> None:
    """Let the programs on this machine ask the fleet."""


@client.command()
@click.argument("name", metavar="CLIENT", type=click.Choice([*CLIENTS]))
@click.option("--model", metavar="ROUTE", help="The route that it asks for; else the front's default.")
@click.option("--small-model", "small", metavar="ROUTE", help="The route for its titles and summaries; else the same.")
@click.option("--front", "node", metavar="NODE", help="This front; else the first of the playbook.")
@click.option(
    "--certificate", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write the front's own certificate there, and name it in the configuration.",
)  # fmt: skip
@click.option(
    "--repo", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="PATH",
    help="Send the tag of the repository at PATH with every request (fleet repo tag).",
)  # fmt: skip
@json_option
@playbook_option
@click.pass_context
def config(
    ctx: click.Context,
    name: str,
    model: str | None,
    small: str | None,
    node: str | None,
    certificate: Path | None,
    repo: Path | None,
    *,
    as_json: bool,
    playbook: str,
) -> None:
    """Print the configuration of CLIENT for this fleet, and say where it belongs.

    The configuration goes to stdout, what to do with it to stderr. No key is in it, only the variable FLEET_KEY.

    Exit code: 0 printed; 1 no configuration of this client can work, and why; 2 usage; 4 the front cannot be reached.
    """
    _made(name, Offer(url="", model="any"))  # what can never work wants no project, and no front
    project = project_of(ctx)
    inventory = load_inventory(project, overrides=overrides_of(ctx))
    plays = playbook_of(project, playbook)
    door = door_of(inventory, plays, project, node=node)
    link = link_of(ctx)
    try:
        routes = _routes(door, link, project, wanted=model)
        file = ""
        if certificate is not None:
            gateway = next(one for one in gateways(inventory, plays) if one.name == door.node.name)
            file = str(write_certificate(certificate, gateway, link=link, project=project, now=datetime.now(UTC)))
    finally:
        link.close()
    offer = Offer(
        url=_root(door),
        model=chosen(routes, model),
        small=chosen(routes, small) if small else "",
        routes=routes.names,
        context_tokens=routes.context_tokens,
        certificate=file,
        tls=door.pin is not None,
        headers=_tag(repo),
    )
    _print(name, offer, door, as_json=as_json)


def _root(door: Door) -> str:
    return door.url.removesuffix("/v1")


def _routes(door: Door, link: Link, project: Project, *, wanted: str | None) -> Routes:
    """What the front lists. A front that is away is no hindrance when it is known what to ask for."""
    try:
        return routes_of(door, link=link, project=project)
    except HostKeyError:
        raise
    except (Unreachable, NodeError) as error:
        if wanted is None:
            error.hint = error.hint or "with --model ROUTE the front need not answer"
            raise
        narrate(
            f"{door.node.name} does not answer ({error.title}): --model is taken at its word, its context is unknown"
        )
        return Routes()


def _tag(repo: Path | None) -> dict[str, str]:
    if repo is None:
        return {}
    found = look(repo)
    if found.tag is None:
        raise UsageError(f"{found.top} has no tag", hint=f"fleet repo tag {repo} LABEL")
    return {REPO_HEADER: found.tag.name, SENSITIVITY_HEADER: found.tag.sensitivity.value}


def _made(name: str, offer: Offer) -> Configuration:
    try:
        return CLIENTS[name](offer)
    except NoWay as none:
        raise FleetError(f"no configuration of {name} can work", detail=str(none), hint=none.instead) from None


def _print(name: str, offer: Offer, door: Door, *, as_json: bool) -> None:
    made = _made(name, offer)
    if as_json:
        print_json(
            {
                "client": name,
                "place": made.place,
                "text": made.text,
                "exports": list(made.exports),
                "notes": list(made.notes),
            }
        )
        return
    if made.text:
        click.echo(made.text, nl=False)
        for line in (f"this belongs in {made.place}", *_beside(made)):
            narrate(line)
    else:
        click.echo("\n".join(made.exports))
        narrate(f"this belongs in {made.place}")
    for line in _advice(made, offer, door):
        narrate(line)


def _beside(made: Configuration) -> tuple[str, ...]:
    return ("and in the shell that starts it:", *(f"  {line}" for line in made.exports)) if made.exports else ()


def _advice(made: Configuration, offer: Offer, door: Door) -> tuple[str, ...]:
    lines = [f"{KEY_VARIABLE} is a key of this fleet: fleet key create NAME shows a new one once"]
    if offer.tls and not offer.certificate:
        again = "fleet client config … --certificate front.crt"
        lines.append(f"FRONT.crt stands for the certificate of {door.node.name}, its own: {again} writes it")
    return (*lines, *made.notes)
