"""What becomes of the dollar track: the word of the fronts, which decide it, and what to expect of the next week."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.practice.budget import Budget, FrontState
from fleet.practice.weekly.figures import BudgetAsked, BudgetRead, Read, UsageAsked, number
from fleet.practice.weekly.report import Action, Tone, Verdict
from fleet.practice.weekly.sections.part import Asker
from fleet.vocabulary.contracts.policy_admin import BudgetKind, DollarState
from fleet.vocabulary.contracts.usage import UsageBy
from fleet.vocabulary.names import Track

_SUBJECT = "Dollar track"
_NEAR_PART = 0.8


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The verdict, and what to do about it."""

    verdict: Verdict
    actions: tuple[Action, ...] = ()


def decision(asker: Asker, month: Budget | None) -> Decision:
    """Downgraded and capped are facts that the fronts enforce; `watch` is a warning, `keep` means go on."""
    if month is None:
        return Decision(verdict=_verdict("unknown", Tone.UNKNOWN, "No front told its budget."))
    state = month.dollar
    if state is None:
        return Decision(verdict=_verdict("none", Tone.UNKNOWN, "This fleet has no dollar track: nothing to decide."))
    if state is not DollarState.NORMAL:
        return _closed(asker, month, state)
    return _open(asker, month)


def _closed(asker: Asker, month: Budget, state: DollarState) -> Decision:
    """Requests without an incident fold or are refused."""
    front = next(front for front in month.fronts if front.dollar is state)
    reason = front.dollar_reason or "its budget is used up"
    why = f"{_sentence(reason)} It folds until {_until(front)}; open incidents may go on."
    return Decision(
        verdict=_verdict(state.value, Tone.BAD, why),
        actions=(
            Action(
                what="Find what made it dear",
                why=f"The dollar track is {state.value} until {_until(front)}.",
                commands=(f"fleet ledger --by ticket,model {asker.since_until}", "fleet budget --all"),
            ),
        ),
    )


def _open(asker: Asker, month: Budget) -> Decision:
    spent, allotted = _week(asker)
    used = f"It cost {spent:,.2f} USD in the week" if spent is not None else "What it cost in the week is unknown"
    if allotted:
        used += f", of {allotted:,.2f} that are its part of the cap"
    line = month.line(BudgetKind.TRACK, Track.DOLLAR.value)
    end = None if line is None else month.month_end(line)
    if line is not None and line.cap_pico and end is not None and end.high > line.cap_pico:
        over = "will" if end.expected > line.cap_pico else "may"
        why = f"{used}. At this pace {month.month} {over} reach its cap before it ends."
        return _watched(asker, why)
    if line is not None and line.cap_pico and line.spent_pico + line.reserved_pico > _NEAR_PART * line.cap_pico:
        return _watched(asker, f"{used}. Over 80 % of the cap of {month.month} is used.")
    if spent is not None and allotted and spent > allotted:
        if month.at_seconds * 1000 < asker.week.ends:
            return _watched(asker, f"{used}. A week that overruns is followed by one that folds.")
        return _watched(asker, f"{used}: more than that, and too little for a downgrade.")
    return Decision(verdict=_verdict("keep", Tone.GOOD, f"{used}. No downgrade."))


def _watched(asker: Asker, why: str) -> Decision:
    action = Action(
        what="Look at who spends on the dollar track",
        why=why,
        commands=(f"fleet ledger --by ticket,model {asker.since_until}", "fleet budget --all"),
    )
    return Decision(verdict=_verdict("watch", Tone.WATCH, why), actions=(action,))


def _week(asker: Asker) -> tuple[float | None, float | None]:
    """What the week cost on the dollar track, and its part of the cap."""
    spent = UsageAsked(query=asker.query(UsageBy.TRACK), lines=((Track.DOLLAR.value,),), read=Read.SPENT)
    part = BudgetAsked(kind=BudgetKind.TRACK, name=Track.DOLLAR.value, read=BudgetRead.ALLOTMENT, week=str(asker.week))
    return number(asker.answers.value(spent)), number(asker.answers.value(part))


def _verdict(word: str, tone: Tone, why: str) -> Verdict:
    return Verdict(subject=_SUBJECT, word=word, tone=tone, why=why)


def _until(front: FrontState) -> str:
    if front.dollar_until_seconds is None:
        return "further notice"
    return f"{datetime.fromtimestamp(front.dollar_until_seconds, UTC):%a %d %B %H:%M} UTC"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
