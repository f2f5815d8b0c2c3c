"""`fleet metrics`: what a Prometheus and a Grafana need to watch the fleet."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import click

from fleet.cli.context import link_of, narrate, overrides_of, project_of
from fleet.cli.doors import playbook_option, tell_problems
from fleet.cli.lines import names_text
from fleet.control.actions.gateways import GatewayNode, gateways
from fleet.control.actions.playbooks import playbook_of
from fleet.control.actions.scrape import AUTHORITIES_NAME, Job, alone, jobs_of, scrape_configs
from fleet.control.actions.scrapefiles import ScrapeFiles
from fleet.control.inventory import Inventory, load_inventory
from fleet.errors import FleetError, UsageError
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.names import NodeName

DEFAULT_FOLDER = "prometheus"
_OUT = click.option("--out", "path", type=click.Path(path_type=Path), metavar="FILE", help="Write it there instead.")


@click.group()
def metrics() -> None:
    """What a Prometheus and a Grafana need to watch the fleet (docs/metrics.md)."""


@metrics.command()
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where targets, certificates and key go; .fleet/prometheus of the project when absent.",
)
@click.option("--http", "where", metavar="127.0.0.1:PORT", help="Also serve the targets (http_sd), until Ctrl-C.")
@playbook_option
@click.pass_context
def sd(ctx: click.Context, folder: Path | None, where: str | None, playbook: str) -> None:
    """Write what a Prometheus needs to scrape every gateway, and print its scrape_configs.

    DIR gets the targets (fleet.json), the certificates of the nodes (edges.pem: each checked against its pin) and a key
    that opens metrics and snapshots only (fleet.key, mode 0600: Prometheus must run as its owner). Run it again after
    `fleet adopt` or a change of the inventory; Prometheus notices by itself.

    Exit code: 0 all certificates are there, 3 some nodes could not be asked, 4 none could.
    """
    project = project_of(ctx)
    place = None if where is None else loopback_place(where)
    out = (folder or project.state_dir / DEFAULT_FOLDER).absolute()
    link = link_of(ctx)

    def renew() -> tuple[tuple[Job, ...], Mapping[NodeName, FleetError]]:
        inventory = load_inventory(project, overrides=overrides_of(ctx))
        found = gateways(inventory, playbook_of(project, playbook))
        jobs = jobs_of(found)
        tell_left_out(inventory, found, jobs)
        now = SystemClock().now()
        return jobs, ScrapeFiles(out).renew(found, jobs, project=project, link=link, now=now)

    try:
        jobs, problems = renew()
        if problems and not (out / AUTHORITIES_NAME).stat().st_size:
            tell_problems(problems)
            narrate("no node's certificate could be had: a Prometheus would not start with an empty list of them")
            ctx.exit(4)
        if place is not None:
            from fleet.cli.metricshttp import TargetServer

            with TargetServer(place, out, renew) as server:
                click.echo(scrape_configs(jobs, out, urls={job.name: server.url_of(job) for job in jobs}), nl=False)
                tell_problems(problems)
                server.serve()
            return
    finally:
        link.close()
    click.echo(scrape_configs(jobs, out), nl=False)
    tell_problems(problems)
    ctx.exit(3 if problems else 0)


@metrics.command()
@_OUT
def rules(path: Path | None) -> None:
    """Print the alert rules: few, on what somebody should do something about."""
    _give("fleet.rules.yml", path)


@metrics.command()
@_OUT
def dashboard(path: Path | None) -> None:
    """Print the Grafana dashboard (JSON to import)."""
    _give("dashboard.json", path)


def loopback_place(where: str) -> tuple[str, int]:
    """HOST:PORT of this machine only. Raises UsageError: whoever reads the targets knows every node's address."""
    host, _, port = where.rpartition(":")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--http {where}: not an address of this machine alone", hint="--http 127.0.0.1:9099")
    return host.strip("[]"), int(port)


def tell_left_out(inventory: Inventory, found: tuple[GatewayNode, ...], jobs: tuple[Job, ...]) -> None:
    """Which nodes nobody will scrape, and why; on stderr. Raises UsageError when that is all of them."""
    scraped = {gateway.name for job in jobs for gateway in job.gateways}
    if not scraped:
        raise UsageError(
            "there is nothing to scrape: no node has a gateway and a fleet_key",
            hint="metrics come through gateways: a task `daemon: {service: gateway, role: edge}` gives a node one",
        )
    with_gateway = {gateway.name for gateway in found}
    without = [name for name in inventory.nodes if name not in with_gateway]
    keyless = [gateway.name for gateway in found if gateway.name not in scraped]
    if without:
        narrate(f"left out, since no play gives them a gateway: {names_text(without)}")
    if keyless:
        narrate(f"left out, since they have no fleet_key: {names_text(keyless)}")
    if hidden := alone(found):
        narrate(f"bound to loopback (gateway_bind), so that only they themselves reach it: {names_text(hidden)}")


def _give(name: str, path: Path | None) -> None:
    text = files("fleet.control.watch").joinpath(name).read_text(encoding="utf-8")
    if path is None:
        click.echo(text, nl=False)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None
