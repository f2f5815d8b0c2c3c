"""What to do for one sidecar now: watch it, drain it, end its process, free it, take it out of service. Pure.

The same is decided again at every look until the world shows it done: a crash between two steps costs nothing.
"""

from __future__ import annotations

import msgspec

from fleet.node.agent.caresigns import Action, Do, Signs, is_same
from fleet.node.agent.carestate import CareState, Phase
from fleet.vocabulary.contracts.agent import Care
from fleet.vocabulary.contracts.gateway_admin import AGENT
from fleet.vocabulary.names import Intent
from fleet.vocabulary.panicking import is_of_boot
from fleet.vocabulary.units import bytes_text, seconds_text

FIRST_START_SECONDS = 900.0
"""So long may a process that was never ready load without growing."""
BUSY_SECONDS = 600.0
"""So long may one be silent on which requests run: a long prompt keeps the probe waiting."""
HEAVY_SECONDS = 60.0
FORCE_AFTER_SECONDS = 30.0
"""After SIGTERM, before SIGKILL."""
COMES_BACK_WITHIN_SECONDS = 3600.0
IDLE_SECONDS = 30.0
REFRESH_RETRY_SECONDS = 600.0
RAN_BEFORE_BOOT_SECONDS = 900.0
"""One that worked so shortly before a boot ran when the machine went down."""
PANIC_TOLD_SECONDS = 600.0
STRIKES_KEPT_SECONDS = 7 * 86400.0
_HOUR_SECONDS = 3600.0
_LONGEST_LOOK_SECONDS = 30.0
_OTHER_BOOT_SECONDS = 120.0
_LEFT_ALONE = "is left alone for now"
QUARANTINE_WORD = "quarantined"
"""In the `by` of a drain that ends a model's service: known again when our own memory is lost."""


Decision = tuple[CareState, Action | None]


def decide(state: CareState, signs: Signs, rules: Care, *, now: float, limit_bytes: int | None = None) -> Decision:
    """The state after this look, and what to do. `now` is Unix time; `limit_bytes` bounds the footprint."""
    state = _noted(_judged(state, signs, rules, now=now), signs, now=now, limit_bytes=limit_bytes)
    match state.phase:
        case Phase.WATCHING:
            return _watching(state, signs, rules, now=now, limit_bytes=limit_bytes)
        case Phase.DRAINING:
            return _draining(state, signs, rules, now=now)
        case Phase.RESTARTING:
            return _restarting(state, signs, rules, now=now, limit_bytes=limit_bytes)
        case Phase.QUARANTINED:
            return _quarantined(state, signs, now=now)


def _noted(state: CareState, signs: Signs, *, now: float, limit_bytes: int | None) -> CareState:
    """What this look adds to the spans and notes."""
    process = signs.process
    if process is not None and not is_same(process, state.seen):
        state = msgspec.structs.replace(state, bad_seconds=0.0, heavy_seconds=0.0, grown_bytes=0)
    passed = min(max(0.0, now - state.looked_at_seconds), _LONGEST_LOOK_SECONDS) if state.looked_at_seconds else 0.0
    size = signs.footprint_bytes
    grows = size is not None and size > state.grown_bytes * 1.01 and not is_same(process, state.proved)
    bad = state.bad_seconds
    if signs.works or grows:
        bad = 0.0
    elif process and (signs.live is False or signs.ready is False or signs.refusing_seconds is not None):
        bad += passed
    heavy = limit_bytes is not None and size is not None and size > limit_bytes
    return msgspec.structs.replace(
        state,
        looked_at_seconds=now,
        seen=process or state.seen,
        bad_seconds=bad,
        heavy_seconds=state.heavy_seconds + passed if heavy else 0.0,
        grown_bytes=size if grows and size else state.grown_bytes,
        proved=process if signs.works and process else state.proved,
        answered_at_seconds=now if signs.works else state.answered_at_seconds,
        restarts=tuple(at for at in state.restarts if now - at < _HOUR_SECONDS),
    )


def _judged(state: CareState, signs: Signs, rules: Care, *, now: float) -> CareState:
    """Whether the machine went down by a panic while this model ran: once it is tried again, twice is enough."""
    boot, before = signs.boot_seconds, state.boot_seconds
    if boot is None:
        return state
    # A clock that is set moves the boot along; after a real one the boot is later than our last look.
    later = before is not None and boot - before > _OTHER_BOOT_SECONDS
    if later and boot > state.looked_at_seconds - _OTHER_BOOT_SECONDS:
        worked = state.answered_at_seconds
        ran = worked is not None and 0 <= boot - worked <= RAN_BEFORE_BOOT_SECONDS
        state = msgspec.structs.replace(state, suspect_boot_seconds=boot if ran else None)
    state = msgspec.structs.replace(state, boot_seconds=boot)
    suspect = state.suspect_boot_seconds
    if suspect is None or not rules.quarantine or not is_of_boot(signs.panic_at_seconds, suspect):
        return state
    strikes = (*(at for at in state.strikes if suspect - at < STRIKES_KEPT_SECONDS), suspect)
    state = msgspec.structs.replace(state, strikes=strikes, suspect_boot_seconds=None)
    if len(strikes) < 2:
        return state
    reason = f"{QUARANTINE_WORD}: the kernel panicked {len(strikes)} times within 7 days while it ran"
    return _into(state, Phase.QUARANTINED, reason, now=now)


def _watching(state: CareState, signs: Signs, rules: Care, *, now: float, limit_bytes: int | None) -> Decision:
    if signs.ours:
        return _found_again(state, signs, now=now)
    if signs.operators:
        return msgspec.structs.replace(state, reason="", bad_seconds=0.0, heavy_seconds=0.0), None
    why = _illness(state, signs, rules, limit_bytes=limit_bytes)
    planned = why is None and _is_stale(state, signs, rules, now=now)
    if signs.process is None or not (why or planned):
        return _with_notice(state, "", now=now), None
    if len(state.restarts) >= rules.most_restarts:
        kept = state.reason if _LEFT_ALONE in state.reason else _left_alone(why, rules)
        return _with_notice(state, "" if why is None else kept, now=now), None
    reason = why or f"planned refresh, every {seconds_text(rules.refresh_seconds)}"
    state = msgspec.structs.replace(state, planned=planned, ended=signs.process)
    return _draining(_into(state, Phase.DRAINING, reason, now=now), signs, rules, now=now)


def _found_again(state: CareState, signs: Signs, *, now: float) -> Decision:
    """A drain of ours while we only watch: one that is over, or (we forgot) one that is still to be finished."""
    if state.since_seconds:
        return state, Action(do=Do.FREE)
    reason = signs.by.removeprefix(AGENT).strip()
    if QUARANTINE_WORD in reason:
        return _into(msgspec.structs.replace(state, held=True), Phase.QUARANTINED, reason, now=now), None
    return _into(state, Phase.RESTARTING, reason, now=now), None


def _draining(state: CareState, signs: Signs, rules: Care, *, now: float) -> Decision:
    if signs.operators:
        return _into(state, Phase.WATCHING, "", now=now), None
    lasted = now - state.since_seconds
    late = not 0 <= lasted < rules.drain_seconds
    if state.planned and late:
        state = msgspec.structs.replace(state, refresh_from_seconds=now + REFRESH_RETRY_SECONDS)
        return _into(state, Phase.WATCHING, "", now=now), Action(do=Do.FREE)
    if not is_same(signs.process, state.ended):
        return _into(msgspec.structs.replace(state, ended=None), Phase.RESTARTING, state.reason, now=now), None
    if signs.works and not state.planned and not state.heavy_seconds:
        return _into(state, Phase.WATCHING, "", now=now), Action(do=Do.FREE)
    if (signs.ours and signs.intent is Intent.DRAINED) or late or not signs.gateway:
        return _ended(state, now=now)
    return state, None if signs.ours else Action(do=Do.DRAIN, by=f"{AGENT} {state.reason}")


def _ended(state: CareState, *, now: float) -> Decision:
    """The process is to go: this is a restart, and is counted before it is done."""
    state = msgspec.structs.replace(
        state,
        restarts=(*state.restarts, now),
        restarts_total=state.restarts_total + 1,
        restarted_at_seconds=now,
        restarted_for=state.reason,
    )
    return _into(state, Phase.RESTARTING, state.reason, now=now), Action(do=Do.END, process=state.ended)


def _restarting(state: CareState, signs: Signs, rules: Care, *, now: float, limit_bytes: int | None) -> Decision:
    lasted = now - state.since_seconds
    if state.ended is not None and is_same(signs.process, state.ended):
        return state, Action(do=Do.END if 0 <= lasted < FORCE_AFTER_SECONDS else Do.KILL, process=state.ended)
    over = not 0 <= lasted < COMES_BACK_WITHIN_SECONDS
    works = signs.works and signs.process is not None and (signs.ready_at_seconds or now) >= state.since_seconds
    if over or works:
        free = not signs.gateway or signs.intent is Intent.SERVING or signs.operators
        if over or free or (signs.intent is None and lasted > rules.drain_seconds):
            reason = "" if works else f"{state.reason}; it did not come back, and {_LEFT_ALONE}"
            return _into(state, Phase.WATCHING, reason, now=now), Action(do=Do.FREE) if signs.ours else None
        return state, Action(do=Do.FREE) if signs.ours else None
    why = _illness(state, signs, rules, limit_bytes=limit_bytes)
    if why is None or signs.process is None:
        return state, None
    if len(state.restarts) >= rules.most_restarts:
        reason = _left_alone(why, rules)
        return _into(state, Phase.WATCHING, reason, now=now), Action(do=Do.FREE) if signs.ours else None
    return _ended(msgspec.structs.replace(state, ended=signs.process, reason=why, planned=False), now=now)


def _quarantined(state: CareState, signs: Signs, *, now: float) -> Decision:
    """It stays drained until somebody resumes it, which is seen as a drain that is gone."""
    if signs.operators or (signs.ours and QUARANTINE_WORD in signs.by):
        return (state if state.held else msgspec.structs.replace(state, held=True)), None
    if signs.intent is None:
        return state, None
    if state.held and not signs.ours:
        return _into(msgspec.structs.replace(state, strikes=(), held=False), Phase.WATCHING, "", now=now), None
    return state, Action(do=Do.DRAIN, by=f"{AGENT} {state.reason}")


def _illness(state: CareState, signs: Signs, rules: Care, *, limit_bytes: int | None) -> str | None:
    """Why it is to be restarted; None when it is not."""
    after = rules.restart_after_seconds
    if after is not None:
        patience = after if is_same(signs.process, state.proved) else max(after, FIRST_START_SECONDS)
        patience = max(patience, BUSY_SECONDS) if signs.in_flight else patience
        if state.bad_seconds > 0 and state.bad_seconds >= patience:
            problem = f" ({signs.problem})" if signs.problem else ""
            said = "it refused every request" if signs.refusing_seconds is not None else "it generated nothing"
            return f"{said} for {seconds_text(state.bad_seconds)}{problem}"
    if limit_bytes is not None and state.heavy_seconds >= HEAVY_SECONDS:
        return f"its footprint is {bytes_text(signs.footprint_bytes)}, more than the {bytes_text(limit_bytes)} allowed"
    return None


def _is_stale(state: CareState, signs: Signs, rules: Care, *, now: float) -> bool:
    """Whether its refresh is due and costs nobody anything. Each node has a time of its own within a quarter more."""
    if rules.refresh_seconds is None or signs.started_at_seconds is None or now < state.refresh_from_seconds:
        return False
    age = now - signs.started_at_seconds
    quiet = signs.in_flight == 0 and not signs.waiting and now - (signs.served_at_seconds or 0.0) >= IDLE_SECONDS
    idle = not signs.gateway or (quiet and signs.intent is Intent.SERVING)
    return signs.works and idle and age >= rules.refresh_seconds * (1 + signs.jitter_ratio / 4)


def _left_alone(why: str | None, rules: Care) -> str:
    times = {0: "may not be restarted", 1: "was restarted once within the hour"}
    said = times.get(rules.most_restarts, f"was restarted {rules.most_restarts} times within the hour")
    return f"{why or 'it is due'}; it {said}, and {_LEFT_ALONE}"


def _with_notice(state: CareState, reason: str, *, now: float) -> CareState:
    """Still watching; for a while after a panic that is told."""
    if not reason and state.strikes and 0 <= now - state.strikes[-1] < PANIC_TOLD_SECONDS:
        reason = "the kernel panicked while it ran: it is tried once more, a second time within 7 days ends its service"
    if reason == state.reason:
        return state
    return msgspec.structs.replace(state, reason=reason, since_seconds=now)


def _into(state: CareState, phase: Phase, reason: str, *, now: float) -> CareState:
    over = phase is Phase.WATCHING
    return msgspec.structs.replace(
        state,
        phase=phase,
        reason=reason,
        since_seconds=now,
        planned=state.planned and not over,
        ended=None if over else state.ended,
        bad_seconds=state.bad_seconds if phase is Phase.DRAINING else 0.0,
    )
