"""`fleet drain` and `fleet resume`: take a node's models out of service without cutting anybody off, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click
import msgspec

from fleet.cli.audited import write_down
from fleet.cli.context import narrate, print_json
from fleet.cli.doors import doors, json_option, playbook_option, tell_problems, who
from fleet.control.actions.drain import DrainReport, wait_until_drained
from fleet.control.actions.drain import drain as close
from fleet.control.actions.drain import resume as reopen
from fleet.control.actions.gateways import GatewayNode, exit_code
from fleet.control.actions.requests import Request, list_requests
from fleet.vocabulary.contracts.gateway_admin import NodeIntent
from fleet.vocabulary.names import Intent
from fleet.vocabulary.units import parse_seconds, seconds_text


class _Wait(click.ParamType[float]):
    """A span of time; 0 is one, too."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        try:
            return parse_seconds(value if isinstance(value, int | float) else str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


_SIDECAR = click.option("--sidecar", metavar="NAME", help="Only this sidecar of the nodes; else all of them.")


@click.command()
@click.argument("nodes", metavar="NODE...", nargs=-1, required=True)
@click.option(
    "--wait", type=_Wait(), default="60s", show_default=True, help="How long to wait for what runs; 0 = not at all."
)
@_SIDECAR
@click.option("--force", is_flag=True, help="Also when a served model would have nobody left.")
@json_option
@playbook_option
@click.pass_context
def drain(
    ctx: click.Context,
    nodes: tuple[str, ...],
    wait: float,
    sidecar: str | None,
    force: bool,
    as_json: bool,
    playbook: str,
) -> None:
    """Give the models of NODE no new work, and wait until what runs has ended.

    Nothing is cut off. The node remembers it, over restarts and deploys, until `fleet resume`.

    Exit code: 1 something still runs, 3 some nodes did not answer, 4 none did.
    """
    with doors(ctx, playbook) as found:
        wanted = found.named(nodes)
        report, errors = close(wanted, found.all, found.open, sidecar=sidecar, force=force, by=who())
        tell_problems(errors)
        write_down(ctx, "drain", [gateway.name for gateway in wanted], errors, text=sidecar or "")
        if not as_json:
            _tell(report, wanted)
        reached = [gateway for gateway in wanted if gateway.name not in errors]
        if report.in_flight and wait:
            report = wait_until_drained(report, reached, found.open, seconds=wait, told=_tell_count(as_json=as_json))
            if not as_json and not report.in_flight:
                _tell(report, wanted)
        running = _running(list_requests(found.all, found.open)[0].requests, report) if report.in_flight else ()
    if as_json:
        print_json({**msgspec.to_builtins(report), "running": msgspec.to_builtins(running)})
    elif report.in_flight:
        _tell_running(running, report, waited=wait)
    ctx.exit(exit_code(len(wanted), errors) or (1 if report.in_flight and wait else 0))


@click.command()
@click.argument("nodes", metavar="NODE...", nargs=-1, required=True)
@_SIDECAR
@json_option
@playbook_option
@click.pass_context
def resume(ctx: click.Context, nodes: tuple[str, ...], sidecar: str | None, as_json: bool, playbook: str) -> None:
    """Give the models of NODE new work again."""
    with doors(ctx, playbook) as found:
        wanted = found.named(nodes)
        report, errors = reopen(wanted, found.open, sidecar=sidecar, by=who())
    tell_problems(errors)
    write_down(ctx, "resume", [gateway.name for gateway in wanted], errors, text=sidecar or "")
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        _tell(report, wanted)
    ctx.exit(exit_code(len(wanted), errors))


def _tell(report: DrainReport, wanted: Sequence[GatewayNode]) -> None:
    """One line for each node."""
    fronts = {gateway.name for gateway in wanted if gateway.is_front}
    for node in report.nodes:
        note = "; its front goes on serving clients" if node.node in fronts else ""
        narrate(f"{node.node}: {_stand(node)}{note}")


def _stand(node: NodeIntent) -> str:
    """How its sidecars stand: `drained`, or one word for each when they differ."""
    if not node.sidecars:
        return "no sidecar here, so nothing to drain"
    words = {one.name: _word(one.intent, one.in_flight) for one in node.sidecars}
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return ", ".join(f"{name} {word}" for name, word in words.items())


def _word(intent: Intent, in_flight: int) -> str:
    if intent is not Intent.DRAINING:
        return intent.value
    return f"draining, {in_flight} request{'' if in_flight == 1 else 's'} still run{'s' if in_flight == 1 else ''}"


def _tell_count(*, as_json: bool) -> Callable[[DrainReport], None]:
    def told(report: DrainReport) -> None:
        if not as_json and report.in_flight:
            narrate(f"{report.in_flight} still running")

    return told


def _running(requests: Sequence[Request], report: DrainReport) -> tuple[Request, ...]:
    """The requests that run on the nodes that are being drained."""
    nodes = {node.node for node in report.nodes if any(one.intent is Intent.DRAINING for one in node.sidecars)}
    return tuple(one for one in requests if one.node in nodes)


def _tell_running(running: Sequence[Request], report: DrainReport, *, waited: float) -> None:
    for one in running:
        narrate(f"  {one.id}  {one.key}  {one.route}  on {one.node}, {one.phase} since {seconds_text(one.seconds)}")
    if waited:
        narrate(
            f"{report.in_flight} still running after {seconds_text(waited)}; no new work comes"
            "\n  hint: the same command waits on; fleet kill REQ ends one; fleet resume takes it back"
        )
