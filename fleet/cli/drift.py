"""`fleet drift`: what on nodes is not as their own release says."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from fleet.cli.context import narrate, print_json
from fleet.cli.nodewords import asking_of, exit_code_of, harmless
from fleet.cli.place import Place
from fleet.control.actions.asking import Answer
from fleet.control.actions.drift import Drift, Drifted, drifts, shown_as
from fleet.control.rollout.plan import named
from fleet.control.watch.runwords import share_text
from fleet.vocabulary.contracts.codec import plain
from fleet.vocabulary.contracts.sync import Progress
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.units import bytes_text

_EXIT_CHANGES = 5
_TOLD_EVERY_SECONDS = 5.0


@click.command()
@click.argument("names", nargs=-1, metavar="[NODE]...")
@click.option("--on", metavar="SELECTOR", help="These nodes: names, groups, @tags, mem_gb>=64, !not.")
@click.option("--verify", is_flag=True, help="Also read and hash every file of envs, models and programs.")
@click.option("--exit-code", is_flag=True, help="Exit 5 when something drifted.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def drift(
    ctx: click.Context, names: tuple[str, ...], on: str | None, verify: bool, exit_code: bool, as_json: bool
) -> None:
    """Show what on nodes is not as their own live release says, and who wrote it last; change nothing.

    No inventory or playbook is compiled: a node is compared with what was deployed to it. fleet deploy mends drift.

    Exit code: 0 done; 5 something drifted (--exit-code); 3 some nodes failed; 4 none was reached.
    """
    place = Place.of(ctx, names, on)
    nodes = place.nodes
    found: list[Answer[Drifted]] = []
    if verify:
        narrate("reading every file of the live releases: that takes minutes where models are large")
    with asking_of(ctx, place.project) as asking:
        for answer in drifts(nodes, asking, verify=verify, told=_Reading(narrate, now=time.monotonic)):
            found.append(answer)
            if verify and answer.said is not None:
                narrate(f"{answer.node}: done, {len(found)} of {len(nodes)}")
    answers = place.in_order(found)
    if as_json:
        print_json([_document(one) for one in answers])
    for answer in answers:
        if answer.error is not None:
            narrate(answer.error.text)
        elif not as_json:
            for line in lines(answer):
                click.echo(harmless(line))
    code = exit_code_of([one.error for one in answers if one.error], asked=len(nodes))
    if not code and exit_code and any(one.said and not one.said.clean for one in answers):
        code = _EXIT_CHANGES
    ctx.exit(code)


class _Reading:
    """Tells how far the walk over a node's files is, now and then."""

    def __init__(self, tell: Callable[[str], None], *, now: Callable[[], float]) -> None:
        self._tell = tell
        self._now = now
        self._last: dict[str, float] = {}

    def __call__(self, node: NodeName, progress: Progress) -> None:
        """A walk of a few seconds says nothing."""
        now = self._now()
        if now - self._last.setdefault(node, now) >= _TOLD_EVERY_SECONDS and progress.total:
            self._last[node] = now
            what = harmless(named(progress.what, ""))
            self._tell(f"{node}: reads {what}, {share_text(progress.done, progress.total)}")


def lines(answer: Answer[Drifted]) -> list[str]:
    """What is said of one node."""
    said = answer.said
    if said is None or said.release is None:
        return [f"{answer.node}: nothing was deployed"]
    walked = said.verified
    read = f", {walked.files} files read ({bytes_text(walked.size_bytes)})" if walked else ""
    count = len(said.drifts) + (len(walked.flaws) if walked else 0)
    what = f"{count} thing{'s' if count != 1 else ''} drifted" if count else "as deployed"
    told = [f"{answer.node}: {what} (release {said.release[:12]}{read})"]
    told += [f"  {'?' if one.may else '~'} {_drift(one, said.root)}" for one in said.drifts]
    if walked:
        told += [f"  ~ {named(one.key, said.root)}: {one.path} {one.why}" for one in walked.flaws]
        told += [f"  · {named(key, said.root)}: not told: an older fleet staged it" for key in walked.unknown]
    return told


def _drift(one: Drift, root: str) -> str:
    text = f"{named(one.key, root)}: {shown_as(one)}"
    if one.written is not None:
        at = datetime.fromtimestamp(one.written.at_seconds, UTC)
        text += f" · written {at:%Y-%m-%d %H:%M:%S} UTC, owner {one.written.owner or 'unknown'}"
    return text


def _document(answer: Answer[Drifted]) -> dict[str, Any]:
    said = answer.said
    if answer.error is not None or said is None:
        return {"node": answer.node, "error": answer.error.text if answer.error else "no answer"}
    return {
        "node": answer.node,
        "release": said.release,
        "clean": said.clean,
        "drifts": [{**plain(one), "what": shown_as(one)} for one in said.drifts],
        "verified": plain(said.verified) if said.verified else None,
    }
