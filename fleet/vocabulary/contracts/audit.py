"""The audit: who did what to a node, one line each, chained by hashes. Standard library only; travels with sync.

A node keeps one (ROOT/state/audit.jsonl), and so does a project (.fleet/audit.jsonl). A line's `chain` is the SHA-256
over the `chain` before it and the line itself: a line that was changed, taken out or put in is told. It proves no
more than that: whoever may write the file can write a whole new one. No line ever holds a secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fleet.vocabulary.contracts.codec import ContractError, canonical, decode

BEGINNING = "0" * 64


@dataclass(frozen=True, kw_only=True)
class AuditLine:
    """One thing that was done, or tried. Unknown is None.

    `action`: deploy, rollback, uninstall, adopt, drain, resume, reboot, steal. `before`/`after` are state ids. `plan`
    is the digest of the steps that were shown. `key_fingerprint` is that of the SSH key, as the laptop says.
    `outcome`: unchanged, committed, reverted, failed; on a laptop also unreachable and skipped.
    """

    seq: int
    at_seconds: float
    action: str
    outcome: str
    node: str | None = None
    run_id: str | None = None
    operator: str = ""
    key_fingerprint: str | None = None
    plan: str | None = None
    before: str | None = None
    after: str | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    fleet_version: str | None = None
    seconds: float | None = None
    text: str = ""
    chain: str = ""


def chained(line: AuditLine, previous: AuditLine | None) -> AuditLine:
    """The line as it stands behind `previous`: with its number and its hash."""
    numbered = replace(line, seq=previous.seq + 1 if previous else 1, chain="")
    return replace(numbered, chain=_link(numbered, previous.chain if previous else BEGINNING))


def parse_audit(raw: bytes) -> tuple[tuple[AuditLine, ...], str | None]:
    """The readable lines, and where the chain does not hold; a torn last line (no end) is not there."""
    lines: list[AuditLine] = []
    broken: str | None = None
    for number, text in enumerate(raw.split(b"\n")[:-1], 1):
        try:
            lines.append(decode(text, AuditLine))
        except ContractError:
            broken = broken or f"line {number} cannot be read"
    return tuple(lines), broken or broken_chain(lines)


def last_line(raw: bytes) -> AuditLine | None:
    """The last readable line of a file, as `parse_audit` reads it: what the next one is chained to."""
    for text in reversed(raw.split(b"\n")[:-1]):
        try:
            return decode(text, AuditLine)
        except ContractError:
            continue
    return None


def broken_chain(lines: Sequence[AuditLine]) -> str | None:
    """Where the chain does not hold; None when it does. The first line may stand on lines that were rotated away."""
    previous = BEGINNING if lines and lines[0].seq == 1 else None
    expected = lines[0].seq if lines else 1
    for line in lines:
        if line.seq != expected:
            return f"behind {expected - 1} comes {line.seq}"
        if previous is not None and line.chain != _link(replace(line, chain=""), previous):
            return f"line {line.seq} is not the one that was written"
        previous, expected = line.chain, line.seq + 1
    return None


def _link(line: AuditLine, previous: str) -> str:
    return hashlib.sha256(previous.encode() + canonical(line)).hexdigest()
