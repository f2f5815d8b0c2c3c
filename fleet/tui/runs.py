"""Runs as lines: when, how it stands, what, how many nodes ended how, who. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from types import MappingProxyType

from fleet.control.actions.runlist import GOING_ON, LEFT, WELL, RunRow, last_to_change
from fleet.control.actions.runs import going_on_words
from fleet.control.watch.runwords import OUTCOMES
from fleet.control.watch.statewords import Told, Tone
from fleet.tui.actions import UNDO
from fleet.tui.fleet_screen import Aim
from fleet.tui.lines import Cell, Painter
from fleet.tui.words import advice, cropped, fit, holds
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.units import seconds_text

STATES = MappingProxyType(
    {
        GOING_ON: Told("▶", ">", "going on", Tone.INTENT),
        LEFT: Told("◌", "~", "left", Tone.WARN),
        WELL: Told("●", "+", "well", Tone.OK),
        "not well": Told("■", "X", "not well", Tone.CRITICAL),
    }
)
_WHEN, _STATE, _TOOK, _WHAT, _WHO = 11, 10, 8, 20, 18
_WIDE = 100
_NAMED = 3


class Runs(Painter[RunRow]):
    """Paints runs."""

    def __init__(self, *, unicode: bool) -> None:
        self._unicode = unicode

    def key(self, row: RunRow) -> Hashable:
        """See Painter."""
        return row.run_id

    def header(self, width: int) -> Sequence[Cell]:
        """See Painter."""
        parts = [("BEGAN (UTC)", _WHEN), ("STATE", _STATE), ("TOOK", _TOOK), ("WHAT", _WHAT)]
        parts += [("WHO", _WHO)] if width >= _WIDE else []
        return [Cell(fit("  " + " ".join(title.ljust(room) for title, room in parts) + " NODES", width), "header")]

    def cells(self, row: RunRow, width: int) -> Sequence[Cell]:
        """See Painter."""
        state, plain = STATES[row.word], Tone.PLAIN.value
        took = row.took_seconds
        cells = [
            Cell("  "),
            Cell(fit(f"{row.began:%m-%d %H:%M}" if row.began else "-", _WHEN) + " ", plain),
            Cell(fit(state.text(unicode=self._unicode), _STATE) + " ", state.tone.value),
            Cell(fit("-" if took is None else seconds_text(took), _TOOK) + " ", Tone.DIM.value),
            Cell(fit(what_of(row), _WHAT) + " ", plain),
        ]
        if width >= _WIDE:
            cells.append(Cell(fit(row.record.operator, _WHO) + " ", Tone.DIM.value))
        rest = max(0, width - sum(len(cell.text) for cell in cells))
        return [*cells, Cell(fit(counts_text(row), rest), plain)]

    def column_at(self, x: int, width: int) -> str | None:  # noqa: ARG002 (Painter's)
        """See Painter: runs have one order."""
        return None


def what_of(row: RunRow) -> str:
    """What it does: the command and its playbook."""
    return f"{row.record.action} {row.record.playbook}"


def counts_text(row: RunRow) -> str:
    """How many nodes ended how, the worst first; of a run without an end, how many of all."""
    ended = ", ".join(f"{count} {outcome}" for outcome, count in reversed(row.counts.items()))
    if row.word in (GOING_ON, LEFT):
        return f"{len(row.record.outcomes)} of {len(row.nodes)}" + (f": {ended}" if ended else "")
    return ended or "nothing yet"


def shown(rows: Iterable[RunRow], sought: str) -> list[RunRow]:
    """The runs that say what is sought: words that must all hold, a `!` in front turns one around."""
    return [row for row in rows if holds(_said(row), sought)]


def run_lines(row: RunRow | None, *, last: bool, width: int, height: int, unicode: bool) -> list[list[Cell]]:
    """What one run says: who, what, which nodes are not as they should be and why, what to do. `last`: of all."""
    if row is None:
        return []
    record, state = row.record, STATES[row.word]
    lines = [
        [
            Cell(f"{what_of(row)} ", "bold"),
            Cell(state.text(unicode=unicode), state.tone.value),
            Cell(f"  {counts_text(row)}", Tone.PLAIN.value),
        ],
        [Cell(f"  {row.run_id}  by {record.operator}  fleet {record.fleet_version}", Tone.DIM.value)],
    ]
    do = advice(_advice(row, last=last), width)
    room = max(0, height - len(lines) - len(do))
    sick = [_ended(row, node, unicode=unicode) for node in row.sick]
    others = [_together(row, outcome, unicode=unicode) for outcome in ("changed", "unchanged")]
    middle = [*sick, *(line for line in others if line)]
    if len(middle) > room:
        more = len(middle) - room + 1
        middle = [*middle[: max(0, room - 1)], [Cell(f"  and {more} more: enter shows all", Tone.DIM.value)]]
    return [*(cropped(cells, width) for cells in [*lines, *middle]), *do][:height]


def aim_of(row: RunRow | None, known: tuple[RunRow, ...], verb: str) -> Aim:
    """What a verb about a run would be about: going on with one that was left, undoing the last that changed nodes."""
    if row is None:
        return Aim()
    says = f"{row.run_id}  {row.word}  {what_of(row)}  by {row.record.operator}"
    if verb == f"{row.record.action} --resume" and row.word == LEFT:
        return Aim(row.run_id, says)
    if verb == UNDO and row.word != GOING_ON:
        nodes = last_to_change(known, row)
        return Aim(",".join(nodes), says) if nodes else Aim()
    return Aim()


def _ended(row: RunRow, node: NodeName, *, unicode: bool) -> list[Cell]:
    state = OUTCOMES[row.record.outcomes[node]]
    why = row.record.why.get(node, "")
    return [
        Cell(f"  {node} ", "bold"),
        Cell(state.text(unicode=unicode), state.tone.value),
        Cell(f"  {why}", Tone.PLAIN.value),
    ]


def _together(row: RunRow, word: str, *, unicode: bool) -> list[Cell]:
    """Nodes that ended alike and well, named when they are few."""
    nodes = [node for node, outcome in row.record.outcomes.items() if outcome == word]
    if not nodes:
        return []
    state = OUTCOMES[row.record.outcomes[nodes[0]]]
    named = ", ".join(nodes[:_NAMED]) + (f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else "")
    return [Cell("  "), Cell(state.text(unicode=unicode), state.tone.value), Cell(f"  {named}", Tone.PLAIN.value)]


def _advice(row: RunRow, *, last: bool) -> str:
    return {
        GOING_ON: "enter follows it",
        LEFT: f"{going_on_words(row.record)} goes on with it",
        "not well": "fleet deploy --failed" if last else "a later run may have mended it: enter shows its nodes",
    }.get(row.word, "")


def _said(row: RunRow) -> str:
    record = row.record
    parts = [row.run_id, row.word, what_of(row), record.operator, *row.nodes, *map(str, row.counts)]
    return "\n".join([*parts, *record.why.values()]).lower()
