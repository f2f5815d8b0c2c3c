"""What is wrong, the worst node first, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import OverflowMethod, RenderableType
from rich.padding import Padding
from rich.text import Text

from fleet.cli.lines import names_text
from fleet.cli.statuswords import STYLES, badness, gone_text, state_text
from fleet.control.watch.statewords import HEALTH, INTENT
from fleet.control.watch.view import Concern, FleetView, NodeRow, Reach
from fleet.vocabulary.names import Health, Intent
from fleet.vocabulary.units import seconds_text

INDENT = (0, 0, 0, 4)
_INTENT_TEXT = {
    Intent.DRAINING: "draining: it gets no new work, and what runs may end",
    Intent.DRAINED: "drained: it gets no new work",
}
_LASTED_SECONDS = 5.0


def concern_lines(view: FleetView, *, cut: bool, unicode: bool) -> Iterator[RenderableType]:
    """Each thing that is wrong, the worst node first, and below it what to do. `cut` = one line each."""
    fold: OverflowMethod = "ellipsis" if cut else "fold"
    strangers = [row for row in view.rows if row.reach is Reach.NOT_ADOPTED]
    for row in sorted(view.rows, key=badness):
        if (len(strangers) > 1 and row in strangers) or (view.laptop_problem and row.reach is Reach.UNREACHABLE):
            continue
        found = _concerns(row)
        for index, concern in enumerate(found):
            state = state_text(row, unicode=unicode) if concern.code == row.reach else None
            own = INTENT[row.intent] if concern.code == "intent" else HEALTH[concern.health]
            mark = (state.plain if state else own.text(unicode=unicode))[0]
            style = str(state.style) if state else STYLES[own.tone]
            line = Text(f"{mark} ", style=style, no_wrap=cut, overflow=fold)
            line.append(row.node, style="bold default")
            line.append(f"  {concern.text}", style="not bold default")
            line.append(_since(concern, view.at), style="not bold dim default")
            yield line
            if concern.hint and all(after.hint != concern.hint for after in found[index + 1 : index + 2]):
                advice = (" · " if cut else "\n").join(concern.hint.split("\n"))
                yield Padding(Text(advice, style="dim", no_wrap=cut, overflow=fold), INDENT)
    if len(strangers) > 1:
        state = state_text(strangers[0], unicode=unicode)
        line = Text(f"{state.plain[0]} ", style=str(state.style), no_wrap=cut, overflow=fold)
        line.append(names_text([row.node for row in strangers]), style="bold default")
        yield line.append("  not adopted yet", style="not bold default")
        which = "--all" if len(strangers) == len(view.rows) else " ".join(row.node for row in strangers)
        yield Padding(Text(f"fleet adopt {which}", style="dim", no_wrap=cut, overflow=fold), INDENT)


def _concerns(row: NodeRow) -> tuple[Concern, ...]:
    """What to say of a row. Of a node that was not reached: why, and what it looked like last is in the table."""
    if row.reach not in (Reach.UNREACHABLE, Reach.NOT_ADOPTED):
        wanted = _INTENT_TEXT.get(row.intent)
        hint = f"fleet resume {row.node}"
        own = (Concern(code="intent", health=Health.OK, text=wanted, hint=hint),) if wanted else ()
        return (*row.concerns, *own)
    seen = "" if row.age_seconds is None else f", last seen {seconds_text(row.age_seconds)} ago"
    text = f"{row.problem or 'not reached'}{seen}"
    return (Concern(code=row.reach, health=Health.UNKNOWN, text=text, hint=row.hint or ""),)


def _since(concern: Concern, now: datetime) -> str:
    """How long it has lasted; what is new has not lasted yet."""
    if concern.gone_since is not None:
        return gone_text(concern, now)
    lasted = (now - concern.since).total_seconds() if concern.since else 0.0
    return f", for {seconds_text(lasted)}" if lasted >= _LASTED_SECONDS else ""
