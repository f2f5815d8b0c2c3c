"""How a gray pool goes and comes back: the notes of a rollback, of a suspension, and what it takes to arm it again.

A rollback is sticky. A ticket and a passed harness end it, or another model in the pool, which begins with a tenth of
the share and has all of it after a week. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction

import msgspec

from fleet.traffic.gray.share import Share
from fleet.traffic.gray.standing import DISABLED, ENABLED, ROLLED_BACK
from fleet.traffic.rollback import Burst, Judgement
from fleet.vocabulary.contracts.ledger import Note

HARNESS_PROMPTS = 50
"""So many a harness must have asked to arm a pool again."""
HARNESS_CALLS = 10
"""So many tool calls it must have scored."""

_DAY_MILLISECONDS = 24 * 60 * 60 * 1000
_RAMP_DAYS = 7


class HarnessPass(msgspec.Struct, frozen=True, kw_only=True):
    """What the harness found of a model: of `scored` tool calls in `prompts` prompts `successes` were right.

    Older notes have no `scored`: theirs are of `prompts`. `begun_milliseconds`: when it began to measure.
    """

    model: str
    prompts: int
    successes: int
    run: str = ""
    scored: int | None = None
    begun_milliseconds: int | None = None


class RolledBack(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a rollback's note: all that the decision rests on."""

    model: str
    rule: str
    baseline: str
    failures: int
    scored: int
    failures_before: int
    scored_before: int
    start_milliseconds: int
    end_milliseconds: int
    confounded: bool = False
    samples: tuple[str, ...] = ()


class Enabled(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a note that arms a pool: why it may, and for which models. `ramp`: it begins with a tenth."""

    ticket: str = ""
    models: tuple[str, ...] = ()
    harness: HarnessPass | None = None
    ramp: bool = False


def rollback_note(pool: str, model: str, judged: Judgement, *, now_milliseconds: int) -> Note:
    """The note that takes `model` and its pool back."""
    data = RolledBack(
        model=model,
        rule=judged.rule.value if judged.rule else "",
        baseline=judged.baseline.value,
        failures=judged.now.failures,
        scored=judged.now.scored,
        failures_before=judged.before.failures,
        scored_before=judged.before.scored,
        start_milliseconds=judged.start_milliseconds,
        end_milliseconds=judged.end_milliseconds,
        confounded=judged.confounded,
        samples=judged.samples,
    )
    return _note(ROLLED_BACK, pool, now_milliseconds, "rollback", data)


def suspension_note(pool: str, burst: Burst, *, seconds: float) -> Note:
    """The note that keeps a pool out for `seconds` after a burst; the same burst makes the same note."""
    data = {"reason": "suspended", "verdict": burst.verdict.value, "samples": burst.samples}
    note = _note(DISABLED, pool, burst.at_milliseconds, "burst", data)
    return msgspec.structs.replace(note, until_milliseconds=burst.at_milliseconds + round(seconds * 1000))


def enabling_note(pool: str, enabled: Enabled, *, by: str, now_milliseconds: int) -> Note:
    """The note that arms a pool; ask `rearm_problem` first."""
    return _note(ENABLED, pool, now_milliseconds, by, enabled)


def rearm_problem(enabled: Enabled, notes: Iterable[Note], pool: str, *, ticket_pattern: str) -> str:
    """What is missing before the pool may be armed, as a sentence; "" when it may.

    After a rollback: a ticket, and a harness of the model that was rolled back that did as well as the calls before.
    """
    if not re.search(ticket_pattern, enabled.ticket):
        return f"a ticket is needed that matches {ticket_pattern}"
    rolled_back = _arming(notes, pool)[1]
    taken = _taken(rolled_back)
    if rolled_back is None or taken is None or taken.model not in enabled.models:
        return ""
    harness = enabled.harness
    if harness is None or harness.model != taken.model:
        return f"{taken.model} was rolled back: it needs a harness run of {HARNESS_PROMPTS} prompts that passed"
    if harness.prompts < HARNESS_PROMPTS:
        return f"the harness asked {taken.model} {harness.prompts} prompts; {HARNESS_PROMPTS} are needed"
    if harness.begun_milliseconds is not None and harness.begun_milliseconds < rolled_back.at_milliseconds:
        return f"the harness run {harness.run} began before {taken.model} was rolled back: it proves nothing since"
    if harness.scored is not None and harness.scored < HARNESS_CALLS:
        return f"the harness scored {harness.scored} tool calls of {taken.model}; {HARNESS_CALLS} are needed"
    good = taken.scored_before - taken.failures_before
    scored = harness.prompts if harness.scored is None else harness.scored
    if harness.successes * taken.scored_before < good * scored:
        return (
            f"{taken.model} did {harness.successes} of {scored} in the harness; "
            f"its last good figure is {good} of {taken.scored_before}"
        )
    return ""


def note_of_change(notes: Iterable[Note], pool: str, models: tuple[str, ...], *, now_milliseconds: int) -> Note | None:
    """The note that another model deserves: a new baseline and a ramp. None while the pool has what it had.

    Only a rollback ends by it: a pool that is switched off by hand stays off, whatever is in it.
    """
    known = list(notes)
    by_hand = [note for note in known if note.kind == DISABLED and note.until_milliseconds is None]
    rolled_back = _arming(known, pool)[1]
    taken = _taken(rolled_back)
    if rolled_back is None or taken is None or taken.model in models or not models:
        return None
    if any(note.subject == pool and note.at_milliseconds >= rolled_back.at_milliseconds for note in by_hand):
        return None
    return enabling_note(pool, Enabled(models=models, ramp=True), by="config", now_milliseconds=now_milliseconds)


def armed_since(notes: Iterable[Note], pool: str) -> int:
    """From when on the pool's calls count, in milliseconds: since its last rollback ended; 0 when there was none."""
    armed = _arming(notes, pool)[0]
    return armed.at_milliseconds if armed is not None else 0


def share_now(share: Share, notes: Iterable[Note], pool: str, now_milliseconds: int) -> Share:
    """What of `share` the pool may have: a tenth on the first day of a ramp, all of it after seven, by whole days."""
    mine = [note for note in notes if note.kind == ENABLED and note.subject == pool]
    last = max(mine, key=lambda note: (note.at_milliseconds, note.id), default=None)
    if last is None or not _enabled(last).ramp:
        return share
    days = max((now_milliseconds - last.at_milliseconds) // _DAY_MILLISECONDS, 0)
    if days >= _RAMP_DAYS:
        return share
    part = Fraction(share.part, share.whole) * Fraction(_RAMP_DAYS + 9 * days, 10 * _RAMP_DAYS)
    return Share(part.numerator, part.denominator)


def _note(kind: str, pool: str, at_milliseconds: int, by: str, data: object) -> Note:
    return Note(
        id=f"{kind}/{pool}/{at_milliseconds}",
        kind=kind,
        subject=pool,
        at_milliseconds=at_milliseconds,
        by=by,
        data=msgspec.json.encode(data).decode(),
    )


def _arming(notes: Iterable[Note], pool: str) -> tuple[Note | None, Note | None]:
    """The note that ended the last rollback that is over, and that of the one that is not."""
    armed: Note | None = None
    rolled_back: Note | None = None
    mine = [note for note in notes if note.subject == pool and note.kind in (ENABLED, ROLLED_BACK)]
    for note in sorted(mine, key=lambda note: (note.at_milliseconds, note.kind == ROLLED_BACK, note.id)):
        if note.kind == ROLLED_BACK:
            rolled_back = note
        elif rolled_back is not None:
            armed, rolled_back = note, None
    return armed, rolled_back


def _taken(note: Note | None) -> RolledBack | None:
    if note is None:
        return None
    try:
        return msgspec.json.decode(note.data, type=RolledBack)
    except msgspec.DecodeError:
        return None


def _enabled(note: Note) -> Enabled:
    try:
        return msgspec.json.decode(note.data, type=Enabled)
    except msgspec.DecodeError:
        return Enabled()
