"""The gray pool: how much of its share it had, how its tool calls went, and what that decides."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from fleet.practice.weekly.figures import Figure, GrayAsked, GrayRead, Read, Unit, number
from fleet.practice.weekly.reading import failures_and_calls, gray_routes, worst
from fleet.practice.weekly.report import Action, Block, Line, Plot, Section, Shape, Table, Tone, Unmeasured, Verdict
from fleet.practice.weekly.sections.part import Asker, Part, key_of
from fleet.practice.weekly.sections.tools import FEW_CALLS, LEAST_CALLS, worse
from fleet.practice.weekly.words import about, percent
from fleet.traffic.gray.observed import wilson
from fleet.traffic.rollback import Rate
from fleet.vocabulary.contracts.policy_admin import GrayReport, GrayState
from fleet.vocabulary.contracts.usage import UsageBy

_BY = (UsageBy.GRAY, UsageBy.MODEL)
_TWO_POINTS = 0.02
_HEADS = (
    ("requests", Read.REQUESTS),
    ("scored calls", Read.CALLS),
    ("share failed", Read.FAILURE_RATIO),
    ("at least", Read.FAILURE_LOW),
    ("at most", Read.FAILURE_HIGH),
    ("USD", Read.SPENT),
)
_STATES = {
    GrayState.ROLLED_BACK: ("rolled back", Tone.BAD),
    GrayState.SUSPENDED: ("suspended", Tone.WATCH),
    GrayState.DISABLED: ("off", Tone.WATCH),
    GrayState.NO_MODEL: ("no model", Tone.WATCH),
}


def gray_part(asker: Asker) -> Part:
    """Every gray route: its share, its models, its verdict."""
    routes = gray_routes(asker.answers.gray)
    if not routes:
        silent = not asker.answers.gray
        lead = "No front told of its gray routes." if silent else "This fleet has no gray pool."
        missing = (Unmeasured(what="gray pool", why=lead),) if silent else ()
        return Part(section=Section(id="gray", title="Gray pool", lead=lead), unmeasured=missing)
    verdicts = {name: verdict(asker, name, told) for name, told in sorted(routes.items())}
    blocks: list[Block] = [_shares(asker, routes)]
    tried = [names for names in asker.names(*_BY) if names[0] == "yes" and names[1]]
    if tried:
        blocks.append(_models(asker, tried))
    return Part(
        section=Section(
            id="gray",
            title="Gray pool",
            lead=" ".join(f"{name}: {one.why}" if len(routes) > 1 else one.why for name, one in verdicts.items()),
            blocks=tuple(blocks),
        ),
        verdicts=tuple(verdicts.values()),
        actions=tuple(
            action for name, one in verdicts.items() for action in _actions(asker, name, one, worst(routes[name]))
        ),
    )


def verdict(asker: Asker, name: str, told: Sequence[GrayReport]) -> Verdict:
    """The word for a pool after a whole week: what stopped it, else what its tool calls say."""
    subject, stopped = f"Gray pool {name}", worst(told)
    if stopped.state in _STATES:
        word, tone = _STATES[stopped.state]
        return Verdict(subject=subject, word=word, tone=tone, why=_sentence(stopped.reason or f"it is {word}"))
    models = sorted({model for one in told for model in one.models})
    now, before = (_rate(asker, models, previous=previous, gray="yes") for previous in (False, True))
    if worse(now, before):
        why = f"{now.failures} of {now.scored} tool calls failed, {before.failures} of {before.scored} the week before."
        return Verdict(subject=subject, word="take back", tone=Tone.BAD, why=why)
    if now.scored < FEW_CALLS or now.scored < LEAST_CALLS:
        why = f"{now.scored} scored tool calls; a verdict needs {LEAST_CALLS}. It keeps its share."
        return Verdict(subject=subject, word="too few", tone=Tone.UNKNOWN, why=why)
    proven = _rate(asker, None, previous=False, gray="no")
    interval = wilson(now.failures, now.scored)
    if proven.share is not None and interval is not None and interval[1] <= proven.share + _TWO_POINTS:
        why = (
            f"{percent(now.share or 0.0)} of {now.scored} tool calls failed, at most {percent(interval[1])}; "
            f"of the proven models' {percent(proven.share)}."
        )
        return Verdict(subject=subject, word="promote", tone=Tone.GOOD, why=f"{why} A harness pass decides.")
    why = (
        f"{percent(now.share or 0.0)} of {now.scored} tool calls failed; that is not surely as good as what is proven."
    )
    return Verdict(subject=subject, word="hold", tone=Tone.WATCH, why=why)


def _rate(asker: Asker, models: Sequence[str] | None, *, previous: bool, gray: str) -> Rate:
    week = asker.week.previous if previous else asker.week
    lines = asker.answers.lines(asker.query(*_BY, week=week))
    meant = [
        line
        for names, some in lines.items()
        if names[0] == gray and (models is None or names[1] in models)
        for line in some
    ]
    return Rate(*failures_and_calls(meant))


def _shares(asker: Asker, routes: dict[str, tuple[GrayReport, ...]]) -> Plot:
    lines = tuple(
        Line(name=name, tag=_states(told), figures=_share(asker, name, told)) for name, told in routes.items()
    )
    observed, cap, _, eligible, requests = (number(figure.value) for figure in lines[0].figures)
    says = (
        "What is committed never passes the cap."
        if observed is None or cap is None
        else f"{lines[0].name} had {percent(observed)} of the traffic that feeds it; its cap is {about(cap)}. "
        f"{eligible:,.0f} of {requests:,.0f} requests were eligible."
    )
    return Plot(
        id="gray-share",
        caption="Share of the traffic that went gray, against its cap",
        says=says,
        shape=Shape.METER,
        heads=("in the week", "cap", "gray", "eligible", "requests"),
        lines=lines,
    )


def _share(asker: Asker, name: str, told: Sequence[GrayReport]) -> tuple[Figure, ...]:
    """Of the week: the routes that feed it, and itself. The cap is the inventory's."""
    feeds = sorted({feed for one in told for feed in one.feeds} | {name})
    lines = tuple((feed,) for feed in feeds)

    def one(label: str, read: Read) -> Figure:
        return asker.usage(f"gray.{name}.{read}", label, read, UsageBy.ASKED, lines=lines)

    cap = asker.answers.figure(f"gray.{name}.cap", "cap", Unit.RATIO, GrayAsked(route=name, read=GrayRead.SHARE_CAP))
    counts = (("gray", Read.GRAY), ("eligible", Read.ELIGIBLE), ("requests", Read.REQUESTS))
    return (one("in the week", Read.GRAY_PART), cap, *(one(label, read) for label, read in counts))


def _states(told: Sequence[GrayReport]) -> str:
    return worst(told).state.value.replace("_", " ")


def _models(asker: Asker, tried: Sequence[tuple[str, ...]]) -> Table:
    def cell(names: tuple[str, ...], head: str, read: Read) -> Figure:
        return asker.usage(f"gray.model.{key_of(names[1:])}.{read}", head, read, *_BY, lines=(names,))

    return Table(
        caption="Models that it tried",
        of="model",
        heads=tuple(head for head, _ in _HEADS),
        lines=tuple(
            Line(name=names[1], figures=tuple(cell(names, head, read) for head, read in _HEADS)) for names in tried
        ),
    )


def _actions(asker: Asker, name: str, one: Verdict, stopped: GrayReport) -> tuple[Action, ...]:
    if one.word == "take back":
        command = f"fleet gray disable {quote(name)} --reason 'tool calls of {asker.week}'"
        return (Action(what=f"Take {name} back", why=one.why, commands=(command,)),)
    if stopped.state is GrayState.ROLLED_BACK:
        commands = ("fleet harness run", f"fleet gray enable {quote(name)} --ticket TICKET --harness RUN")
        return (Action(what=f"Prove {name} anew, or take its model out", why=one.why, commands=commands),)
    if one.word == "promote":
        commands = ("fleet harness run", "fleet harness compare")
        return (Action(what=f"Decide on {name} by the harness", why=one.why, commands=commands),)
    return ()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
