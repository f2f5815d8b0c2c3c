"""`fleet laptop`: this machine's own model as the tier `laptop`, with a guard."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from fleet.cli.context import narrate, print_json, project_of
from fleet.control.actions.laptop.lifecycle import down as take_down
from fleet.control.actions.laptop.lifecycle import status, up
from fleet.control.actions.laptop.making import CLIENT_KEY, Wanted
from fleet.control.supply.cache import Cache
from fleet.vocabulary.macos.notifyutil import THERMAL_WORDS

_PRESSURE_WORDS = {1: "normal", 2: "warning", 4: "critical"}


@click.group()
def laptop() -> None:
    """Serve a model on this machine, for drafts and without a network: the tier `laptop`."""


@laptop.command("up")
@click.option("--model", required=True, metavar="NAME|FOLDER", help="A locked model (models/), or a folder with one.")
@click.option("--port", type=click.IntRange(1024, 65533), default=8790, show_default=True,
              help="Where its gateway listens; it takes the two ports above as well.")  # fmt: skip
@click.option("--context", "context_tokens", type=click.IntRange(min=1), metavar="TOKENS",
              help="The longest request; else what the model's manifest says.")  # fmt: skip
@click.option("--on-battery", is_flag=True, help="A battery is no reason to stop it.")
@click.option("--unguarded", is_flag=True, help="Run it where nothing tells of battery, heat or memory.")
@click.pass_context
def up_(
    ctx: click.Context, model: str, port: int, context_tokens: int | None, *, on_battery: bool, unguarded: bool
) -> None:
    """Start a sidecar and a gateway here, on loopback, and keep them until `fleet laptop down`.

    Its guard stops the model on battery, heat (heavy) or memory pressure, lets requests end first where there is time,
    and starts it again when nothing has been wrong for two minutes.
    """
    wanted = Wanted(
        model=model,
        gateway_port=port,
        context_tokens=context_tokens,
        battery_stops=not on_battery,
        unguarded=unguarded,
    )
    project = project_of(ctx)
    plan = up(wanted, project=project, cache=Cache(), notify=narrate)
    key = os.path.relpath(Path(plan.folder) / CLIENT_KEY)
    click.echo(f"{plan.serves} answers at {plan.url}, under its name or as `laptop`; the key is in {key}")


@laptop.command()
@click.pass_context
def down(ctx: click.Context) -> None:
    """Let requests end, and stop the model and its gateway. Down twice is down."""
    click.echo("it is down" if take_down(project_of(ctx), notify=narrate) else "it was not up")


@laptop.command("status")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def status_(ctx: click.Context, *, as_json: bool) -> None:
    """Say whether the model runs, and why not. Exit code: 0 it runs; 1 it does not."""
    plan, found = status(project_of(ctx))
    if as_json:
        shown = {"url": plan.url, "model": plan.serves} if plan else {}
        print_json({**shown, "status": msgspec.to_builtins(found) if found else None})
    elif plan is None or found is None:
        click.echo("it is down")
    else:
        since = f"{datetime.fromtimestamp(found.since_seconds, UTC).astimezone():%H:%M:%S}"
        why = f": {found.reason}" if found.reason else ""
        back = found.back_in_seconds
        again = "" if back is None else f"; it comes back in {back:.0f} s if nothing else happens"
        click.echo(f"{plan.serves} at {plan.url}: {found.state} since {since}{why}{again}")
        click.echo(_seen(found.on_battery, found.thermal_level, found.pressure_level))
    if found is None or found.state != "running":
        ctx.exit(1)


def _seen(on_battery: bool | None, thermal: int | None, pressure: int | None) -> str:
    power = "unknown" if on_battery is None else "battery" if on_battery else "mains"
    heat = "unknown" if thermal is None else THERMAL_WORDS[thermal]
    memory = "unknown" if pressure is None else _PRESSURE_WORDS.get(pressure, str(pressure))
    return f"power {power}, thermal pressure {heat}, memory pressure {memory}"
