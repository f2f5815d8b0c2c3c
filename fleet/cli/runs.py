"""`fleet runs` and `fleet attach`: what was deployed from here, what is left, and following a run from elsewhere."""

from __future__ import annotations

from collections import Counter

import click
from rich.console import Console
from rich.text import Text

from fleet.cli.context import narrate, print_json, project_of
from fleet.cli.hang import hang
from fleet.cli.runview import run_view
from fleet.cli.runwords import SHAPES
from fleet.control.actions.deploy import verdict
from fleet.control.actions.runs import follow, going_on_words, run_rows, verdict_words
from fleet.control.rollout.nodejob import NodeResult
from fleet.control.rollout.runrecord import RunRecord, RunStore
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.events import Outcome

_WIDTH = 12


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def runs(ctx: click.Context, as_json: bool) -> None:
    """List the runs of this project on this laptop, the last one first."""
    if ctx.invoked_subcommand:
        return
    store = _store(ctx)
    records = store.all()
    if as_json:
        print_json({"schema": 1, "runs": [run_rows(record, live=store.is_live(record.run_id)) for record in records]})
        return
    if not records:
        narrate("no run is recorded here; fleet deploy makes one")
    console = Console()
    for record in records:
        hang(console, _headline(record, store), indent=4)


@runs.command()
@click.argument("run", default="last")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def show(ctx: click.Context, run: str, as_json: bool) -> None:
    """Show how a run ended on every node: its id, the beginning of it, or last."""
    store = _store(ctx)
    record = store.one(run)
    if as_json:
        print_json({"schema": 1, **run_rows(record, live=store.is_live(record.run_id))})
        return
    console = Console()
    hang(console, _headline(record, store), indent=4)
    for node in dict.fromkeys([*record.states, *record.outcomes]):
        outcome = record.outcomes.get(node)
        shape, style = SHAPES[outcome] if outcome else ("…", "")
        why = record.why.get(node, "")
        word = str(outcome) if outcome else _unsettled(record, node)
        line = Text(f"  {shape} {node}  ", style=style).append(word)
        hang(console, line.append(f": {why}", style="dim") if why else line, indent=6)
    if record.ended_at is None and not store.is_live(record.run_id):
        narrate(f"nobody drives it any more: {going_on_words(record)} goes on with it")


@click.command()
@click.argument("run", default="last")
@click.option("--json", "as_json", is_flag=True, help="The run's events as JSON lines on stdout.")
@click.pass_context
def attach(ctx: click.Context, run: str, as_json: bool) -> None:
    """Follow a run that goes on in another terminal of this laptop, from its beginning; ^C leaves it alone.

    Ends with the exit code of the run. One that another laptop began is followed there; fleet logs NODE apply -f
    shows what it does on a node.
    """
    store = _store(ctx)
    record = store.one(run)
    nodes = [node for batch in record.walk.batches for node in batch.nodes]
    with run_view(Console(stderr=as_json), nodes, json=as_json) as view:
        for event in follow(store, record.run_id, clock=SystemClock()):
            view.show(event)
    record = store.one(record.run_id)
    if record.ended_at is None:
        away = ", ".join(sorted(record.walk.away))
        narrate(
            f"nobody drives it any more{f'; {away} finish by themselves' if away else ''}: "
            f"{going_on_words(record)} goes on with it"
        )
    problem = verdict({name: NodeResult(name=name, outcome=outcome) for name, outcome in record.outcomes.items()})
    if problem:
        raise problem


def _store(ctx: click.Context) -> RunStore:
    return RunStore(project_of(ctx).state_dir / "runs")


def _headline(record: RunRecord, store: RunStore) -> Text:
    word = verdict_words(record, live=store.is_live(record.run_id))
    style = {"well": "green", "not well": "red", "left": "yellow"}.get(word, "bold")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in _counts(record).items())
    text = Text(f"{record.run_id}  ").append(f"{word:<{_WIDTH}}", style=style)
    what = record.playbook if record.action == "deploy" else f"{record.action} {record.playbook}"
    return text.append(f"{what}  {counts or 'nothing yet'}").append(f"  {record.operator}", style="dim")


def _counts(record: RunRecord) -> dict[Outcome, int]:
    """How many nodes ended how, the worst last."""
    found = Counter(record.outcomes.values())
    return {outcome: found[outcome] for outcome in Outcome if found[outcome]}


def _unsettled(record: RunRecord, node: str) -> str:
    return "under way" if node in record.walk.away else "not started"
