"""`fleet sim`: simulated Macs on this machine."""

from __future__ import annotations

import importlib.util
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fleet.cli.context import narrate, print_json
from fleet.errors import FleetError, UsageError

if TYPE_CHECKING:
    from fleet.sim.simulation import Simulation

DEFAULT_DIR = Path(".fleet") / "sim"
_PLAN = "sim.json"  # fleet.sim.supervisor.PLAN, without importing the simulation


class _Folder(click.ParamType[Path]):
    """The folder of a simulation. None named: the nearest one around here, else the default."""

    name = "directory"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """A path, as short as it can be said from here. It need not be there yet."""
        path = Path(str(value))
        if path.exists() and not path.is_dir():
            self.fail(f"{path} is no folder", param, ctx)
        return path


def _nearest() -> Path:
    """The simulation that the current folder is part of, or holds."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        for found in (folder, folder / DEFAULT_DIR):
            if (found / _PLAN).is_file():
                return found.relative_to(here) if found.is_relative_to(here) else found
    return DEFAULT_DIR


_DIR = click.option(
    "--dir",
    "folder",
    type=_Folder(),
    default=_nearest,
    show_default=f"the simulation around here, else {DEFAULT_DIR}",
    help="The folder of the simulation: a complete fleet project.",
)


@click.group()
def sim() -> None:
    """Simulated Macs on this machine: real SSH, a launchd with real processes, the macOS commands.

    Every verb of fleet works on them as on Macs: they are nodes of an inventory of their own.
    """


@sim.command()
@click.option("--nodes", type=click.IntRange(min=1), default=3, show_default=True, help="How many Macs.")
@click.option(
    "--models",
    type=click.Choice(["smollm2", "tiny", "scripted"]),
    multiple=True,
    help="Models to make; the first is served. smollm2 when absent.",
)
@click.option("--no-models", is_flag=True, help="Make no model: Macs alone.")
@click.option("--light", is_flag=True, help="Macs by the hundred: real SSH and files, daemons booked and not run.")
@click.option(
    "--throttle-scale", type=click.FloatRange(0.001, 10), default=1.0, help="launchd's throttle and back-off, scaled."
)
@click.option("--exit-scale", type=click.FloatRange(0.001, 10), default=1.0, help="launchd's exit timeouts, scaled.")
@_DIR
def up(
    folder: Path,
    nodes: int,
    models: tuple[str, ...],
    no_models: bool,
    light: bool,
    throttle_scale: float,
    exit_scale: float,
) -> None:
    """Bring simulated Macs up, with an inventory for them."""
    simulation = _simulation(folder)
    simulation.check(nodes=nodes, light=light, models=models)
    names = _make_models(folder, () if no_models or light else models or ("smollm2",))
    plan = simulation.up(nodes=nodes, models=names, throttle_scale=throttle_scale, exit_scale=exit_scale, light=light)
    count, kind = len(plan.nodes), "light simulated Mac" if light else "simulated Mac"
    narrate(f"{count} {kind}{'s are' if count != 1 else ' is'} up{_where(folder)}")
    around = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    narrate(f"next: {around}fleet adopt --all")


@sim.command()
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@_DIR
def status(folder: Path, as_json: bool) -> None:
    """Show the simulated Macs: power, faults, services."""
    simulation = _simulation(folder)
    plan = simulation.plan
    running = simulation.running
    found = simulation.status() if running else {}
    nodes: dict[str, Any] = found.get("nodes", {})
    upstreams: dict[str, Any] = found.get("upstreams", {})
    if as_json:
        ports = {node.name: {"ssh_port": node.ssh_port, "gateway_port": node.gateway_port} for node in plan.nodes}
        rows = {name: {**port, **nodes.get(name, {})} for name, port in ports.items()}
        print_json({"simulation": True, "running": running, "dir": str(folder), "nodes": rows, "upstreams": upstreams})
        return
    click.echo(f"the simulation{_where(folder)} is {'up' if running else 'down'}")
    for node in plan.nodes:
        seen = nodes.get(node.name, {"power": "off", "faults": {}, "services": {}})
        click.echo(f"{node.name:8} {seen['power']:7} ssh 127.0.0.1:{node.ssh_port}  {_faults(seen)}".rstrip())
        for label, service in seen["services"].items():
            pid = f"pid {service['pid']}" if service["pid"] else "no process"
            click.echo(f"         {label}: {service['state']}, {pid}, runs {service['runs']}")
    for name, api in upstreams.items():
        click.echo(f"{name} {api['state']}, simulated: {api['url']}  {_faults(api)}".rstrip())


@sim.command()
@click.argument("node", required=False)
@click.argument("faults", metavar="KEY[=VALUE]...", nargs=-1)
@click.option("--clear", is_flag=True, help="End these kinds of trouble, or all.")
@click.option("--list", "show", is_flag=True, help="List the kinds.", is_eager=True)
@_DIR
def fault(folder: Path, node: str | None, faults: tuple[str, ...], clear: bool, show: bool) -> None:
    """Bring trouble to a simulated Mac or to `openrouter`, or end it. `fleet sim fault --list` shows the kinds."""
    simulation = _simulation(folder)
    from fleet.sim.api import DOWN, OPENROUTER, SWITCHES, check_fault
    from fleet.sim.faults import KINDS, parse_fault

    if show:
        for kind in KINDS.values():
            click.echo(f"{kind.name + ('=' + kind.value if kind.value else ''):36} {kind.meaning}")
        click.echo(f"\nof {OPENROUTER}, which is simulated, too (err=429, first=2000 ms, cut=120 bytes):")
        click.echo("\n".join(textwrap.wrap(", ".join((DOWN, *SWITCHES)), 78)))
        return
    if node is None or not (faults or clear):
        raise UsageError(
            "which fault?", hint="fleet sim fault NODE thermal=2; --list shows the kinds; --clear ends all"
        )
    if clear:
        for name in faults or (None,):
            simulation.clear(node, name.partition("=")[0] if name else None)
        narrate(f"{node}: cleared")
        return
    if node == OPENROUTER:
        for text in faults:
            check_fault(text)
        for text in faults:
            simulation.fault(node, text)
            narrate(f"{node}: {text}")
        return
    for parsed in [parse_fault(text) for text in faults]:
        simulation.fault(node, f"{parsed.name}={parsed.value}")
        narrate(f"{node}: {parsed.name}" + ("" if parsed.value == "1" else f"={parsed.value}"))


@sim.command()
@click.argument("node")
@click.option("--days", type=click.IntRange(min=0), required=True, help="How far back its rows go.")
@click.option("--over", type=click.IntRange(min=1), default=1, show_default=True, help="Spread over so many days.")
@click.option("--last-hours", type=click.IntRange(min=1), help="Only what was asked since then.")
@_DIR
def age(folder: Path, node: str, days: int, over: int, last_hours: int | None) -> None:
    """Let days pass in the ledger of a simulated front, while the simulation is down."""
    simulation = _simulation(folder)
    if simulation.running:
        raise UsageError("the simulation is up, and a gateway remembers its ledger", hint="fleet sim down first")
    from fleet.sim.aging import age as put_back

    ledgers = sorted((folder / "nodes" / node).glob("opt/fleet/var/**/ledger.sqlite"))
    if not ledgers:
        raise UsageError(f"{node} has no ledger", hint="a front with budgets or a gray pool that was deployed has one")
    since = 0 if last_hours is None else int((time.time() - last_hours * 3600) * 1000)
    count = put_back(ledgers[0], days=days, over=over, since_milliseconds=since)
    narrate(f"{node}: {count} requests went back by {days} days" + (f" and more, over {over}" if over > 1 else ""))


@sim.command()
@click.option("--purge", is_flag=True, help="Remove the folder too.")
@_DIR
def down(folder: Path, purge: bool) -> None:
    """Stop the simulated Macs: no process and no port stays."""
    found, where = (folder / _PLAN).is_file(), _where(folder)
    try:
        _simulation(folder).down(purge=purge)
    except OSError as error:  # something of the simulation still writes there
        raise FleetError(f"the simulation{where} is not wholly gone: {error}", hint="the same command again") from error
    if found:
        narrate(f"the simulation{where} is {'gone' if purge else 'down'}")
    else:
        narrate(f"there is no simulation{where}")


def _faults(found: dict[str, Any]) -> str:
    return " ".join(name if value == "1" else f"{name}={value}" for name, value in found["faults"].items())


def _where(folder: Path) -> str:
    return "" if folder.resolve() == Path.cwd() else f" in {folder}"


def _simulation(folder: Path) -> Simulation:
    if missing := [name for name in ("asyncssh", "psutil") if importlib.util.find_spec(name) is None]:
        raise FleetError(
            f"the simulation needs {' and '.join(missing)}",
            hint="install fleet with the extra: pip install 'fleet-macs[sim]'",
        )
    from fleet.sim.simulation import Simulation

    return Simulation(folder.resolve())


def _make_models(folder: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        return ()
    from fleet.sim.models.shelf import shelve

    return tuple(shelve(name, folder.resolve() / "models", notify=narrate) for name in names)
