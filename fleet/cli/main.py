"""The command `fleet`: which verbs there are, and how errors end. Every verb is imported only when it is called."""

from __future__ import annotations

import importlib
import io
import os
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

import click

from fleet import __version__
from fleet.cli.lines import for_stderr
from fleet.errors import FleetError, UsageError

VERBS: dict[str, tuple[str, str]] = {
    "init": ("fleet.cli.init:init", "Start a project: an inventory to edit, fresh keys."),
    "inventory": ("fleet.cli.inventory:inventory", "Look at nodes, groups and where a value comes from."),
    "lint": ("fleet.cli.lint:lint", "Check inventory, playbook and templates without any node."),
    "schema": ("fleet.cli.schema:schema", "Print the JSON Schema of inventory or playbook, for editors."),
    "env": ("fleet.cli.env:env", "Lock and build Python environments for nodes."),
    "model": ("fleet.cli.model:model", "Lock models: a manifest with the hash of every file."),
    "adopt": ("fleet.cli.adopt:adopt", "Pin a node's keys and make it ready for deploys."),
    "plan": ("fleet.cli.deploy:plan", "Show what a deploy would change."),
    "deploy": ("fleet.cli.deploy:deploy", "Make the nodes what inventory and playbook say."),
    "secret": ("fleet.cli.secret:secret", "Look at secrets without seeing them, and change them."),
    "key": ("fleet.cli.key:key", "Say who may ask the fronts, for what, and how much."),
    "client": ("fleet.cli.client:client", "Let the programs on this machine ask the fleet."),
    "laptop": ("fleet.cli.laptop:laptop", "Serve a model on this machine, guarded."),
    "repo": ("fleet.cli.repo:repo", "Tag repositories: how far what is read there may go."),
    "drift": ("fleet.cli.drift:drift", "Show what on nodes is not as it was deployed."),
    "history": ("fleet.cli.history:history", "Show the releases that nodes keep."),
    "rollback": ("fleet.cli.rollback:rollback", "Bring nodes back to a release that they keep."),
    "runs": ("fleet.cli.runs:runs", "Show what was deployed from here, and how it ended."),
    "attach": ("fleet.cli.runs:attach", "Follow a run that goes on in another terminal."),
    "status": ("fleet.cli.status:status", "Show every node of the inventory."),
    "top": ("fleet.cli.top:top", "Show the fleet on one screen, the sickest node first."),
    "doctor": ("fleet.cli.doctor:doctor", "Look for what stops a Mac from serving, and say what mends it."),
    "events": ("fleet.cli.events:events", "Show what went wrong, since when, and for how long."),
    "metrics": ("fleet.cli.metrics:metrics", "Let a Prometheus and a Grafana watch the fleet."),
    "route": ("fleet.cli.route:route", "Look at routes, and at where a request would go."),
    "rankings": ("fleet.cli.rankings:rankings", "Archive the weekly ranking, compare weeks, get routing tickets."),
    "budget": ("fleet.cli.budget:budget", "Show what was spent this month, and what may be."),
    "gray": ("fleet.cli.gray:gray", "Look at the gray pool, and turn it off and on."),
    "harness": ("fleet.cli.harness:harness", "Measure models by the same prompts, and say what should move."),
    "ledger": ("fleet.cli.ledger:ledger", "Add up requests, tokens and money over all fronts."),
    "usage": ("fleet.cli.usage:usage", "Show who uses what, how much of it, and how well it goes."),
    "weekly": ("fleet.cli.weekly:weekly", "Make the report of a week: money, policy, usage, and what to do next."),
    "cost": ("fleet.cli.cost:cost", "Reckon what the same work would cost on other routes, at other prices."),
    "backup": ("fleet.cli.backup:backup", "Write the ledgers of all fronts, and the keys, into one file."),
    "restore": ("fleet.cli.backup:restore", "Give a front a ledger out of a backup."),
    "incident": ("fleet.cli.incident:incident", "Let keys spend up to the ceiling, for a while and under a name."),
    "ps": ("fleet.cli.ps:ps", "Show the requests in flight."),
    "kill": ("fleet.cli.kill:kill", "End a request in flight."),
    "drain": ("fleet.cli.drain:drain", "Give a node's models no new work."),
    "resume": ("fleet.cli.drain:resume", "Give a node's models new work again."),
    "restart": ("fleet.cli.restart:restart", "Restart services of a node, emptied first and proved after."),
    "reboot": ("fleet.cli.reboot:reboot", "Restart nodes one after the other, emptied first and proved after."),
    "logs": ("fleet.cli.reach:logs", "Show the logs of a node's services."),
    "exec": ("fleet.cli.reach:exec_", "Run a command on nodes."),
    "ssh": ("fleet.cli.reach:ssh", "Open a shell on a node."),
    "ask": ("fleet.cli.ask:ask", "Ask a model through the gateway."),
    "audit": ("fleet.cli.audit:audit", "Show who did what to the nodes."),
    "gc": ("fleet.cli.gc:gc", "Remove what no kept release of a node needs."),
    "bundle": ("fleet.cli.bundle:bundle", "Write everything that a deploy fetches into one file."),
    "uninstall": ("fleet.cli.uninstall:uninstall", "Take fleet off nodes."),
    "sim": ("fleet.cli.sim:sim", "Simulated Macs on this machine."),
    "completion": ("fleet.cli.completion:completion", "Print the shell completion script."),
}

_STOPPED = 130


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order in which a user meets them."""
        return [*VERBS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb."""
        if cmd_name not in VERBS:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click names it)
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest verb when there is none of that name."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, n=1)
            ctx.fail(f"No such command '{args[0]}'." + (f" Did you mean '{near[0]}'?" if near else ""))
        return super().resolve_command(ctx, args)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fleet", message="%(prog)s %(version)s")
@click.option(
    "-i",
    "--inventory",
    metavar="FILE",
    envvar="FLEET_INVENTORY",
    help="The inventory; else the nearest inventory/ folder's.",
)
@click.option(
    "--set", "overrides", metavar="VAR=VALUE", multiple=True, help="Override a variable for every node of this run."
)
@click.pass_context
def cli(ctx: click.Context, inventory: str | None, overrides: tuple[str, ...]) -> None:
    """Turn Macs you own or rent into an always-on language-model service."""
    ctx.obj = {"inventory": inventory, "overrides": overrides}


def main(argv: list[str] | None = None) -> None:
    """Run the command line, and end with an exit code of DESIGN section 6."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of another age gets ? for ●, not a traceback
    try:
        _require_a_folder()
        code: Any = cli.main(args=argv, prog_name="fleet", standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.Abort:
        click.echo("stopped", err=True)
        code = _STOPPED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except FleetError as error:
        click.echo(for_stderr(error.text), err=True)
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    _leave(code if isinstance(code, int) else 0)


def _require_a_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the current folder is gone", hint="cd to one that is there") from error


def _leave(code: int) -> NoReturn:
    """End with `code`. Nobody who pressed ^C waits for threads that still wait for a node."""
    waiting = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    if code == _STOPPED and waiting:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
