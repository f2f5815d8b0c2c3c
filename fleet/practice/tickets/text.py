"""A ticket as Markdown, for people and for git. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.practice.tickets.ticket import ALREADY, State, Ticket
from fleet.practice.tickets.wording import cautions, evidence_head, evidence_row, headline, ours_sentence


def markdown(ticket: Ticket) -> str:
    """The whole ticket. It ends in a line end."""
    return "\n".join(_lines(ticket)) + "\n"


def state_words(ticket: Ticket) -> str:
    """`open since 2026-W21`, or who decided."""
    since = f"open since {ticket.opened}"
    if ticket.state is State.OPEN:
        weeks = len(ticket.seen)
        return since if weeks == 1 else f"{since}, seen in {weeks} weeks"
    why = f": {ticket.decided_why}" if ticket.decided_why else ""
    return f"{ticket.state.value} by {ticket.decided_by}, {ticket.decided_at[:10]}{why}"


def _lines(ticket: Ticket) -> Iterator[str]:
    last = ticket.last
    yield f"# {headline(last)}"
    yield ""
    yield f"Routing ticket `{ticket.id}` · {state_words(ticket)}"
    yield ""
    yield from _table(evidence_head(last.kind), [evidence_row(one) for one in reversed(ticket.seen)])
    yield ""
    yield from (f"- {note}" for note in last.notes)
    yield f"- {ours_sentence(last)}"
    yield from (f"- {one}" for one in cautions(last))
    yield ""
    yield "## What to do"
    yield ""
    yield from (f"- {one.sentence}" for one in ticket.changes)
    yield from (f"- {one}" for one in ticket.advice)
    yield from _proposal(ticket)
    if last.attribution:
        yield ""
        yield f"_{last.attribution}_"


def _proposal(ticket: Ticket) -> Iterator[str]:
    if ticket.proposal is not None:
        yield ""
        yield f"## Proposed change of `{ticket.proposal.file}`"
        yield ""
        yield "```diff"
        yield ticket.proposal.diff.rstrip("\n")
        yield "```"
        if ticket.state is State.OPEN:
            yield ""
            yield f"Nothing is changed before somebody says `fleet route apply {ticket.id}`."
    elif ticket.problem:
        yield ""
        yield f"No diff {'is needed' if ticket.problem == ALREADY else 'can be proposed'}: {ticket.problem}"
    elif ticket.changes:
        yield ""
        yield f"`fleet route propose {ticket.id}` shows the diff, where the inventory is."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
