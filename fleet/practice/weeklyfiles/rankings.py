"""The archived ranking of the week against the one before, and the routing tickets that it opened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from fleet.practice.rankings.diff import RankingDiff, diff
from fleet.practice.rankings.ours import Ours
from fleet.practice.rankings.pairing import Move
from fleet.practice.rankings.ranking import Ranked
from fleet.practice.tickets.ticket import State, Ticket
from fleet.practice.tickets.wording import headline, short
from fleet.practice.weekly.answers import Answers
from fleet.practice.weekly.figures import Figure, FileAsked, Unit
from fleet.practice.weekly.report import Action, Block, Line, Note, Section, Table, Tone, Unmeasured, Verdict
from fleet.practice.weekly.sections.part import Part
from fleet.practice.weeklyfiles.files import RANKINGS, ProjectFiles
from fleet.traffic.budget.calendar import Week

_TITLE = "Rankings"


def rankings_part(answers: Answers, files: ProjectFiles, week: Week, tickets: Sequence[Ticket], *, today: date) -> Part:
    """The top ten, and what is open."""
    opened = [ticket for ticket in tickets if ticket.state is State.OPEN]
    ranking = files.ranking(str(week))
    if ranking is None:
        missing = Unmeasured(what="rankings", why=f"no ranking of {week} is archived in {RANKINGS}/")
        fetch = Action(
            what=f"Archive the ranking of {week}",
            why="Without it no move above 30 % is seen, and the next week has nothing to compare with.",
            commands=("fleet rankings fetch", f"fleet rankings diff {week}"),
        )
        section = Section(id="rankings", title=_TITLE, lead="Not measured.", blocks=_tickets(opened))
        return Part(section=section, actions=(fetch, *_decide(opened)), unmeasured=(missing,))
    found = diff(files.ranking(str(week.previous)), ranking, ours=Ours(), today=today)
    blocks = (_top(answers, found, week), *_tickets(opened), Note(items=(ranking.attribution, *found.notes)))
    return Part(
        section=Section(id="rankings", title=_TITLE, lead=_lead(found, opened), blocks=blocks),
        verdicts=(_verdict(opened),),
        actions=_decide(opened),
    )


def _lead(found: RankingDiff, opened: Sequence[Ticket]) -> str:
    against = "" if found.before_week is None else f" against {found.before_week}"
    alone = " The week before is not archived: nothing can be compared." if found.before_week is None else ""
    return f"Week {found.week}{against}: {_count(len(opened), 'routing ticket')} open.{alone}"


def _verdict(opened: Sequence[Ticket]) -> Verdict:
    if not opened:
        return Verdict(subject=_TITLE, word="nothing open", tone=Tone.GOOD, why="No routing ticket waits for anybody.")
    why = "; ".join(headline(ticket.last) for ticket in opened[:3])
    more = f"; and {len(opened) - 3} more" if len(opened) > 3 else ""
    return Verdict(subject=_TITLE, word=_count(len(opened), "ticket"), tone=Tone.WATCH, why=f"{why}{more}.")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _top(answers: Answers, found: RankingDiff, week: Week) -> Table:
    moves = [move for move in found.moves if move.now is not None and move.in_top]
    gone = [move for move in found.moves if move.was_in_top and not move.in_top]
    return Table(
        caption="The top ten, in tokens of each model's own tokenizer",
        of="model",
        heads=("rank", "tokens"),
        lines=tuple(_line(answers, move, week, compared=found.before_week is not None) for move in [*moves, *gone]),
    )


def _line(answers: Answers, move: Move, week: Week, *, compared: bool) -> Line:
    def figure(label: str, unit: Unit, what: str) -> Figure:
        now = _asked(week, move.now or move.model, what)
        before = _asked(week.previous, move.before or move.model, what)
        return answers.figure(f"rankings.{move.key}.{what}", label, unit, now, before=before if compared else None)

    tag = move.model.vendor if move.in_top else f"{move.model.vendor}, left the top ten".removeprefix(", ")
    figures = (figure("rank", Unit.RANK, "rank"), figure("tokens", Unit.TOKENS, "tokens"))
    return Line(name=move.model.title, tag=tag, figures=figures)


def _asked(week: Week, ranked: Ranked, what: str) -> FileAsked:
    return FileAsked(file=f"{RANKINGS}/{week}.json", where=f"{ranked.slug}/{what}")


def _tickets(opened: Sequence[Ticket]) -> tuple[Block, ...]:
    if not opened:
        return ()
    return (Note(items=tuple(f"{one.id}: {headline(one.last)} ({short(one.last)})" for one in opened)),)


def _decide(opened: Sequence[Ticket]) -> tuple[Action, ...]:
    if not opened:
        return ()
    proposed = [f"fleet route propose {one.id}" for one in opened if one.proposal is not None]
    what = f"Decide about {_count(len(opened), 'routing ticket')}"
    why = "fleet route apply changes the routes as a ticket proposes, fleet route close says why they stay."
    return (Action(what=what, why=why, commands=("fleet route tickets", *proposed)),)
