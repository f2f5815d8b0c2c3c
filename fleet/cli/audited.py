"""Writing what a command did to nodes into this laptop's audit, for the verbs that are no runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import click

import fleet
from fleet.cli.context import narrate, project_of
from fleet.cli.doors import who
from fleet.control.actions.audit import audit_file
from fleet.errors import FleetError, Unreachable
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.audit import AuditLine
from fleet.vocabulary.names import NodeName


def write_down(
    ctx: click.Context,
    action: str,
    nodes: Iterable[NodeName],
    errors: Mapping[NodeName, FleetError],
    *,
    text: str = "",
    run_id: str | None = None,
) -> None:
    """One line for each node; `run_id` is that of the node's own line, where it writes one.

    An audit that cannot be written is told, and stops nothing: it is done already.
    """
    file, now = audit_file(project_of(ctx)), SystemClock().now().timestamp()
    try:
        for node in nodes:
            error = errors.get(node)
            line = AuditLine(
                seq=0,
                at_seconds=now,
                action=action,
                run_id=run_id,
                outcome="committed" if error is None else _outcome(error),
                node=node,
                operator=who(),
                fleet_version=fleet.__version__,
                text=text if error is None else error.title,
            )
            file.add(line)
    except OSError as error:
        narrate(f"the audit of this laptop could not be written: {error}")


def _outcome(error: FleetError) -> str:
    return "unreachable" if isinstance(error, Unreachable) else "failed"
