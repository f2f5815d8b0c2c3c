"""A plan as a person reads it, and as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from fleet.control.rollout.batches import Batch
from fleet.control.rollout.plan import Change, NodePlan, named, plan_id
from fleet.vocabulary.argv import quote
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.units import bytes_text

_NAME_WIDTH = 48
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_COLOURS = {"+": "green", "-": "red", "~": "yellow", "?": "magenta"}
_WORDS = {
    "bootstrap": "start",
    "rebootstrap": "restart",
    "restart": "restart",
    "reload": "reload",
    "bootout": "stop",
    "cure": "start again",
    "run": "run",
    "wait": "wait",
}


def print_plan(
    console: Console, plans: Mapping[NodeName, NodePlan], order: Sequence[Batch], *, commands: bool = False
) -> None:
    """Every node with its changes and diffs, then what it amounts to. `commands` adds what will be typed there."""
    width = max((len(_noun(change, plan)) for plan in plans.values() for change in plan.changes), default=0)
    width = min(width, _NAME_WIDTH)
    for node, plan in plans.items():
        console.print(_headline(node, plan), highlight=False)
        if plan.bad:
            why = plan.bad.partition("\n")[0]
            console.print(Text(f"  ! this very state failed here before: {why}", style="yellow"), soft_wrap=True)
        for change in plan.changes:
            console.print(_line(change, plan, width), highlight=False, soft_wrap=True)
            for line in change.diff:
                shown = Text(f"        {_short(line, plan.root)}", style=_diff_style(line))
                console.print(shown, highlight=False, soft_wrap=True)
            if commands:
                for words in change.step.commands:
                    console.print(Text(f"        $ {quote(words)}", style="dim"), highlight=False, soft_wrap=True)
    console.print(_summary(plans, order), highlight=False)


def plan_json(plans: Mapping[NodeName, NodePlan], order: Sequence[Batch]) -> dict[str, Any]:
    """The plan for programs; schema 1."""
    return {
        "schema": 1,
        "plan": plan_id(plans),
        "changes": any(not plan.idle for plan in plans.values()),
        "nodes": {
            node: {
                "state_id": plan.state_id,
                "send_bytes": plan.send_bytes,
                "failed_before": plan.bad,
                "daemons": list(plan.touches),
                "changes": [
                    {
                        "key": change.step.key,
                        "kind": change.step.kind_of,
                        "action": change.step.action,
                        "task": change.step.task,
                        "reason": change.step.reason,
                        "may_change": change.step.may,
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


def _headline(node: str, plan: NodePlan) -> Text:
    text = Text(node, style="bold")
    if plan.idle:
        return text.append("  nothing to do", style="dim not bold")
    count = len(plan.changes)
    text.append(f"  {count} change{'s' if count != 1 else ''}", style="not bold")
    if plan.send_bytes:
        text.append(f" · {bytes_text(plan.send_bytes)} to send", style="dim not bold")
    return text


def _noun(change: Change, plan: NodePlan) -> str:
    return named(change.step.key, plan.root)


def _line(change: Change, plan: NodePlan, width: int) -> Text:
    step = change.step
    word = _WORDS.get(step.action, "")
    what = ": ".join(part for part in (word, step.reason) if part)
    text = Text("  ").append(change.mark, style=_COLOURS[change.mark]).append(f" {_noun(change, plan):<{width}}")
    if what:
        text.append(f"  {what}", style="bold" if step.action in _WORDS else "")
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


def _summary(plans: Mapping[NodeName, NodePlan], order: Sequence[Batch]) -> Text:
    busy = [plan for plan in plans.values() if not plan.idle]
    if not busy:
        return Text(f"{len(plans)} node{'s' if len(plans) != 1 else ''}, nothing to do", style="green")
    daemons = sum(len(plan.touches) for plan in busy)
    sent = sum(plan.send_bytes for plan in busy)
    parts = [f"{len(busy)} of {len(plans)} nodes change", f"{daemons} daemon{'s' if daemons != 1 else ''} touched"]
    if sent:
        parts.append(f"{bytes_text(sent)} to send")
    steps = " → ".join((", ".join(batch.nodes) + (" (canary)" if batch.canary else "")) for batch in order)
    return Text(f"\n{' · '.join(parts)}\n", style="bold").append(f"order: {steps}", style="not bold dim")
