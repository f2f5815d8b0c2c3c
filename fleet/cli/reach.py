"""`fleet exec`, `fleet logs`, `fleet ssh`."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import defaultdict

import click

from fleet.cli.context import link_of, narrate, overrides_of, print_json, project_of, selected
from fleet.cli.span import Span
from fleet.control.actions.loglines import LogLine
from fleet.control.actions.logs import follow_logs
from fleet.control.actions.reach import Answer, exec_on, ssh_argv
from fleet.control.inventory import Inventory, Node, load_inventory
from fleet.errors import FleetError, UsageError
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.names import NodeName

_SERVICE_WIDTH = 12


def _nodes(ctx: click.Context, selector: str | None) -> tuple[Node, ...]:
    inventory = _inventory(ctx)
    nodes = selected(project_of(ctx), inventory, selector)
    if not nodes:
        raise UsageError(f"no node fits {selector!r}", hint="fleet inventory list shows the nodes")
    return nodes


def _inventory(ctx: click.Context) -> Inventory:
    return load_inventory(project_of(ctx), overrides=overrides_of(ctx))


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.option("--on", metavar="SELECTOR", help="Only these nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option("--shell", is_flag=True, help="Give the words to /bin/sh as one script.")
@click.option("--timeout", type=Span(), default="60s", show_default=True, help="How long a node may take to answer.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout: status, stdout and stderr of every node.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def exec_(
    ctx: click.Context, on: str | None, shell: bool, timeout: float, as_json: bool, command: tuple[str, ...]
) -> None:
    """Run COMMAND on nodes, as the SSH user; equal answers are shown once.

    Put -- before a command that has options of its own.
    """
    nodes = _nodes(ctx, on)
    answers = list(
        exec_on(nodes, command, link=link_of(ctx), base=project_of(ctx).root, timeout_seconds=timeout, shell=shell)
    )
    if as_json:
        print_json({a.node: _answer_json(a) for a in sorted(answers, key=lambda a: a.node)})
    else:
        _print_grouped(answers)
    good = sum(a.status == 0 for a in answers)
    if good < len(answers):
        unreachable = all(a.error and a.error.exit_code == 4 for a in answers)
        ctx.exit(4 if unreachable else 3 if good else 1)


def _answer_json(answer: Answer) -> dict[str, object]:
    if answer.error:
        return {"error": answer.error.title, "detail": answer.error.detail}
    return {"status": answer.status, "stdout": answer.stdout, "stderr": answer.stderr}


def _print_grouped(answers: list[Answer]) -> None:
    groups: dict[tuple[int | None, str, str, str], list[str]] = defaultdict(list)
    for answer in answers:
        error = answer.error.text.removeprefix(f"{answer.node}: ") if answer.error else ""
        groups[answer.status, answer.stdout, answer.stderr, error].append(answer.node)
    for (status, stdout, stderr, error), names in sorted(groups.items(), key=lambda group: min(group[1])):
        note = f"  exit {status}" if status else "  could not run" if error else ""
        click.secho(f"── {', '.join(sorted(names))}{note}", fg="red" if note else "cyan", err=True)
        sys.stdout.write(stdout if not stdout or stdout.endswith("\n") else f"{stdout}\n")
        sys.stdout.flush()
        if stderr or error:
            narrate((stderr or error).rstrip("\n"))


@click.command()
@click.argument("selector", required=False)
@click.argument("services", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come.")
@click.option("-n", "--lines", default=20, show_default=True, help="Lines of each log to begin with.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout: at, node, service, line.")
@click.pass_context
def logs(
    ctx: click.Context, selector: str | None, services: tuple[str, ...], follow: bool, lines: int, as_json: bool
) -> None:
    """Show the logs of SERVICES (agent, gateway, sidecar.NAME, apply; all when none is named) on the selected nodes.

    Lines of several logs are in the order of time; with -f as they come. `fleet top` (l) shows the same with a filter.
    """
    nodes = _nodes(ctx, selector)
    lock = threading.Lock()
    node_width = max(len(node.name) for node in nodes) if len(nodes) > 1 else 0
    broken: list[FleetError] = []
    found: list[LogLine] = []

    def show(line: LogLine) -> None:
        if as_json:
            click.echo(json.dumps(line.document(), ensure_ascii=False))
            return
        whose = [f"{line.node:<{node_width}}"] if node_width else []
        whose += [f"{line.service:<{_SERVICE_WIDTH}}"] if len(services) != 1 else []
        click.echo(click.style(f"{' '.join(whose)} │ ", fg="cyan") * bool(whose) + line.text)

    def emit(lines: list[LogLine]) -> None:
        with lock:
            if not follow:
                found.extend(lines)
            for line in lines if follow else ():
                show(line)

    def failed(node: NodeName, error: FleetError) -> None:
        with lock:
            broken.append(error)
            narrate(error.text if error.node else f"{node}: {error.text}")

    link, base, clock = link_of(ctx), project_of(ctx).root, SystemClock()
    try:
        follow_logs(
            nodes, services, link=link, base=base, lines=lines, follow=follow, clock=clock, emit=emit, failed=failed
        )
    except KeyboardInterrupt:
        return
    for line in sorted(found):
        show(line)
    if broken:
        ctx.exit(broken[0].exit_code if len(broken) == len(nodes) else 3)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def ssh(ctx: click.Context, node: str, command: tuple[str, ...]) -> None:
    """Open a shell on NODE with your own ssh, held to the pinned host key."""
    inventory = _inventory(ctx)
    if node not in inventory.nodes:
        raise UsageError(f"no node {node!r}", hint="fleet inventory list shows the nodes")
    project = project_of(ctx)
    pins = project.state_dir / "known_hosts"
    words = ssh_argv(inventory.nodes[NodeName(node)], command, base=project.root, pins=pins).words
    try:
        os.execvp(words[0], words)  # noqa: S606 (the words are ours; no shell)
    except OSError as error:
        raise UsageError(f"cannot run ssh: {error.strerror}", hint="install an OpenSSH client") from error
