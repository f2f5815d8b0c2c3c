"""A plan as a person reads it, and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from fleet.cli.hang import hang
from fleet.cli.lines import names_text
from fleet.control.rollout.batches import Batch
from fleet.control.rollout.plan import Change, NodePlan, named, plan_id
from fleet.control.rollout.terms import Origin
from fleet.control.watch.runwords import STEPS
from fleet.vocabulary.argv import quote
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.units import bytes_text, seconds_text

_WIDE = 40  # a longer name does not push everything to the right
_ORDER = "order: "
_FROM = "from:  "
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_COLOURS = {"+": "green", "-": "red", "~": "yellow", "?": "magenta"}


def print_plan(
    console: Console,
    plans: Mapping[NodeName, NodePlan],
    order: Sequence[Batch],
    *,
    commands: bool = False,
    origin: Origin | None = None,
) -> None:
    """What changes where, with diffs, then what it amounts to. `commands` adds what will be typed there.

    Nodes that change alike are told together. `origin` is the git commit that this was made from.
    """
    if all(plan.idle for plan in plans.values()):
        if plans:
            console.print(Text(nothing_to_do(plans), style="green"))
        return
    width = max(
        (len(noun) for plan in plans.values() for c in plan.changes if len(noun := _noun(c, plan)) <= _WIDE), default=0
    )
    alike: dict[tuple[str, ...], list[NodePlan]] = {}
    for plan in plans.values():
        lines = [_headline(plan), *(line.text for line in _lines(plan, width=width, commands=commands))]
        alike.setdefault(tuple(line.plain for line in lines), []).append(plan)
    for same in alike.values():
        head = Text(names_text([plan.node for plan in same]), style="bold").append("  ")
        head.append_text(_headline(same[0])).append(
            " each" if len(same) > 1 and same[0].send_bytes else "", style="dim not bold"
        )
        hang(console, head, indent=2)
        for line in _lines(same[0], width=width, commands=commands):
            hang(console, line.text, indent=line.indent)
    hang(console, Text(f"\n{_sum(plans)}", style="bold"))
    if order:
        hang(console, _order(order), indent=len(_ORDER))
    if origin and origin.commit:
        dirty = ", with changes that are not committed" if origin.dirty else ""
        hang(console, Text(f"{_FROM}git {origin.commit[:12]}{dirty}", style="dim"), indent=len(_FROM))


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line of a plan; where it is too long for the terminal it goes on `indent` further in."""

    text: Text
    indent: int = 0


def plan_json(
    plans: Mapping[NodeName, NodePlan], order: Sequence[Batch], *, origin: Origin | None = None
) -> dict[str, Any]:
    """The plan for programs; schema 1."""
    return {
        "schema": 1,
        "plan": plan_id(plans),
        "changes": any(not plan.idle for plan in plans.values()),
        "git_commit": origin.commit if origin else None,
        "git_dirty": origin.dirty if origin else None,
        "nodes": {
            node: {
                "state_id": plan.state_id,
                "send_bytes": plan.send_bytes,
                "release": plan.current,
                "failed_before": plan.bad,
                "refused": [refusal.title for refusal in plan.refusals],
                "notes": list(plan.notes),
                "daemons": list(plan.touches),
                "changes": [
                    {
                        "key": change.step.key,
                        "kind": change.step.kind_of,
                        "action": change.step.action,
                        "task": change.step.task,
                        "reason": change.step.reason,
                        "may_change": change.step.may,
                        "drain_seconds": change.drain_seconds,
                        "reverted": change.step.reverted,
                        "commands": [quote(words) for words in change.step.commands],
                        "diff": list(change.diff),
                    }
                    for change in plan.changes
                ],
            }
            for node, plan in plans.items()
        },
        "batches": [{"play": batch.play, "nodes": list(batch.nodes), "canary": batch.canary} for batch in order],
    }


def _headline(plan: NodePlan) -> Text:
    if plan.idle:
        return Text("nothing to do", style="dim not bold")
    count = len(plan.changes)
    text = Text(f"{count} change{'s' if count != 1 else ''}", style="not bold")
    if plan.send_bytes:
        text.append(f" · {bytes_text(plan.send_bytes)} to send", style="dim not bold")
    return text


def _lines(plan: NodePlan, *, width: int, commands: bool) -> Iterator[_Line]:
    if plan.bad:
        why = plan.bad.partition("\n")[0]
        yield _Line(text=Text(f"  ! this very state failed here before: {why}", style="yellow"), indent=4)
    for refusal in plan.refusals:
        yield _Line(text=Text(f"  ! deploy leaves it alone: {refusal.title}", style="red"), indent=4)
        for line in refusal.detail.splitlines():
            yield _Line(text=Text(f"      {line}", style="red"), indent=8)
        for line in refusal.hint.splitlines():
            yield _Line(text=Text(f"      hint: {line}", style="yellow"), indent=12)
    for note in plan.notes:
        yield _Line(text=Text(f"  ! {note}", style="yellow"), indent=4)
    for change in plan.changes:
        yield _Line(text=_line(change, plan, width), indent=4)
        for line in change.diff:
            yield _Line(text=Text(f"        {_short(line, plan.root)}", style=_diff_style(line)), indent=10)
        if commands:
            for words in change.step.commands:
                yield _Line(text=Text(f"        $ {quote(words)}", style="dim"), indent=10)


def _noun(change: Change, plan: NodePlan) -> str:
    """What changes; of settings the kind alone, since the diff names them."""
    kind = change.step.key.partition(":")[0]
    return kind if kind in ("pmset", "sysctl") and change.diff else named(change.step.key, plan.root)


def _line(change: Change, plan: NodePlan, width: int) -> Text:
    step = change.step
    word = STEPS.get(step.action, "")
    what = ": ".join(part for part in (word, _short(step.reason, plan.root)) if part)
    text = Text("  ").append(change.mark, style=_COLOURS[change.mark]).append(f" {_noun(change, plan):<{width}}")
    if what:
        text.append(f"  {what}", style="bold" if step.action in STEPS else "")
    elif not step.may and step.reverted:
        text.rstrip()
    if change.drain_seconds:
        text.append(f"  (drained first, {seconds_text(change.drain_seconds)} at most)", style="dim")
    if step.may:
        text.append("  (may change)", style="magenta")
    if not step.reverted:
        text.append("  (not reverted)", style="magenta")
    return text


def _short(line: str, root: str) -> str:
    """A diff's line without what a reader skips: the node's root, and most of a digest."""
    return _DIGEST.sub(r"\1…", line.replace(f"{root}/", "") if root else line)


def _diff_style(line: str) -> str:
    return {"+": "green", "-": "red"}.get(line[:1], "dim" if line.startswith(("@", "(")) else "")


def nothing_to_do(plans: Mapping[NodeName, NodePlan]) -> str:
    """What there is to say when no node changes."""
    return f"{len(plans)} node{'s' if len(plans) != 1 else ''}, nothing to do"


def _sum(plans: Mapping[NodeName, NodePlan]) -> str:
    busy = [plan for plan in plans.values() if not plan.idle]
    daemons = sum(len(plan.touches) for plan in busy)
    sent = sum(plan.send_bytes for plan in busy)
    parts = [
        f"{len(busy)} of {len(plans)} node{'s' if len(plans) != 1 else ''} change{'s' if len(busy) == 1 else ''}",
        f"{daemons} daemon{'s' if daemons != 1 else ''} touched",
    ]
    if sent:
        parts.append(f"{bytes_text(sent)} to send")
    return " · ".join(parts)


def _order(order: Sequence[Batch]) -> Text:
    steps = " → ".join(names_text(batch.nodes) + (" (canary)" if batch.canary else "") for batch in order)
    return Text(f"{_ORDER}{steps}", style="dim")
