"""What time makes of readings: `step` is a pure function of what was known, what came, and when.

A fault shows when it lasted, and goes when it stayed away: the longer, the oftener it came back. Inside a band nothing
changes; what could not be read changes nothing, and after a while is unknown. A first look, and one after a long pause,
has no before: it is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from fleet.vocabulary.health.check import LONGEST_HOLD_DOWN_SECONDS, Check, Reading, rank
from fleet.vocabulary.health.history import with_sample
from fleet.vocabulary.health.readings import READ, Named, readings_of
from fleet.vocabulary.health.sample import Sample, Silence
from fleet.vocabulary.health.state import REST, Fault, Latch, NodeState, Track, Transition
from fleet.vocabulary.health.table import CHECKS
from fleet.vocabulary.names import Health

OF_SILENCE = ("node_unreachable", "agent_silent")
PAUSE_SECONDS = 60.0
"""After so long without a reading the next one is a first look; not readable for so long is unknown."""


def step(state: NodeState, seen: Sample | Silence, now_seconds: float) -> tuple[NodeState, tuple[Transition, ...]]:
    """The state after this look, and what changed for people."""
    now = state.at_seconds if state.at_seconds - PAUSE_SECONDS < now_seconds < state.at_seconds else now_seconds
    history = with_sample(state.history, seen) if isinstance(seen, Sample) else state.history
    silent_from = None if isinstance(seen, Sample) else _silent_from(state, now)
    if isinstance(seen, Sample):
        named = [*((check, "", Reading(value=0)) for check in OF_SILENCE), *readings_of(seen, history)]
    else:
        named = [*_of_silence(seen, now if silent_from is None else silent_from, now)]
    before = {(track.check, track.subject): track for track in state.tracks}
    tracks: dict[tuple[str, str], Track] = {}
    for check, subject, reading in named:
        key = (check, subject)
        track = before.get(key)
        if reading is READ and (track is None or _is_plain(track)):
            continue  # a collector that works has no track: there are many of them, and they nearly always work
        if track is None:
            since = state.history.sample_at_seconds if check == "collector" else None
            track = Track(check, subject, known_at_seconds=since)
        tracks[key] = _updated(track, reading, now)
    left = {key: track for key, track in before.items() if key not in tracks}
    if isinstance(seen, Sample):
        gone = [_closed(state.node, track, now) for track in left.values() if track.told is not Health.OK]
    else:
        tracks, gone = {**left, **tracks}, []
    told, changes = _tell(state.node, tracks, now)
    after = NodeState(
        node=state.node, at_seconds=now, silent_from_seconds=silent_from, history=history, tracks=tuple(told)
    )
    return after, (*gone, *changes)


def woke(state: NodeState, now_seconds: float) -> NodeState:
    """The state after the observer itself was away: the silence of the meantime is not the node's.

    A node that was told to be silent before that stays so until it answers.
    """
    if any(track.check == OF_SILENCE[0] and track.told is not Health.OK for track in state.tracks):
        return state
    return msgspec.structs.replace(state, silent_from_seconds=now_seconds)


def departed(state: NodeState, now_seconds: float) -> tuple[Transition, ...]:
    """The ends of its faults, when the node was taken out of the inventory."""
    return tuple(_closed(state.node, track, now_seconds) for track in state.tracks if track.told is not Health.OK)


def faults(state: NodeState, *, of_machine: bool = False) -> tuple[Fault, ...]:
    """What is wrong and shown, the worst first. What hangs on another fault is left out.

    `of_machine`: only what the last sample showed, as if the node had not fallen silent since.
    """
    known = (track for track in state.tracks if not of_machine or track.check not in OF_SILENCE)
    tracks = {(track.check, track.subject): track for track in known}
    shown = [track for track in tracks.values() if track.level is not Health.OK and not _is_hidden(track, tracks)]
    shown = [track for track in shown if track.check in CHECKS]
    return tuple(_fault(state.node, track) for track in sorted(shown, key=lambda track: -rank(track.level)))


def _silent_from(state: NodeState, now: float) -> float:
    """From when on the silence counts: the last answer, or when we came back ourselves, or this first try."""
    known = (state.silent_from_seconds, state.history.sample_at_seconds)
    return min(now, max((at for at in known if at is not None), default=now))


def _of_silence(silence: Silence, silent_from: float, now: float) -> Iterator[Named]:
    if silence.agent_only:
        yield "node_unreachable", "", Reading(value=0)
        text = f"the agent is silent: {silence.problem or 'no reason given'}"
        yield "agent_silent", "", Reading(value=1, text=text)
        return
    text = f"not reached: {silence.problem or 'no answer'}"
    yield "node_unreachable", "", Reading(value=now - silent_from, text=text, since_seconds=silent_from)


def _updated(track: Track, reading: Reading, now: float) -> Track:
    check = CHECKS[track.check]
    if reading.value is None:
        return _unread(check, track, reading, now)
    if _is_at_rest(track) and check.is_good(reading.value) and (_is_calm(track) or not _may_flap(check, track, now)):
        return Track(track.check, track.subject, known_at_seconds=now)
    known_at = track.known_at_seconds
    is_first = known_at is None or not 0 <= now - known_at <= PAUSE_SECONDS
    raw_critical = check.critical is not None and check.critical.is_bad(reading.value, before=track.critical.raw)
    raw_warn = check.warn is not None and (raw_critical or check.warn.is_bad(reading.value, before=track.warn.raw))
    warn = _pressed(track.warn, check, reading, now, raw=raw_warn, is_first=is_first)
    critical = _pressed(track.critical, check, reading, now, raw=raw_critical, is_first=is_first)
    level = Health.CRITICAL if critical.on else Health.WARN if warn.on else Health.OK
    began = min((latch.since_seconds for latch in (warn, critical) if latch.on), default=None)
    if began is not None and track.began_seconds is not None:
        began = min(began, track.began_seconds)
    bad = raw_warn or raw_critical
    return msgspec.structs.replace(
        track,
        warn=warn,
        critical=critical,
        level=level,
        began_seconds=began if began is not None else track.began_seconds if track.told is not Health.OK else None,
        known_at_seconds=now,
        unknown_since_seconds=None,
        text=reading.text if bad else track.text if level is not Health.OK else "",
    )


def _is_calm(track: Track) -> bool:
    """Whether nothing was wrong lately, told by a look at two objects."""
    return track.warn is REST and track.critical is REST


def _is_plain(track: Track) -> bool:
    """Whether it says no more than none would."""
    return _is_calm(track) and track.level is Health.OK and track.told is Health.OK


def _is_at_rest(track: Track) -> bool:
    """Whether nothing is wrong, and nothing was lately: the case of nearly every check at nearly every look."""
    warn, critical = track.warn, track.critical
    busy = warn.raw or warn.on or critical.raw or critical.on
    return not busy and track.level is Health.OK and track.told is Health.OK


def _may_flap(check: Check, track: Track, now: float) -> bool:
    """Whether it went so lately that its coming back would be a flap."""
    return _is_fresh(check, track.warn, now) or _is_fresh(check, track.critical, now)


def _is_fresh(check: Check, latch: Latch, now: float) -> bool:
    if not check.hold_down_seconds:
        return False
    gone = now - latch.since_seconds
    return gone <= check.holds_for(latch.flaps) + LONGEST_HOLD_DOWN_SECONDS


def _unread(check: Check, track: Track, reading: Reading, now: float) -> Track:
    """Nothing changes, but that after a while the check is unknown: at once where that is worth a word by itself."""
    since = now if track.unknown_since_seconds is None else min(now, track.unknown_since_seconds)
    never = track.known_at_seconds is None
    patience = 0.0 if never and check.unknown_code else PAUSE_SECONDS
    if (never and not check.unknown_code) or now - since < patience:
        return msgspec.structs.replace(track, unknown_since_seconds=since)
    if check.unknown_is_normal:
        return Track(track.check, track.subject, told=track.told, began_seconds=track.began_seconds)
    began = since if track.began_seconds is None else track.began_seconds
    text = reading.text or f"{check.title} could not be read"
    return msgspec.structs.replace(
        track, level=Health.UNKNOWN, unknown_since_seconds=since, began_seconds=began, text=text
    )


def _pressed(latch: Latch, check: Check, reading: Reading, now: float, *, raw: bool, is_first: bool) -> Latch:
    """The latch after one more reading."""
    start = now if reading.since_seconds is None else min(now, reading.since_seconds)
    raw_since = latch.raw_since_seconds if raw == latch.raw and not is_first else start if raw else now
    lasted = now - raw_since
    on, since, flaps = latch.on, min(latch.since_seconds, now), latch.flaps
    if raw and not on and (is_first or lasted >= check.visible_after_seconds):
        flaps = flaps + 1 if _is_fresh(check, latch, now) else 0
        on, since = True, raw_since
    elif on and not raw and (is_first or lasted >= check.holds_for(flaps)):
        on, since = False, raw_since
    return Latch(raw, raw_since, on, since, flaps)


def _is_hidden(track: Track, tracks: Mapping[tuple[str, str], Track]) -> bool:
    """Whether a critical fault explains it already: one of the same subject, or of the whole node."""
    parents = CHECKS[track.check].depends_on if track.check in CHECKS else ()
    found = (tracks.get((check, subject)) for check in parents for subject in {track.subject, ""})
    return any(parent is not None and parent.level is Health.CRITICAL for parent in found)


def _tell(node: str, tracks: Mapping[tuple[str, str], Track], now: float) -> tuple[list[Track], list[Transition]]:
    """The tracks with what is told now. What is hidden is not told, but that it ended."""
    told, changes = [], []
    for track in tracks.values():
        ended = track.level is Health.OK
        if track.level is track.told or (not ended and _is_hidden(track, tracks)):
            told.append(track)
            continue
        changes.append(_change(node, track, now))
        began = None if ended else track.began_seconds
        told.append(msgspec.structs.replace(track, told=track.level, began_seconds=began))
    return told, changes


def _change(node: str, track: Track, now: float) -> Transition:
    fault = _fault(node, track)
    return Transition(
        at_seconds=now,
        node=node,
        check=track.check,
        subject=track.subject,
        before=track.told,
        after=track.level,
        began_seconds=_began(track, fault.since_seconds),
        since_seconds=fault.since_seconds,
        text=fault.text,
        next="" if track.level is Health.OK else fault.next,
        do="" if track.level is Health.OK else fault.do,
    )


def _closed(node: str, track: Track, now: float) -> Transition:
    """The end of a fault whose subject is no longer there: the service was taken off the node."""
    return Transition(
        at_seconds=now,
        node=node,
        check=track.check,
        subject=track.subject,
        before=track.told,
        after=Health.OK,
        began_seconds=_began(track, now),
        since_seconds=now,
    )


def _began(track: Track, otherwise: float) -> float:
    return otherwise if track.began_seconds is None else min(track.began_seconds, otherwise)


def _fault(node: str, track: Track) -> Fault:
    check, unknown = CHECKS[track.check], track.level is Health.UNKNOWN
    latch = track.critical if track.level is Health.CRITICAL or check.warn is None else track.warn
    since = track.unknown_since_seconds if unknown else latch.since_seconds
    do = check.do_unknown if unknown else check.do
    return Fault(
        check=track.check,
        code=(check.unknown_code or track.check) if unknown else track.check,
        subject=track.subject,
        health=track.level,
        since_seconds=since or 0.0,
        text=track.text,
        next="" if unknown else check.next.format(node=node, subject=track.subject),
        do=do.format(node=node, subject=track.subject),
        clear_since_seconds=latch.raw_since_seconds if latch.on and not latch.raw and not unknown else None,
    )
