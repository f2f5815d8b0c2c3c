"""Runs that were: their records while they go on, what is left of one, and following it from elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fleet
from fleet.control.rollout.journal import events_of, now_path
from fleet.control.rollout.moves import GOOD
from fleet.control.rollout.nodejob import NodeJob, NodeResult
from fleet.control.rollout.runrecord import RunRecord, RunStore
from fleet.control.rollout.walk import Walk
from fleet.errors import UsageError
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.contracts.events import RunEvent
from fleet.vocabulary.names import NodeName, RunId

_POLL_SECONDS = 0.2
_KEPT_RUNS = 300


class Recorder:
    """Keeps the record of one run as it goes. Nodes end in threads of their own."""

    def __init__(self, record: RunRecord, store: RunStore, *, clock: Clock) -> None:
        self._record = record
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()

    def finish(self, result: NodeResult) -> None:
        """A node has ended; the next save tells."""
        why = result.detail or (result.error.title if result.error else "")
        with self._lock:
            self._record = replace(
                self._record,
                outcomes={**self._record.outcomes, result.name: result.outcome},
                why={**self._record.why, result.name: why} if why else self._record.why,
            )

    def save(self, walk: Walk) -> None:
        """The run stands so."""
        with self._lock:
            self._record = replace(self._record, walk=walk)
            self._store.save(self._record)

    def close(self) -> None:
        """Nobody drives the run any more; unless nodes still wait, it is over."""
        walk = self._record.walk
        with self._lock:
            if not (walk.waiting or walk.away or walk.undo):
                self._record = replace(self._record, ended_at=self._clock.now().isoformat(timespec="seconds"))
            self._store.save(self._record)
        self._store.prune(keep=_KEPT_RUNS)


def record_of(
    run_id: RunId,
    walk: Walk,
    *,
    playbook: str,
    overrides: Sequence[str],
    action: str,
    operator: str,
    jobs: Mapping[NodeName, NodeJob],
    before: Mapping[NodeName, str],
    results: Mapping[NodeName, NodeResult],
    clock: Clock,
) -> RunRecord:
    """The record of a run that begins now."""
    return RunRecord(
        run_id=run_id,
        began_at=clock.now().isoformat(timespec="seconds"),
        operator=operator,
        playbook=playbook,
        action=action,
        fleet_version=fleet.__version__,
        walk=walk,
        states={name: job.compiled.state.state_id for name, job in jobs.items()},
        before=dict(before),
        outcomes={name: result.outcome for name, result in results.items()},
        why={name: result.error.title for name, result in results.items() if result.error},
        sets=tuple(sorted(word.partition("=")[0] for word in overrides)),
    )


def going_on(old: RunRecord, now: RunRecord) -> RunRecord:
    """The record of a run that somebody takes up again: as it began, and as it stands now."""
    return replace(
        old,
        walk=now.walk,
        states={**old.states, **now.states},
        before={**now.before, **old.before},
        outcomes={**old.outcomes, **now.outcomes},
        why={**old.why, **now.why},
    )


def to_retry(record: RunRecord) -> str:
    """The selector of a run's nodes that are not as they should be. Raises UsageError when there are none."""
    if not record.to_retry:
        raise UsageError(
            f"in run {record.run_id} every node came to be as it should be: nothing to retry",
            hint="fleet runs lists the runs; fleet deploy looks at all nodes",
        )
    return ",".join(record.to_retry)


def to_resume(record: RunRecord, *, live: bool, action: str = "deploy") -> tuple[NodeName, ...]:
    """A run's nodes, for the command `action`.

    Raises UsageError when the run is over, when somebody still drives it, or when another command goes on with it.
    """
    if live:
        raise UsageError(f"run {record.run_id} is still going on here", hint=f"fleet attach {record.run_id} follows it")
    if record.ended_at is not None:
        raise UsageError(
            f"run {record.run_id} is over: nothing is left to resume",
            hint="fleet deploy --failed retries the nodes that are not as they should be",
        )
    if record.action != action:
        raise UsageError(f"run {record.run_id} is a {record.action}", hint=f"{going_on_words(record)} goes on with it")
    return tuple(node for batch in record.walk.batches for node in batch.nodes)


def going_on_words(record: RunRecord) -> str:
    """What to type to go on with a run that was left."""
    return f"fleet {record.action} --resume {record.run_id}"


def require_same_states(record: RunRecord, jobs: Mapping[NodeName, NodeJob], *, force: bool) -> None:
    """Raise UsageError when what is left of a run would bring other states than it began with."""
    open_ones = {*record.walk.waiting, *record.walk.out}
    other = [
        name
        for name, job in jobs.items()
        if name in open_ones and record.states.get(name) != job.compiled.state.state_id
    ]
    if other and not force:
        sets = f"\nthe run was begun with --set {', '.join(record.sets)}: give the same" if record.sets else ""
        raise UsageError(
            f"inventory and playbook say something else than when run {record.run_id} began",
            detail=f"other states for {', '.join(sorted(other))}",
            hint=f"go back to that commit\nor begin a new run: fleet deploy\nor go on all the same: --force{sets}",
        )


def verdict_words(record: RunRecord, *, live: bool) -> str:
    """Where a run stands, in a word."""
    if live:
        return "going on"
    if record.ended_at is None:
        return "left"
    return "well" if all(outcome in GOOD for outcome in record.outcomes.values()) else "not well"


def run_rows(record: RunRecord, *, live: bool) -> dict[str, Any]:
    """A run for programs, schema 1: what `fleet runs --json` says of it."""
    return {
        "run": record.run_id,
        "action": record.action,
        "state": verdict_words(record, live=live).replace(" ", "_"),
        "began_at": record.began_at,
        "ended_at": record.ended_at,
        "operator": record.operator,
        "playbook": record.playbook,
        "fleet_version": record.fleet_version,
        "nodes": {
            node: {
                "outcome": record.outcomes.get(node),
                "state_id": record.states.get(node),
                "before": record.before.get(node),
                "why": record.why.get(node, ""),
            }
            for node in dict.fromkeys([*record.states, *record.outcomes])
        },
        "to_retry": list(record.to_retry),
        "to_come": list(record.walk.waiting),
    }


class Tail:
    """The events of a run from its first, each once; of a live one the newest progress, too."""

    def __init__(self, store: RunStore, run_id: RunId) -> None:
        self._store = store
        self._run_id = run_id
        self._offset = 0
        self._seen: dict[str, int] = {}

    def more(self) -> tuple[bool, tuple[RunEvent, ...]]:
        """Whether somebody here drove it when this was read, and what has come since the last time."""
        live = self._store.is_live(self._run_id)
        journal = self._store.journal(self._run_id)
        raw = _read(journal, self._offset)
        whole = raw[: raw.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = [*events_of(whole), *(events_of(_read(now_path(journal))) if live else ())]
        new = []
        for event in found:
            if event.status != "progress" or event.seq > self._seen.get(event.node, 0):
                self._seen[event.node] = event.seq
                new.append(event)
        return live, tuple(new)


def follow(store: RunStore, run_id: RunId, *, clock: Clock) -> Iterator[RunEvent]:
    """The events of a run from its first, and on as long as somebody here drives it."""
    tail = Tail(store, run_id)
    while True:
        live, events = tail.more()
        yield from events
        if not live:
            return
        clock.sleep(_POLL_SECONDS)


def _read(path: Path, offset: int = 0) -> bytes:
    """What the file has from there on; nothing when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read()
    except OSError:
        return b""
