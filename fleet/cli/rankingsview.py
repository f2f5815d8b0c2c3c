"""A week's ranking and what it changes, as tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.practice.rankings.amounts import shown_percent, shown_tokens
from fleet.practice.rankings.diff import TOKENIZERS, RankingDiff, moved
from fleet.practice.rankings.finding import Kind, WowFrom
from fleet.practice.rankings.pairing import Move
from fleet.practice.rankings.week import Week
from fleet.practice.tickets.change import Do, RouteChange
from fleet.practice.tickets.store import Filed, Outcome
from fleet.practice.tickets.ticket import ALREADY, State, Ticket
from fleet.practice.tickets.wording import short

_FILED = {Filed.NEW: "yellow", Filed.REOPENED: "yellow", Filed.UPDATED: "cyan", Filed.SAME: "dim"}


def ranking_screen(found: RankingDiff, *, unicode: bool, every: bool) -> RenderableType:
    """One week, rank by rank; with what is known of the week before."""
    moves = [one for one in found.moves if one.now is not None and (every or one.in_top or one.ours)]
    return Group(_head(found), _table(found, moves, unicode=unicode), *_foot(found, ()))


def diff_screen(found: RankingDiff, filed: Sequence[Outcome], *, unicode: bool, dry_run: bool) -> RenderableType:
    """The week against the one before, and the tickets of it."""
    parts: list[RenderableType] = [_head(found), _table(found, found.watched, unicode=unicode)]
    if filed:
        parts += [Text(""), tickets_table(filed)]
    return Group(*parts, *_foot(found, tuple(_next(filed, dry_run=dry_run))))


def tickets_table(filed: Sequence[Outcome]) -> RenderableType:
    """Tickets, each with what became of it."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("ticket", no_wrap=True)
    for name in ("", "what", "for our routes"):
        table.add_column(name, overflow="fold")
    for one in filed:
        word = one.ticket.state.value if one.ticket.state is not State.OPEN else one.filed.value
        style = _FILED[one.filed]
        said = (short(one.ticket.last), consequence(one.ticket))
        table.add_row(one.ticket.id, Text(word, style=style), *map(Text, said))
    return table


def consequence(ticket: Ticket) -> str:
    """In a few words what it means here: `first in token-track`."""
    subject = ticket.last.subject
    where = ", ".join(subject.routes or subject.served)
    if ticket.changes:
        words = ", ".join(dict.fromkeys(_short(change) for change in ticket.changes))
        how = "done" if ticket.problem == ALREADY else "by hand"
        return words if not ticket.problem else f"{words}: {how}"
    if ticket.last.kind in (Kind.VANISHED, Kind.EXPIRING) and where:
        return f"in {where}: choose another model"
    return f"in {where}: nothing to change" if where else "in no route of ours"


def _short(change: RouteChange) -> str:
    match change.do:
        case Do.FIRST | Do.LAST:
            return f"{change.do.value} in {change.route}"
        case Do.REMOVE:
            return f"out of {change.route}"
        case Do.UNGRAY:
            return f"no gray pool for {change.route}"
        case Do.DROP_ROUTE:
            return f"no route {change.route}"
        case Do.ADD_MODEL:
            return "offer it by its own name"
        case Do.DROP_MODEL:
            return f"no {change.served}"
        case Do.PRICE:
            return f"{change.prompt_per_million}/{change.completion_per_million} for {change.served}"


def diff_document(found: RankingDiff, filed: Sequence[Outcome]) -> dict[str, Any]:
    """The same for programs. Tokens are whole numbers, changes decimal text in percent."""
    return {
        "week": str(found.week),
        "before_week": None if found.before_week is None else str(found.before_week),
        "as_of": found.as_of,
        "attribution": found.attribution,
        "notes": list(found.notes),
        "moves": [_move_document(one) for one in found.watched],
        "findings": msgspec.to_builtins(found.findings),
        "tickets": [{"id": one.ticket.id, "filed": one.filed.value, "state": one.ticket.state.value} for one in filed],
    }


def _move_document(move: Move) -> dict[str, Any]:
    wow = move.wow
    return {
        "model": move.model.title,
        "id": move.model.id,
        "rank": None if move.now is None else move.now.rank,
        "rank_before": None if move.before is None else move.before.rank,
        "tokens": None if move.now is None else move.now.tokens,
        "tokens_before": None if move.before is None else move.before.tokens,
        "wow_percent": None if wow is None else f"{Decimal(round(wow * 10_000)) / 10_000:f}",
        "wow_from": move.wow_from.value,
        "printed_percent": None if move.printed is None else f"{move.printed:f}",
        "served": [one.served for one in move.ours],
    }


def _head(found: RankingDiff) -> Text:
    head = Text(f"{found.week}", style="bold")
    head.append(f"  {_days(found.week)}", style="")
    against = "nothing to compare with" if found.before_week is None else f"against {found.before_week}"
    return head.append(f"  {against}", style="dim")


def _days(week: Week) -> str:
    first, last = week.monday, week.sunday
    if first.month == last.month:
        return f"{first.day}-{last.day} {last:%B %Y}"
    return f"{first.day} {first:%B} - {last.day} {last:%B %Y}"


def _table(found: RankingDiff, moves: Sequence[Move], *, unicode: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("before", justify="right", no_wrap=True)
    table.add_column("model", overflow="fold")
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("change", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("ours", overflow="fold")
    up, down = ("▲", "▼") if unicode else ("^", "v")
    for move in moves:
        loud = moved(move.wow)
        style = "" if not loud else "green" if (move.wow or 0) > 0 else "red"
        mark = "" if not loud else up if (move.wow or 0) > 0 else down
        table.add_row(
            str(move.now.rank) if move.now else "-",
            str(move.before.rank) if move.before else "-",
            Text(move.model.title, style="" if move.now else "dim"),
            shown_tokens(move.now.tokens) if move.now else "",
            Text(f"{mark} {_change(move)}".strip(), style=style),
            _remark(move, found),
            ", ".join(dict.fromkeys(one.served for one in move.ours)),
        )
    return table


def _remark(move: Move, found: RankingDiff) -> str:
    kinds = {one.kind for one in found.findings if one.subject.key == move.key}
    words = ["new"] if Kind.ENTRANT in kinds else ["left"] if Kind.DROPOUT in kinds else []
    return ", ".join([*words, *(["printed"] if move.wow_from is WowFrom.PRINTED else [])])


def _change(move: Move) -> str:
    return "" if move.wow is None else shown_percent(move.wow)


def _foot(found: RankingDiff, after: Sequence[str]) -> Iterator[Text]:
    yield Text("")
    for line in after:
        yield Text(line)
    for note in (*found.notes, TOKENIZERS):
        yield Text(note, style="dim")
    yield Text(found.attribution, style="dim")


def _next(filed: Sequence[Outcome], *, dry_run: bool) -> Iterator[str]:
    if not filed:
        yield "No ticket: nothing moved above 30 %, entered, left, vanished, expires or has another price."
        return
    proposed = next((one.ticket for one in filed if one.ticket.proposal and one.ticket.state is State.OPEN), None)
    if dry_run:
        yield "Nothing was written: without --dry-run these are tickets in tickets/."
    elif proposed is not None:
        yield "Read them in tickets/. What one would change:"
        yield f"  fleet route propose {proposed.id}"
    elif all(one.ticket.state is not State.OPEN for one in filed):
        yield "All of them are decided: fleet route tickets --all"
    else:
        yield "Read them in tickets/. None that is open proposes a change of a route."
