"""`fleet harness`: the same prompts to every tier, what came of it, and whether a model should move."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import click
import msgspec

from fleet.cli.context import link_of, narrate, overrides_of, print_json, project_of
from fleet.cli.doors import json_option, playbook_option, show, unicode_of
from fleet.cli.harnessprogress import HarnessProgress
from fleet.cli.harnessview import markdown_of, report_view, verdict_view
from fleet.control.actions.harness import begun, opener, run_named, runs_folder, suite_of_run
from fleet.control.actions.harnesssuite import SHIPPED, load_suite
from fleet.control.inventory.project import Project
from fleet.errors import UsageError
from fleet.practice.harness.compare import Word
from fleet.practice.harness.compare import compare as compared
from fleet.practice.harness.door import Door
from fleet.practice.harness.measured import Measured, measured
from fleet.practice.harness.prepare import Prepared, again, check_ceiling, check_doors, prepared
from fleet.practice.harness.report import HarnessReport, report_of_run
from fleet.practice.harness.run import Run
from fleet.practice.harness.session import Session
from fleet.practice.harness.store import RunBook, read_run, runs_in
from fleet.practice.harness.suite import Suite
from fleet.practice.harness.targets import target_spec
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.money import NotMoney, pico

_PARTIAL, _UNREACHABLE = 3, 4
_CEILING = "1.00"


@click.group()
def harness() -> None:
    """Measure models by the same prompts, and say what should move."""


@harness.command()
@click.option("--target", "targets", multiple=True, metavar="NAME=MODEL", help="Whom to ask; once for each.")
@click.option("--suite", default=SHIPPED, show_default=True, metavar="NAME|FILE", help="What to ask.")
@click.option("--only", multiple=True, metavar="ID|CATEGORY", help="Only these prompts of it.")
@click.option("--repeats", type=click.IntRange(1, 50), default=1, show_default=True, help="How often each is asked.")
@click.option(
    "--concurrency", type=click.IntRange(1, 64), default=2, show_default=True, help="Prompts in flight at one target."
)
@click.option("--ceiling", default=None, metavar="USD", help=f"Never spend more than this.  [default: {_CEILING}]")
@click.option("--allow-unknown-price", is_flag=True, help="Ask also what nobody states a price of.")
@click.option("--name", default=None, metavar="RUN", help="What the run is called; else the time.")
@click.option("--resume", default=None, metavar="RUN", help="Go on with a run: what is measured is not asked again.")
@click.option("--front", "node", default=None, metavar="NODE", help="Ask this front; else the first of the playbook.")
@json_option
@playbook_option
@click.pass_context
def run(
    ctx: click.Context,
    targets: tuple[str, ...],
    suite: str,
    only: tuple[str, ...],
    repeats: int,
    concurrency: int,
    ceiling: str | None,
    allow_unknown_price: bool,
    name: str | None,
    resume: str | None,
    node: str | None,
    as_json: bool,
    playbook: str,
) -> None:
    """Ask every target the prompts of a suite.

    NAME=MODEL asks a route or model of the front. NAME=https://HOST/v1,model=MODEL,key=env:VAR asks another server;
    price=IN/OUT (USD per million tokens) and tier=laptop|fleet|api can be added to both. Results go to harness/RUN/
    as they come: after ^C, or a kill, --resume RUN goes on. No prompt and no answer is written down.

    Exit code: 3 not everything could be measured, 4 nothing could.
    """
    project = project_of(ctx)
    with ExitStack() as stack:
        open_door = opener(project, lambda: _front(ctx, project, playbook, node, stack))
        if resume is not None:
            if targets or only or name:
                raise UsageError("--resume goes on with the run as it is", hint="leave out --target, --only, --name")
            folder, found_run = run_named(project, resume)
            asked, found = suite_of_run(project, found_run), again(found_run.head.targets, open_door)
            most = found_run.ceiling_pico if ceiling is None else _pico(ceiling)
            most = _pico(_CEILING) if most is None else most  # it was killed before it wrote its own down
            _check(found, most, allow_unknown_price=allow_unknown_price)
        else:
            if not targets:
                raise UsageError("whom to ask?", hint="--target fleet=ROUTE --target api=MODEL; --help says more")
            asked = _only(load_suite(project, suite), only)
            found = prepared([target_spec(text) for text in targets], open_door)
            most = _pico(_CEILING if ceiling is None else ceiling)
            _check(found, most, allow_unknown_price=allow_unknown_price)
            folder, found_run = begun(
                project, asked, found, suite_file=suite, name=name, repeats=repeats, now=SystemClock().now()
            )
        report = _go(folder, found_run, asked, found, ceiling_pico=most, concurrency=concurrency)
    _show(report, as_json=as_json, markdown=False)
    ctx.exit(_exit_code(report))


@harness.command()
@click.argument("run_name", metavar="[RUN]", default="last")
@click.option("--markdown", is_flag=True, help="Markdown on stdout.")
@json_option
@click.pass_context
def report(ctx: click.Context, run_name: str, markdown: bool, as_json: bool) -> None:
    """Show what the run RUN found; without it, the one begun last.

    Shares come with their 95 % intervals (Wilson's). Exit code: 3 when something of it is missing.
    """
    _, found = run_named(project_of(ctx), run_name)
    told = report_of_run(found)
    _show(told, as_json=as_json, markdown=markdown)
    ctx.exit(0 if told.complete else _PARTIAL)


@harness.command()
@json_option
@click.pass_context
def runs(ctx: click.Context, as_json: bool) -> None:
    """List all runs, the one begun last first."""
    base = runs_folder(project_of(ctx))
    found = [report_of_run(read_run(base / name)) for name in runs_in(base)]
    if as_json:
        print_json([msgspec.to_builtins(one) for one in found])
        return
    for one in found:
        shares = ", ".join(
            f"{target.name} {target.passed.hits:g}/{target.passed.count}" if target.measured else f"{target.name} -"
            for target in one.targets
        )
        click.echo(f"{one.run}  {one.suite}  {shares}" + ("" if one.complete else "  (incomplete)"))
    if not found:
        narrate("no run yet: fleet harness run makes one")


@harness.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@json_option
@click.pass_context
def compare(ctx: click.Context, a: str, b: str, as_json: bool) -> None:
    """Say whether B should take the place of A.

    The word is promote, hold or demote. A and B are RUN:TARGET, or RUN where it has one target; `last` is the run
    begun last. Both answered the same prompts, so each prompt is compared with itself. Exit code: 1 when too little
    was measured for a verdict.
    """
    project = project_of(ctx)
    verdict = compared(_measured(project, a), _measured(project, b))
    if as_json:
        print_json(msgspec.to_builtins(verdict))
    else:
        from rich.console import Console

        console = Console()
        show(verdict_view(verdict, unicode=unicode_of(console)), console)
    ctx.exit(1 if verdict.word is Word.NO_VERDICT else 0)


def _go(
    folder: Path, run: Run, suite: Suite, found: Prepared, *, ceiling_pico: int | None, concurrency: int
) -> HarnessReport:
    """Ask what is missing; what is there afterwards."""
    if run.missing:
        with closing(RunBook(folder)) as book, HarnessProgress(run, bars=sys.stderr.isatty()) as progress:
            session = Session(
                run=read_run(folder),  # now that nobody else writes it
                suite=suite,
                doors=found.doors,
                absent=found.absent,
                learned=found.learned,
                book=book,
                clock=SystemClock(),
                tell=progress.tell,
                ceiling_pico=ceiling_pico,
                concurrency=concurrency,
                interrupted=lambda: progress.say("finishing what is in flight; ^C again leaves it"),
            )
            with suppress(KeyboardInterrupt):  # the report says how to go on
                session.go()
    return report_of_run(read_run(folder))


def _front(ctx: click.Context, project: Project, playbook: str, node: str | None, stack: ExitStack) -> Door:
    """The door of the front; it is closed with `stack`."""
    from fleet.control.actions.ask import door_of
    from fleet.control.actions.harnessdoor import FrontDoor
    from fleet.control.actions.playbooks import playbook_of
    from fleet.control.inventory import load_inventory

    inventory = load_inventory(project, overrides=overrides_of(ctx))
    door = door_of(inventory, playbook_of(project, playbook), project, node=node)
    link = stack.enter_context(closing(link_of(ctx)))
    return stack.enter_context(closing(FrontDoor(door, link=link, base=project.root)))


def _only(suite: Suite, names: tuple[str, ...]) -> Suite:
    if not names:
        return suite
    known = {prompt.id for prompt in suite.prompts} | {prompt.category for prompt in suite.prompts}
    if unknown := [name for name in names if name not in known]:
        categories = ", ".join(dict.fromkeys(prompt.category for prompt in suite.prompts))
        raise UsageError(f"the suite has no prompt and no category {unknown[0]!r}", hint=f"categories: {categories}")
    return suite.only(frozenset(names))


def _check(found: Prepared, ceiling_pico: int | None, *, allow_unknown_price: bool) -> None:
    check_doors(found)
    if not allow_unknown_price:
        check_ceiling(found, ceiling_pico)


def _pico(text: str) -> int:
    try:
        amount = pico(text)
    except NotMoney as problem:
        raise UsageError(f"--ceiling: {problem}") from None
    if amount < 0:
        raise UsageError("--ceiling is less than nothing")
    return amount


def _measured(project: Project, text: str) -> Measured:
    name, _, target = text.partition(":")
    _, found = run_named(project, name)
    names = [one.name for one in found.head.targets]
    if not target and len(names) > 1:
        raise UsageError(f"which target of {found.head.run}?", hint=f"{name}:TARGET, of {', '.join(names)}")
    return measured(found, target or names[0])


def _show(report: HarnessReport, *, as_json: bool, markdown: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(report))
    elif markdown:
        click.echo("\n".join(markdown_of(report)))
    else:
        from rich.console import Console

        console = Console()
        show(report_view(report, unicode=unicode_of(console), width=console.width), console)


def _exit_code(report: HarnessReport) -> int:
    if report.complete:
        return 0
    return _PARTIAL if any(target.measured for target in report.targets) else _UNREACHABLE
