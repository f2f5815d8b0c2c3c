"""One run as lines: a node each, what it does, how long, how far, and below why it failed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import replace as replaced

from fleet.control.actions.runlist import RunRow
from fleet.control.watch.masking import masked
from fleet.control.watch.runboard import Board, Row, Standing, board_of
from fleet.control.watch.runwords import OUTCOMES, event_words, far_words, meanwhile, took_text
from fleet.control.watch.statewords import Told, Tone
from fleet.tui.lines import Cell, Painter
from fleet.tui.spark import bar
from fleet.tui.words import advice, cropped, fit, folded, holds
from fleet.vocabulary.contracts.events import Phase, RunEvent
from fleet.vocabulary.names import NodeName

COUNTED = MappingProxyType(
    {
        Standing.FAILED: Told("✗", "X", "failed", Tone.CRITICAL),
        Standing.WORKS: Told("▶", ">", "at work", Tone.INTENT),
        Standing.WAITS: Told("·", ".", "waiting", Tone.DIM),
        Standing.FINE: Told("✓", "+", "done", Tone.OK),
    }
)
_NODE, _STATE, _TOOK, _BAR = 16, 13, 8, 10
ROOMY = 100
_LAST_EVENTS = 12
_MOST_WHAT = 3
_WAITS = Told("·", ".", "waits", Tone.DIM)
_NOT_STARTED = Told("·", ".", "not started", Tone.DIM)
_LOOKING = (Phase.CONNECT, Phase.CHECK)
_UNDER_WAY = Told("◌", "~", "under way", Tone.WARN)


@dataclass(frozen=True, kw_only=True)
class Story:
    """What is known of a run by its events. `tails` are the last events of each node, the newest last."""

    board: Board
    tails: Mapping[str, tuple[RunEvent, ...]] = field(default_factory=dict)

    def after(self, events: Iterable[RunEvent]) -> Story:
        """The story when these have happened. Time is that of the events."""
        board, tails = self.board, dict(self.tails)
        for event in events:
            board = board.after(event, seconds_of(event))
            if event.node and event.status != "progress" and (event.text or event.outcome):
                tails[event.node] = (*tails.get(event.node, ()), event)[-_LAST_EVENTS:]
        return replace(self, board=board, tails=tails)


class NodeLine(NamedTuple):
    """A node of a run as it is shown."""

    node: str
    state: Told
    took: str
    ratio: float | None
    words: str
    tone: Tone
    standing: Standing


class RunNodes(Painter[NodeLine]):
    """Paints the nodes of a run."""

    def __init__(self, *, unicode: bool) -> None:
        self._unicode = unicode

    def key(self, row: NodeLine) -> Hashable:
        """See Painter."""
        return row.node

    def header(self, width: int) -> Sequence[Cell]:
        """See Painter."""
        titles = f"  {'NODE':<{_NODE}} {'STATE':<{_STATE}} {'TOOK':>{_TOOK}}  WHAT"
        return [Cell(fit(titles, width), "header")]

    def cells(self, row: NodeLine, width: int) -> Sequence[Cell]:
        """See Painter."""
        cells = [
            Cell("  "),
            Cell(fit(row.node, _NODE) + " ", Tone.PLAIN.value),
            Cell(fit(row.state.text(unicode=self._unicode), _STATE) + " ", row.state.tone.value),
            Cell(fit(row.took, _TOOK).rstrip().rjust(_TOOK) + "  ", Tone.DIM.value),
        ]
        if row.ratio is not None:
            cells.append(Cell(bar(row.ratio, width=_BAR, unicode=self._unicode) + "  ", Tone.INTENT.value))
        rest = max(0, width - sum(len(cell.text) for cell in cells))
        return [*cells, Cell(fit(row.words.replace("\n", " "), rest), row.tone.value)]

    def column_at(self, x: int, width: int) -> str | None:  # noqa: ARG002 (Painter's)
        """See Painter: the worst is first."""
        return None


def story_of(row: RunRow) -> Story:
    """The story before any event was read."""
    return Story(board=board_of(row.nodes))


def node_lines(
    story: Story, run: RunRow, now: float, *, sought: str = "", roomy: bool, known: Iterable[NodeLine] = ()
) -> list[NodeLine]:
    """A line a node, the worst first. One that says the same as in `known` is that very object.

    `now` is in seconds since 1970. What a journal does not tell (it was pruned, or is of another laptop) the record
    does: how a node ended.
    """
    before = {line.node: line for line in known}
    lines = []
    for row in story.board.rows.values():
        line = _line(row, run, now, roomy=roomy)
        if holds(f"{line.node}\n{line.state.word}\n{line.words}".lower(), sought):
            kept = before.get(line.node)
            lines.append(kept if kept == line else line)
    return sorted(lines, key=lambda line: line.standing)


def counted(lines: Iterable[NodeLine]) -> list[tuple[Told, int]]:
    """How many nodes do how, the worst first: those that ended by how, the others by what they do."""
    ended = {told.word for told in OUTCOMES.values()}
    numbers: Counter[tuple[Standing, Told]] = Counter()
    for line in lines:
        numbers[line.standing, line.state if line.state.word in ended else COUNTED[line.standing]] += 1
    return [(told, count) for (_, told), count in sorted(numbers.items(), key=lambda one: one[0][0])]


def node_story(
    story: Story, line: NodeLine | None, run: RunRow, *, width: int, height: int, unicode: bool
) -> list[list[Cell]]:
    """What one node says: why it failed with the last lines of what failed, what to do; else what it did last.

    Of what does not fit the beginning goes: neither the last lines nor what to do.
    """
    if line is None:
        return []
    row = story.board.rows.get(line.node, Row(name=line.node))
    head = [
        Cell(f"{line.node} ", "bold"),
        Cell(line.state.text(unicode=unicode), line.state.tone.value),
        Cell(f"  {line.took}" if line.took else "", Tone.DIM.value),
    ]
    why = row.why
    if why is None:
        last = [_event_line(event) for event in story.tails.get(line.node, ())]
        said = run.record.why.get(NodeName(line.node), "")
        body = last or ([[Cell(f"  {said}", Tone.PLAIN.value)]] if said else [])
        return [cropped(cells, width) for cells in [head, *body[-(height - 1) :]]]
    do = advice(why.hint, width)
    *before, words = _event_line(why)
    what = folded(before, words, width)[:_MOST_WHAT]
    detail = [cropped([Cell(f"  {one}", Tone.DIM.value)], width) for one in why.detail.splitlines()]
    room = max(0, height - 1 - len(what) - len(do))
    if len(detail) > room:
        cut = len(detail) - room + 1
        detail = [[Cell(f"  ({cut} lines before these)", Tone.DIM.value)], *detail[cut:]] if room > 1 else []
    return [cropped(head, width), *what, *detail, *do][:height]


def without_secrets(event: RunEvent) -> RunEvent:
    """The event as it may be shown: it holds last words of services."""
    texts = {name: masked(text) for name in ("text", "detail", "hint") if (text := getattr(event, name))}
    return event if all(getattr(event, name) == text for name, text in texts.items()) else replaced(event, **texts)


def seconds_of(event: RunEvent) -> float:
    """When it happened, in seconds since 1970; 0 when nobody can say."""
    try:
        return datetime.fromisoformat(event.at).timestamp()
    except ValueError:
        return 0.0


def _event_line(event: RunEvent) -> list[Cell]:
    failed = event.status == "failed"
    at = event.at[11:19]
    words = event_words(event) or (str(event.outcome) if event.outcome else "")
    tone = Tone.CRITICAL if failed else Tone.PLAIN
    return [Cell(f"  {at}  ", Tone.DIM.value), Cell(f"{event.phase}  ", Tone.DIM.value), Cell(words, tone.value)]


def _line(row: Row, run: RunRow, now: float, *, roomy: bool) -> NodeLine:
    event, live = row.event, run.live
    name = NodeName(row.name)
    ended = run.record.outcomes.get(name)
    if event is None or (event.outcome is None and not live and ended is not None):
        if ended is not None:
            return _ended(row, OUTCOMES[ended], "", run.record.why.get(name, ""))
        state = _WAITS if live else _NOT_STARTED
        return NodeLine(row.name, state, "", None, "", Tone.DIM, Standing.WAITS)
    if event.outcome:
        return _ended(row, OUTCOMES[event.outcome], took_text(row.seconds(now)), event.text)
    if not live:
        words = "it finishes by itself" if name in run.record.walk.away else event_words(event)
        return NodeLine(row.name, _UNDER_WAY, "", None, words, Tone.PLAIN, Standing.WORKS)
    if event.phase in _LOOKING and event.status == "ok":
        return NodeLine(row.name, _WAITS, "", None, "for its turn", Tone.DIM, Standing.WAITS)
    flow, words = row.flow, event_words(event)
    state = Told("▶", ">", str(event.phase), Tone.CRITICAL if row.trouble else Tone.INTENT)
    took = took_text(max(0.0, row.seconds(now)))
    if flow.total:
        far = far_words(flow, words, now, roomy=roomy, between=" · ")
        return NodeLine(row.name, state, took, min(1.0, flow.done / flow.total), far, Tone.PLAIN, row.standing)
    tone = Tone.CRITICAL if event.status == "failed" else Tone.PLAIN if words else Tone.DIM
    return NodeLine(row.name, state, took, None, words or meanwhile(event.phase), tone, row.standing)


def _ended(row: Row, state: Told, took: str, words: str) -> NodeLine:
    standing = Standing.FINE if state.tone in (Tone.OK, Tone.DIM) and state.word != "skipped" else Standing.FAILED
    return NodeLine(
        row.name, state, took, None, words, Tone.PLAIN if standing is Standing.FAILED else Tone.DIM, standing
    )
