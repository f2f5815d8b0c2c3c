"""The node's audit: ROOT/state/audit/SEQ.jsonl, root's alone, each file named by its first line's number.

A file that grew too long is followed by another one; the chain of hashes goes on through them. Whoever writes holds
the node's lock.
"""

from __future__ import annotations

import re

from fleet.node.sync.machine import Machine
from fleet.vocabulary.contracts.audit import AuditLine, chained, last_line, parse_audit
from fleet.vocabulary.contracts.codec import canonical
from fleet.vocabulary.contracts.questions import AuditLines, ReadAudit
from fleet.vocabulary.contracts.sync import RunRequest

_FILE_BYTES = 1 << 20
_FILES = 5
_MAKE_LIVE = frozenset({"deploy", "rollback"})
_NAME = re.compile(r"[0-9]{12}\.jsonl")


def record(machine: Machine, line: AuditLine) -> None:
    """Write one line, numbered and chained; the same end of a run is not written twice. Raises OSError, Problem."""
    folder, disk = _folder(machine), machine.disk
    disk.directory(folder, mode=0o700)
    names = _names(machine)
    newest = f"{folder}/{names[-1]}" if names else ""
    raw = disk.read(newest) or b"" if newest else b""
    whole = raw.rfind(b"\n") + 1
    last = _last(machine, names)
    if last is not None and line.run_id is not None and _what(last) == _what(line):
        return
    linked = chained(line, last)
    if whole < len(raw):
        disk.truncate(newest, whole)
    if not newest or whole >= _FILE_BYTES:
        newest = f"{folder}/{linked.seq:012d}.jsonl"
        for name in names[: max(0, len(names) + 1 - _FILES)]:
            disk.remove(f"{folder}/{name}")
    disk.append(newest, canonical(linked) + b"\n")


def record_run(machine: Machine, request: RunRequest, *, outcome: str, after: str | None, text: str) -> None:
    """Write how a run ended. Raises OSError, Problem."""
    now = machine.clock.now().timestamp()
    line = AuditLine(
        seq=0,
        at_seconds=now,
        action=request.action,
        outcome=outcome,
        run_id=request.run_id,
        operator=request.operator,
        key_fingerprint=request.key_fingerprint,
        plan=request.plan,
        before=request.previous,
        after=after,
        git_commit=request.git_commit,
        git_dirty=request.git_dirty,
        fleet_version=request.fleet_version,
        seconds=round(now - request.requested_at_seconds, 3),
        text=text[:500],
    )
    record(machine, line)


def read_audit(machine: Machine, wish: ReadAudit) -> AuditLines:
    """The lines behind `wish.after`, oldest first, and whether the whole chain holds."""
    lines, broken = _all(machine)
    behind = [line for line in lines if line.seq > wish.after]
    limit = max(1, min(wish.limit, 5000))
    return AuditLines(lines=tuple(behind[:limit]), broken=broken, more=len(behind) > limit)


def made_live(machine: Machine) -> dict[str, AuditLine]:
    """By state id: the last run that made it live."""
    lines, _ = _all(machine)
    made = (line for line in lines if line.outcome == "committed" and line.action in _MAKE_LIVE)
    return {line.after: line for line in made if line.after}


def left_live(machine: Machine) -> dict[str, float]:
    """By state id: when another release took its place the last time."""
    lines, _ = _all(machine)
    left = (line for line in lines if line.outcome == "committed" and line.before and line.before != line.after)
    return {line.before: line.at_seconds for line in left if line.before}


def _last(machine: Machine, names: list[str]) -> AuditLine | None:
    """The last line that can be read: the newest file may hold none yet."""
    for name in reversed(names):
        line = last_line(machine.disk.read(f"{_folder(machine)}/{name}") or b"")
        if line is not None:
            return line
    return None


def _what(line: AuditLine) -> tuple[str | None, str, str]:
    return line.run_id, line.action, line.outcome


def _all(machine: Machine) -> tuple[tuple[AuditLine, ...], str | None]:
    raw = b"".join(machine.disk.read(f"{_folder(machine)}/{name}") or b"" for name in _names(machine))
    return parse_audit(raw)


def _names(machine: Machine) -> list[str]:
    return [name for name in machine.disk.names(_folder(machine)) if _NAME.fullmatch(name)]


def _folder(machine: Machine) -> str:
    return machine.layout.state("audit")
