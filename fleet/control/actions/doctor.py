"""`fleet doctor`: read every node over one exec each, say what is wrong, and with a person's yes mend what is safe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.control.actions.doctor_examine import examine
from fleet.control.actions.doctor_findings import BAD, WORST_FIRST, Finding, Severity, Situation
from fleet.control.actions.doctor_probe import doctor_command, parse_readings
from fleet.control.actions.reach import require_adopted
from fleet.control.actions.spread import on_each
from fleet.control.actions.sudo import root_prefix
from fleet.control.inventory import Node
from fleet.control.link.protocol import Link, Session, target_of
from fleet.errors import FleetError, NodeError
from fleet.vocabulary.argv import posix
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.secret import Secret

_CONNECT_SECONDS = 15.0
_QUIET_SECONDS = 60.0
_FIX_SECONDS = 30.0
_CLOCK_SAID = b"\n== user "
"""What follows the node's clock, which is the first thing that it says."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What doctor says of one node, the worst first. `error` = the node could not be asked."""

    node: NodeName
    findings: tuple[Finding, ...] = ()
    error: FleetError | None = None

    @property
    def severity(self) -> Severity:
        """The worst of it; of a node that could not be asked nothing is known."""
        return self.findings[0].severity if self.findings else Severity.UNKNOWN

    @property
    def mendable(self) -> tuple[Finding, ...]:
        """What `--fix` may mend, every command once."""
        bad = [one for one in self.findings if one.automatic and one.severity in BAD]
        return tuple({one.command: one for one in bad}.values())


@dataclass(frozen=True, kw_only=True)
class Mended:
    """One fix that was tried. Exit status 0 is no proof: doctor looks again."""

    node: NodeName
    command: str
    status: int | None = None
    said: str = ""
    error: FleetError | None = None


def exit_code(reports: Sequence[Report]) -> int:
    """0 nothing worse than notes and unknowns, 1 findings, 3 not every node could be asked, 4 none was reached."""
    errors = [report.error for report in reports if report.error is not None]
    if errors and len(errors) < len(reports):
        return 3
    if errors:
        return 4 if all(error.exit_code == 4 for error in errors) else 1
    return int(any(finding.severity in BAD for report in reports for finding in report.findings))


def worst_first(reports: Sequence[Report]) -> tuple[Report, ...]:
    """Nodes that could not be asked, then by their worst finding, then by name."""
    return tuple(
        sorted(reports, key=lambda one: (one.error is None, WORST_FIRST.index(one.severity), one.node)),
    )


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Looks at nodes, as the SSH user. `base` is the project's folder, `password` sudo's where it wants one to mend."""

    link: Link
    clock: Clock
    base: Path
    password: Secret | None = None

    def look(self, nodes: Sequence[Node]) -> Iterator[Report]:
        """A report of every node, as they come. Nothing on them is changed."""
        return on_each(nodes, self._look, failed=lambda node, error: Report(node=node.name, error=error))

    def mend(self, nodes: Sequence[Node], reports: Sequence[Report]) -> Iterator[tuple[Mended, ...]]:
        """Run what is `mendable`, node by node, as they come."""
        wanted = {report.node: report.mendable for report in reports if report.mendable}
        return on_each(
            [node for node in nodes if node.name in wanted],
            lambda node: self._mend(node, wanted[node.name]),
            failed=lambda node, error: (Mended(node=node.name, command="", error=error),),
        )

    def _session(self, node: Node) -> Session:
        require_adopted(node)
        return self.link.connect(target_of(node, base=self.base), deadline_seconds=_CONNECT_SECONDS)

    def _look(self, node: Node) -> Report:
        session = self._session(node)
        try:
            asked_from = self.clock.now().timestamp()
            channel = session.exec(doctor_command(node))
            channel.close_write()
            said, asked_to = bytearray(), asked_from
            while part := channel.read_some(within_seconds=_QUIET_SECONDS):
                if _CLOCK_SAID not in said:  # behind whatever the login shell prints
                    asked_to = self.clock.now().timestamp()
                said += part
        finally:
            session.close()
        readings = parse_readings(said.decode("utf-8", "replace"), root=node.settings.root)
        if not readings.complete:
            raise NodeError(
                "its answer was cut off",
                node=node.name,
                detail=channel.stderr_tail.strip(),
                hint=f"again: fleet doctor {node.name}",
            )
        situation = Situation(node=node, readings=readings, asked_from=asked_from, asked_to=asked_to)
        return Report(node=node.name, findings=examine(situation))

    def _mend(self, node: Node, findings: Sequence[Finding]) -> tuple[Mended, ...]:
        session = self._session(node)
        try:
            free = not node.settings.sudo or self._sudo_is_free(session, node)
            prefix, secret = root_prefix(session, node, free=free, password=self.password)
            done: list[Mended] = []
            for finding in findings:
                status, said = 0, ""
                for step in finding.steps:
                    channel = session.exec(posix('exec "$@"', *prefix.plus(*step).words))
                    if secret is not None:
                        channel.write(f"{secret.reveal()}\n".encode())
                    channel.close_write()
                    status = channel.wait(within_seconds=_FIX_SECONDS)
                    said = channel.stderr_tail.strip()
                    if status:
                        break
                done.append(Mended(node=node.name, command=finding.command or "", status=status, said=said))
            return tuple(done)
        finally:
            session.close()

    def _sudo_is_free(self, session: Session, node: Node) -> bool:
        channel = session.exec(posix('exec "$@"', node.settings.layout().command("sudo"), "-n", "true"))
        channel.close_write()
        return channel.wait() == 0
