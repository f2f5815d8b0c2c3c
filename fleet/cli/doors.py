"""What the verbs about gateways share: which gateways there are, their doors, and how a missing one is told."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from fleet.cli.context import link_of, narrate, overrides_of, project_of
from fleet.control.actions.gateways import GatewayNode, Gateways, fleet_key, gateways
from fleet.control.actions.playbooks import playbook_of
from fleet.control.inventory import Inventory, load_inventory
from fleet.errors import FleetError, UsageError
from fleet.vocabulary.names import NodeName

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

playbook_option = click.option(
    "--playbook", default="site.yml", show_default=True, help="The playbook that says which nodes have a gateway."
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
plain_option = click.option("--plain", is_flag=True, help="One fact per line, for eyes and scripts without a table.")


@dataclass(frozen=True, kw_only=True)
class Doors:
    """The gateways of this call's project, and the way to them."""

    inventory: Inventory
    all: tuple[GatewayNode, ...]
    open: Gateways

    def named(self, names: tuple[str, ...]) -> tuple[GatewayNode, ...]:
        """The gateways of these nodes, each once, in the order of the inventory. Raises UsageError."""
        wanted = {self.inventory.node(name).name for name in names}
        found = tuple(gateway for gateway in self.all if gateway.name in wanted)
        missing = wanted - {gateway.name for gateway in found}
        if missing:
            known = ", ".join(gateway.name for gateway in self.all) or "none"
            raise UsageError(f"the playbook gives {min(missing)} no gateway", hint=f"nodes with one: {known}")
        return found


@contextmanager
def doors(ctx: click.Context, playbook: str) -> Iterator[Doors]:
    """The doors of this call; every session ends with it. Raises ConfigError, UsageError."""
    project = project_of(ctx)
    inventory = load_inventory(project, overrides=overrides_of(ctx))
    found = gateways(inventory, playbook_of(project, playbook))
    if not found:
        raise UsageError(
            "the playbook gives no node a gateway", hint="a task `daemon: {service: gateway, role: front}` does"
        )
    link = link_of(ctx)
    opened = Gateways(link, base=project.root, key_for=fleet_key(project))
    try:
        yield Doors(inventory=inventory, all=found, open=opened)
    finally:
        opened.close()
        link.close()


def tell_problems(errors: Mapping[NodeName, FleetError]) -> None:
    """Which gateways could not be asked, why, and what helps; on stderr."""
    for error in errors.values():
        narrate(error.text)


def who() -> str:
    """Who asks, for the gateway's log."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return "somebody"


def show(picture: RenderableType, console: Console) -> None:
    """Print a picture; what is not a terminal gets no blanks at the ends of lines."""
    if console.is_terminal:
        console.print(picture)
        return
    with console.capture() as capture:
        console.print(picture)
    click.echo("\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n")))


def unicode_of(console: Console) -> bool:
    """Whether shapes beyond ASCII can be shown."""
    return console.encoding.lower().startswith("utf")
