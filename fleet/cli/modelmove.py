"""`fleet model move`: a model from one node to another, served all the while."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from fleet.cli.audited import write_down
from fleet.cli.carryout import carry_out
from fleet.cli.context import link_of, narrate, overrides_of, project_of
from fleet.cli.doors import Doors, doors
from fleet.cli.nodewords import asking_of
from fleet.cli.tenths import Tenths
from fleet.control.actions.deploy import Deployer, Wanted
from fleet.control.actions.gateways import GatewayNode, answered, gateways
from fleet.control.actions.modelmove import Move, Pins, Served, carry_out_move, served_by
from fleet.control.actions.modelnames import ModelBook, model_book
from fleet.control.actions.modelpull import Puller
from fleet.control.actions.playbooks import playbook_of
from fleet.control.desired.modelfit import Terms, would_fit
from fleet.control.inventory import Inventory, load_inventory
from fleet.control.inventory.edit import pin_nodes, pinned_text
from fleet.control.inventory.load import build_inventory
from fleet.control.inventory.overrides import parse_overrides
from fleet.control.inventory.yamlsource import parse_yaml, read_text, shown_path
from fleet.control.supply.cache import Cache
from fleet.errors import FitError, NodeError, UsageError
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.gateway_admin import RouteReports
from fleet.vocabulary.names import NodeName

_ABLE = ("ready", "full")
_GENERATE = "generate"
_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 60.0


@click.command()
@click.argument("name", metavar="MODEL")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--leave", metavar="MODEL", help="What FROM serves afterwards; else that is for you to edit.")
@click.option(
    "--playbook", default="site.yml", show_default=True, metavar="PLAYBOOK", help="What says which node serves what."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def move(ctx: click.Context, name: str, source: str, target: str, leave: str | None, playbook: str, yes: bool) -> None:
    """Let TO serve MODEL in the place of FROM, without a moment in which nobody does.

    The weights go to TO, the inventory is edited (one variable chooses the model, as in `model: "{{ vars.model }}"`),
    TO is deployed and proves that it serves, the fronts route to it; then FROM is drained and dropped. The same
    command again goes on where it was cut.

    Exit code: 3 when TO serves it, and what FROM serves then is for you to say.
    """
    inventory = load_inventory(project_of(ctx), overrides=overrides_of(ctx))
    wish = Move(model=name, source=inventory.node(source).name, target=inventory.node(target).name, leave=leave)
    if not carry_out_move(wish, _Hands(ctx, wish, playbook, yes)):
        narrate("nothing was changed")
        ctx.exit(1)
    write_down(ctx, "model move", [wish.source, wish.target], {}, text=f"{name} from {wish.source} to {wish.target}")
    narrate(f"{wish.target} serves {name}; {wish.source} keeps the weights as long as a release there needs them")


@dataclass(frozen=True)
class _Hands:
    """The commands that a move is made of."""

    ctx: click.Context
    move: Move
    playbook: str
    yes: bool

    def served(self, pins: Pins) -> Served:
        return served_by(self._book(pins))

    def require_fit(self, pins: Pins) -> None:
        book, node = self._book(pins), self.move.target
        manifest = book.manifest(self.move.model, node)
        answer = would_fit(
            book.books[node], book.rosters[node], self.move.model, manifest, book.manifests[node], Terms()
        )
        if answer.fits is not True:
            title = "does not fit" if answer.fits is False else "may not fit: it cannot be known"
            raise FitError(f"{self.move.model} {title}", node=node, detail=answer.text)

    def agree(self, lines: tuple[str, ...]) -> bool:
        for line in lines:
            click.echo(line)
        if self.yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError("nobody to ask: stdin is not a terminal. --yes moves without asking")
        return click.confirm("Do it?", err=True)

    def pull(self) -> None:
        project, move = project_of(self.ctx), self.move
        inventory, book = self._inventory(), self._book({})
        nodes = [inventory.node(name) for name in (move.source, move.target)]
        manifest = book.manifest(move.model, move.source)
        with asking_of(self.ctx, project) as asking:
            puller = Puller(
                project=project, asking=asking, cache=Cache(), notify=narrate, progress=Tenths(narrate).tell
            )
            for one in puller.pull(move.model, nodes, {node.name: manifest for node in nodes}):
                if one.error is not None and one.node == move.target:
                    raise one.error

    def write(self, pins: Pins) -> None:
        pin_nodes(project_of(self.ctx).inventory, pins)

    def deploy_target(self) -> None:
        self._deploy([self.move.target])

    def deploy_fronts(self) -> None:
        self._deploy([front.name for front in self._fronts()])

    def deploy_source(self) -> None:
        self._deploy([self.move.source])

    def prove(self) -> None:
        node = self._inventory().node(self.move.target)
        with asking_of(self.ctx, project_of(self.ctx)) as asking:
            passed = asking.one(node, lambda _node, talk, _hello: talk.prove()).passed
        fronts = self._fronts()
        if not fronts and not any(_GENERATE in one for one in passed):
            raise NodeError(
                f"nothing proves that it serves {self.move.model}",
                node=node.name,
                hint="a health check `generate` in its play does: an answer of one token",
            )
        if fronts:
            with doors(self.ctx, self.playbook) as found:
                self._see(found, fronts)

    def tell(self, text: str) -> None:
        narrate(f"{self.move.model}: {text}")

    def _see(self, found: Doors, fronts: Sequence[GatewayNode]) -> None:
        """Until every front that answers can route to the target. Raises NodeError."""
        clock, serves = SystemClock(), self._names()
        until = clock.monotonic() + _PATIENCE_SECONDS
        while True:
            reports = answered(found.open.each(fronts, lambda door: door.routes()))
            blind = [name for name, report in reports.items() if not routes_to(report, self.move.target, serves)]
            if reports and not blind:
                return
            if clock.monotonic() >= until:
                raise NodeError(
                    f"{', '.join(blind) or 'no front that answers'} cannot route {self.move.model} to it yet",
                    node=self.move.target,
                    hint="fleet route ls shows why; the same command goes on",
                )
            clock.sleep(_LOOK_SECONDS)

    def _names(self) -> frozenset[str]:
        """What clients call the model on the target."""
        sidecars = self._book({}).rosters[self.move.target].sidecars
        return frozenset(one.serves for one in sidecars if one.model == self.move.model)

    def _fronts(self) -> list[GatewayNode]:
        found = gateways(self._inventory(), playbook_of(project_of(self.ctx), self.playbook))
        return [gateway for gateway in found if gateway.is_front]

    def _deploy(self, names: Sequence[NodeName]) -> None:
        if names:
            project = project_of(self.ctx)
            deployer = Deployer(project, link=link_of(self.ctx), cache=Cache(), clock=SystemClock(), notify=narrate)
            wanted = Wanted(playbook=self.playbook, on=",".join(names), overrides=overrides_of(self.ctx))
            carry_out(self.ctx, deployer, deployer.prepare(wanted), commands=False, yes=True, as_json=False)

    def _book(self, pins: Pins) -> ModelBook:
        return model_book(project_of(self.ctx), self._inventory(pins), self.playbook)

    def _inventory(self, pins: Pins | None = None) -> Inventory:
        """As it is, or as it would be with `pins`. Raises InventoryError where they cannot be written."""
        project, overrides = project_of(self.ctx), overrides_of(self.ctx)
        if not pins:
            return load_inventory(project, overrides=overrides)
        name = shown_path(project.inventory)
        text = pinned_text(read_text(project.inventory, name=name), pins, name=name)
        return build_inventory(
            parse_yaml(text, name=name), path=project.inventory, overrides=parse_overrides(overrides)
        )


def routes_to(report: RouteReports, node: NodeName, serves: frozenset[str]) -> bool:
    """Whether a front would send a request for one of these models to the node now."""
    upstreams = (upstream for route in report.routes for upstream in route.upstreams)
    return any(one.node == node and one.serves in serves and one.state in _ABLE for one in upstreams)
