"""Doctor's reports for people: one block per node, worst first. Every state has a shape, a word and a colour."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import click

from fleet.control.actions.doctor import Mended, Report, worst_first
from fleet.control.actions.doctor_findings import WORST_FIRST, Finding, Severity

_WIDTH = 80
_LOOK: dict[Severity, tuple[str, str, str, str]] = {
    Severity.CRITICAL: ("■", "X", "CRIT", "red"),
    Severity.WARN: ("▲", "!", "warn", "yellow"),
    Severity.UNKNOWN: ("?", "?", "unknown", "cyan"),
    Severity.NOTE: ("·", ".", "note", "blue"),
    Severity.OK: ("●", "+", "ok", "green"),
}
_COUNTED = {Severity.CRITICAL: "critical", Severity.WARN: "warn", Severity.UNKNOWN: "unknown", Severity.NOTE: "note"}


def blocks(reports: Sequence[Report], *, unicode: bool = True) -> Iterator[str]:
    """The whole picture, line by line. What is well is counted, not listed. Commands are never broken."""
    for at, report in enumerate(worst_first(reports)):
        if at:
            yield ""
        yield from _block(report, unicode=unicode)


def plain_lines(reports: Sequence[Report]) -> Iterator[str]:
    """One fact per line: NODE SEVERITY CHECK WHAT, what is well too; NODE fix CHECK WHERE COMMAND."""
    for report in worst_first(reports):
        if report.error is not None:
            yield f"{report.node} error {report.error.code} {_one_line(report.error.title)}"
        for finding in report.findings:
            yield f"{report.node} {finding.severity} {finding.id} {_one_line(finding.seen)}"
            if finding.command and finding.severity is not Severity.OK:
                yield f"{report.node} fix {finding.id} {finding.where} {finding.command}"


def reports_json(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """The reports as JSON has them."""
    return [
        {
            "node": report.node,
            "severity": str(report.severity),
            "error": {"code": report.error.code, "text": report.error.text} if report.error else None,
            "findings": [
                {
                    "id": finding.id,
                    "severity": str(finding.severity),
                    "node": finding.node,
                    "seen": finding.seen,
                    "why": finding.why,
                    "fix": {"command": finding.command, "where": finding.where, "automatic": finding.automatic}
                    if finding.command
                    else None,
                    "advice": finding.advice or None,
                }
                for finding in report.findings
            ],
        }
        for report in worst_first(reports)
    ]


def mended_json(mended: Sequence[Mended]) -> list[dict[str, Any]]:
    """What `--fix` ran."""
    return [
        {
            "node": one.node,
            "command": one.command or None,
            "status": one.status,
            "said": one.said or None,
            "error": one.error.text if one.error else None,
        }
        for one in mended
    ]


def _block(report: Report, *, unicode: bool) -> Iterator[str]:
    name = click.style(report.node, bold=True)
    if report.error is not None:
        yield f"{name}  {_state(Severity.UNKNOWN, unicode=unicode)}  could not be asked"
        text = report.error.text.removeprefix(f"{report.node}: ")
        yield from _filled(text.splitlines(), lead="    ")
        return
    yield f"{name}  {_state(report.severity, unicode=unicode)}  {_counts(report.findings)}"
    for finding in report.findings:
        if finding.severity is not Severity.OK:
            yield from _finding(finding, unicode=unicode)


def _finding(finding: Finding, *, unicode: bool) -> Iterator[str]:
    shape, letter, word, colour = _LOOK[finding.severity]
    head = f"{shape if unicode else letter} {word:<7} "
    first, *more = textwrap.wrap(
        f"{finding.id}: {finding.seen}", _WIDTH - 2 - len(head), break_long_words=False, break_on_hyphens=False
    )
    yield f"  {click.style(head, fg=colour)}{first}"
    yield from (" " * (2 + len(head)) + line for line in more)
    if finding.severity in (Severity.CRITICAL, Severity.WARN):
        yield from _filled([finding.why], lead=" " * 12)
    if finding.command:
        where = "" if finding.where == "laptop" else f" (on {finding.node})"
        yield " " * 12 + click.style(f"fix{where}:", fg="green")
        yield " " * 14 + finding.command
    if finding.advice:
        yield from _filled([finding.advice], lead=" " * 12)


def _state(severity: Severity, *, unicode: bool) -> str:
    shape, letter, word, colour = _LOOK[severity]
    return click.style(f"{shape if unicode else letter} {word}", fg=colour, bold=severity is Severity.CRITICAL)


def _counts(findings: Sequence[Finding]) -> str:
    counted = Counter(finding.severity for finding in findings)
    said = [f"{counted[one]} {_COUNTED[one]}" for one in WORST_FIRST if one in _COUNTED and counted[one]]
    return ", ".join([*said, f"{counted[Severity.OK]} well"])


def _filled(lines: Sequence[str], *, lead: str) -> Iterator[str]:
    for line in lines:
        yield from textwrap.wrap(
            line.strip(),
            _WIDTH,
            initial_indent=lead,
            subsequent_indent=lead,
            break_long_words=False,
            break_on_hyphens=False,
        )


def _one_line(text: str) -> str:
    return " ".join(text.split())
