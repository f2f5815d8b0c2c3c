"""Every check of doctor over the readings of one node. Pure."""

from __future__ import annotations

from fleet.control.actions.doctor_findings import WORST_FIRST, Check, Finding, Severity, Situation
from fleet.control.actions.doctor_machine import MACHINE
from fleet.control.actions.doctor_openclaw import OPENCLAW
from fleet.control.actions.doctor_power import POWER
from fleet.control.actions.doctor_services import SERVICES
from fleet.control.actions.doctor_stores import STORES

CHECKS: tuple[Check, ...] = (*POWER, *MACHINE, *SERVICES, *STORES, *OPENCLAW)
"""What doctor looks at, in the order of docs/doctor.md."""


def examine(situation: Situation) -> tuple[Finding, ...]:
    """What there is to say of a node, the worst first, otherwise in the order of the checks."""
    found = [finding for check in CHECKS for finding in _findings(check, situation)]
    return tuple(sorted(found, key=lambda finding: WORST_FIRST.index(finding.severity)))


def _findings(check: Check, situation: Situation) -> list[Finding]:
    return [
        Finding(
            id=check.id,
            severity=verdict.severity,
            node=situation.node.name,
            seen=verdict.seen,
            why=check.why,
            command=remedy.command if remedy else None,
            where=remedy.where if remedy and remedy.commands else None,
            automatic=bool(remedy and remedy.automatic),
            advice=remedy.words if remedy else _advice(verdict.severity),
            steps=tuple(argv.words for argv in remedy.commands) if remedy and remedy.automatic else (),
        )
        for verdict in check.judge(situation)
        for remedy in (verdict.remedy,)
    ]


def _advice(severity: Severity) -> str:
    return "look on the Mac itself" if severity is Severity.UNKNOWN else ""
