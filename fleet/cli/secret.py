"""`fleet secret`: look at the secrets of a fleet without seeing them, and change them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console

from fleet.cli.context import link_of, narrate, overrides_of, print_json, project_of
from fleet.cli.runview import RunView, run_view
from fleet.control.actions.deploy import Deployer, Wanted
from fleet.control.actions.facts import FactsStore
from fleet.control.actions.playbooks import playbook_of
from fleet.control.actions.secret_check import Checked, There, check_here, look_there
from fleet.control.actions.secret_rotate import Rotation, Rotator
from fleet.control.actions.secret_uses import Uses, uses_of
from fleet.control.inventory import load_inventory
from fleet.control.supply.cache import Cache
from fleet.control.supply.secrets.keyfile import key_file, new_key
from fleet.errors import UsageError
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.secret import Secret
from fleet.vocabulary.units import seconds_text

_LONGEST_VALUE = 64 * 1024
_PLAYBOOK = click.option("--playbook", default="site.yml", show_default=True, help="What says which node uses what.")


@click.group()
def secret() -> None:
    """Look at the secrets of a fleet without seeing them, and change them."""


@secret.command()
@_PLAYBOOK
@click.option("--on", metavar="SELECTOR", help="Ask these nodes whether they have what is here: names, groups, all.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def check(ctx: click.Context, playbook: str, on: str | None, as_json: bool) -> None:
    """Show every secret reference: whether it can be had, its age, and what uses it. Values are never shown.

    With --on the nodes compare: by digests that they take themselves.

    Exit code: 0 all is well; 1 a secret cannot be had, or a node has another one; 3 a node did not answer.
    """
    found = check_here(_uses(ctx, playbook), project_of(ctx))
    there: Mapping[tuple[NodeName, str], There] = {}
    lost: Mapping[NodeName, Any] = {}
    bad = any(one.error for one in found)
    if on is not None and bad:
        narrate("the nodes are not asked: not every secret can be had")
    elif on is not None:
        there, lost = look_there(_deployer(ctx), Wanted(playbook=playbook, on=on, overrides=overrides_of(ctx)))
    if as_json:
        print_json([_document(one, there) for one in found])
    else:
        for line in _lines(found, there):
            click.echo(line)
    for one in (*(one.error for one in found if one.error), *lost.values()):
        narrate(one.text)
    differs = any(state in (There.DIFFERS, There.ABSENT) for state in there.values())
    ctx.exit(1 if bad or differs else 3 if lost else 0)


@secret.command()
@click.argument("reference")
@_PLAYBOOK
@click.option("--stdin", "from_stdin", is_flag=True, help="The new value is the line on stdin; else a key is made.")
@click.option("--finish", is_flag=True, help="Forget the old value of a key that clients show: it opens nothing more.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def rotate(ctx: click.Context, reference: str, playbook: str, from_stdin: bool, finish: bool, yes: bool) -> None:
    """Change a secret that lies in a file, and deploy exactly what uses it.

    A key of gateways is changed without a gap: first all of them take the new one too, then it is shown, then the old
    one is forgotten. Of gateway_key, which clients show, the old one is taken until --finish. The same command goes on
    with a change that was stopped. The old value stays beside the file as .previous (0600) until then.
    """
    uses = _uses(ctx, playbook)
    nodes = uses.nodes(reference)
    if not nodes:
        raise UsageError("nothing uses such a secret", hint="fleet secret check shows every reference")
    rotation = Rotation(
        file=key_file(reference, project_of(ctx).root, users=",".join(nodes)),
        nodes=nodes,
        rings=uses.rings.get(reference, frozenset()),
    )
    if finish and not rotation.for_clients:
        raise UsageError("--finish is for gateway_key: of another secret no old value is taken")
    if not rotation.rings and not from_stdin:
        raise UsageError(
            "its value comes from whoever gives it out",
            hint=f"fleet secret rotate {reference} --stdin  asks for it, or takes it from a pipe",
        )
    _agree(nodes, yes=yes or not sys.stdin.isatty())
    wanted = Wanted(playbook=playbook, on=",".join(nodes), overrides=overrides_of(ctx))
    rotator = Rotator(_deployer(ctx), rotation, wanted=wanted, view=_view_of(nodes), tell=narrate, go_on=_go_on)
    if finish:
        rotator.finish()
    else:
        rotator.rotate(_read_value if from_stdin else new_key)
    narrate(_ended(rotation, finish=finish))


def _uses(ctx: click.Context, playbook: str) -> Uses:
    project = project_of(ctx)
    inventory = load_inventory(project, overrides=overrides_of(ctx))
    facts = FactsStore(project).load(inventory.nodes)
    return uses_of(inventory, playbook_of(project, playbook), project=project, facts=facts)


def _deployer(ctx: click.Context) -> Deployer:
    return Deployer(project_of(ctx), link=link_of(ctx), cache=Cache(), clock=SystemClock(), notify=narrate)


def _view_of(nodes: tuple[NodeName, ...]) -> Callable[[], RunView]:
    return lambda: run_view(Console(stderr=True), list(nodes), json=False, keep=False)


def _go_on(batch: int) -> bool | None:
    return click.confirm(f"Go on with batch {batch}?", err=True) if sys.stdin.isatty() else None


def _agree(nodes: tuple[NodeName, ...], *, yes: bool) -> None:
    if not yes:
        click.confirm(f"Change it on {len(nodes)} node{'s' if len(nodes) != 1 else ''}?", err=True, abort=True)


def _read_value() -> Secret:
    """From a person without showing it, or from a pipe. Never from the command line, which everybody can see."""
    if sys.stdin.isatty():
        text = str(click.prompt("the new value", hide_input=True, confirmation_prompt=True, err=True))
    else:
        text = sys.stdin.read(_LONGEST_VALUE + 1)
    text = text.rstrip("\r\n")
    if not text or len(text) > _LONGEST_VALUE or not text.isprintable():
        raise UsageError("stdin holds no value: one line of printable characters")
    return Secret(text)


def _ended(rotation: Rotation, *, finish: bool) -> str:
    file = rotation.file
    if rotation.for_clients and not finish:
        return (
            f"changed: clients may show either key; the new one is in {file.path}"
            f"\nwhen all of them have it: fleet secret rotate {file.reference} --finish"
        )
    if rotation.rings:
        return "changed: the old key opens nothing any more"
    return f"changed; the old value is in {file.previous}"


def _lines(found: tuple[Checked, ...], there: Mapping[tuple[NodeName, str], There]) -> Iterator[str]:
    now = datetime.now(UTC).timestamp()
    for one in found:
        age = "" if one.changed_at is None else f", {seconds_text(max(0.0, now - one.changed_at))} old"
        yield f"{one.reference}: {'cannot be had' if one.error else 'can be had'}{age}"
        for use in one.uses:
            after = [f"reloads {name}" for name in use.services] + [f"restarts {name}" for name in use.restarts]
            state = f"  [{there[use.node, use.path]}]" if (use.node, use.path) in there else ""
            yield f"  {use.node}  {use.path}{'  ' + ', '.join(after) if after else ''}{state}"


def _document(one: Checked, there: Mapping[tuple[NodeName, str], There]) -> dict[str, Any]:
    return {
        "reference": one.reference,
        "error": one.error.title if one.error else None,
        "changed_at": one.changed_at,
        "uses": [
            {
                "node": use.node,
                "path": use.path,
                "reloads": use.services,
                "restarts": use.restarts,
                "there": there.get((use.node, use.path)),
            }
            for use in one.uses
        ],
    }
