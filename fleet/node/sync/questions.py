"""What a laptop may ask in the place of a deploy: the audit, the history, a kept release, a walk, a confirmation."""

from __future__ import annotations

from collections.abc import Callable

from fleet.node.sync import releases
from fleet.node.sync.audit import made_live, read_audit
from fleet.node.sync.blobs import Blobs
from fleet.node.sync.journal import read_events
from fleet.node.sync.machine import Machine
from fleet.node.sync.models import list_models
from fleet.node.sync.pending import confirmation, pending_run
from fleet.node.sync.problem import Problem
from fleet.node.sync.reboot import prove
from fleet.node.sync.verify import verify
from fleet.vocabulary.contracts.audit import AuditLine
from fleet.vocabulary.contracts.questions import (
    AuditLines,
    Confirm,
    Confirmed,
    History,
    KeptRelease,
    ListModels,
    Models,
    Prove,
    Proved,
    ReadAudit,
    ReadHistory,
    Recall,
    Recalled,
    Verified,
    Verify,
)
from fleet.vocabulary.contracts.sync import Progress


def answer(
    machine: Machine,
    question: Confirm | ReadAudit | ReadHistory | Verify | Prove | ListModels,
    *,
    told: Callable[[Progress], None] = lambda _: None,
) -> Confirmed | AuditLines | History | Verified | Proved | Models:
    """The answer; `told` hears how far a long one is. Raises Problem."""
    match question:
        case Confirm():
            return confirm(machine, question.run_id)
        case ReadAudit():
            return read_audit(machine, question)
        case ReadHistory():
            return history(machine)
        case Verify():
            return verify(machine, told=told if question.progress else lambda _: None)
        case Prove():
            return prove(machine)
        case ListModels():
            return list_models(machine)


def confirm(machine: Machine, run_id: str) -> Confirmed:
    """Tell the run that waits for it. A second time is as good as the first. Raises Problem `no_run`."""
    events = read_events(machine, run_id)
    ended = [event.outcome for event in events if event.phase == "end"]
    if ended == ["committed"] and any(event.phase == "confirm" for event in events):
        return Confirmed(run_id=run_id)
    waits = any(event.phase == "confirm" for event in events) and not any(event.phase == "revert" for event in events)
    if ended or pending_run(machine) != run_id or not waits:
        why = f"it ended: {ended[0]}" if ended else "it does not wait for a confirmation"
        raise Problem(f"run {run_id} cannot be confirmed", code="no_run", detail=why)
    machine.disk.write(confirmation(machine, run_id), b"", mode=0o600)
    return Confirmed(run_id=run_id)


def history(machine: Machine) -> History:
    """The kept releases, the live one first, then by when they were live last."""
    current = releases.current_id(machine)
    runs = made_live(machine)
    kept = [_kept(machine, state_id, current, runs.get(state_id)) for state_id in releases.kept_ids(machine)]
    kept.sort(key=lambda one: (one.live, one.made_live.seq if one.made_live else 0), reverse=True)
    return History(releases=tuple(kept))


def recall(machine: Machine, wish: Recall) -> Recalled:
    """A kept release, by the beginning of its id; else the one that was live before the live one. Raises Problem."""
    kept = history(machine).releases
    if wish.state_id is None:
        found = [one for one in kept if not one.live and one.made_live][:1]
        if not found:
            raise Problem("no release was live before this one", code="no_release", hint="fleet history shows them")
    else:
        found = [one for one in kept if wish.state_id and one.state_id.startswith(wish.state_id)]
        if len(found) != 1:
            what = "more than one kept release begins" if found else "no kept release begins"
            raise Problem(f"{what} with {wish.state_id}", code="no_release", hint="fleet history shows them")
    state = releases.load(machine, found[0].state_id)
    if state is None:
        raise Problem(f"the record of release {found[0].state_id[:12]} cannot be read", code="no_release")
    return Recalled(state=state)


def _kept(machine: Machine, state_id: str, current: str | None, line: AuditLine | None) -> KeptRelease:
    state = releases.load(machine, state_id)
    return KeptRelease(
        state_id=state_id,
        live=state_id == current,
        bad=releases.why_bad(machine, state_id),
        missing=len(Blobs(machine=machine, state=state).wanted()) if state else 0,
        made_live=line,
    )
