"""`tickets/` of a project: ID.json, which counts, and ID.md beside it, which reads."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

from fleet.errors import FleetError
from fleet.practice.tickets.change import RouteChange
from fleet.practice.tickets.text import markdown
from fleet.practice.tickets.ticket import Proposal, State, Ticket, merged
from fleet.practice.written import read_written

FOLDER = "tickets"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,150}")


class Proposer(Protocol):
    """Who knows the file in which the routes live. A front does not, so it has none."""

    def propose(self, changes: tuple[RouteChange, ...]) -> Proposal:
        """The exact change of that file. Raises FleetError when it cannot be made; the title says why, or ALREADY."""
        ...


class Filed(StrEnum):
    """What became of a ticket."""

    NEW = "new"
    UPDATED = "updated"
    REOPENED = "reopened"
    SAME = "same"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A ticket as it is in the folder now."""

    ticket: Ticket
    filed: Filed


def read_ticket(folder: Path, name: str) -> Ticket | None:
    """None when there is none of that id. Raises ConfigError for a file that is none."""
    if not _NAME.fullmatch(name):
        return None
    return read_written(folder / f"{name}.json", Ticket)


def read_tickets(folder: Path) -> tuple[Ticket, ...]:
    """All tickets: open ones first, the newest week first. Raises ConfigError."""
    names = sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []
    found = [ticket for name in names if (ticket := read_ticket(folder, name)) is not None]
    found.sort(key=lambda one: one.last.week, reverse=True)
    return tuple(sorted(found, key=lambda one: one.state is not State.OPEN))


def file_tickets(
    folder: Path, tickets: Iterable[Ticket], *, proposer: Proposer | None = None, keep: bool = True
) -> tuple[Outcome, ...]:
    """Open them, or bring those that are there up to date. To file the same again changes no file.

    Without `keep` it only says what would become of them.
    Raises ConfigError for a file that is no ticket, FleetError when the disk does not take it.
    """
    return tuple(_filed(folder, new, proposer, keep=keep) for new in tickets)


def _filed(folder: Path, new: Ticket, proposer: Proposer | None, *, keep: bool) -> Outcome:
    old = read_ticket(folder, new.id)
    ticket = _proposed(merged(old, new), proposer)
    if ticket == old and (folder / f"{new.id}.md").is_file():
        return Outcome(ticket=ticket, filed=Filed.SAME)
    if keep:
        write_ticket(folder, ticket)
    if old is None:
        return Outcome(ticket=ticket, filed=Filed.NEW)
    reopened = old.state is not State.OPEN and ticket.state is State.OPEN
    return Outcome(ticket=ticket, filed=Filed.REOPENED if reopened else Filed.UPDATED)


def write_ticket(folder: Path, ticket: Ticket) -> None:
    """Both files, each whole or as it was: the text first, so that what counts is never ahead of it."""
    _replace(folder / f"{ticket.id}.md", markdown(ticket).encode())
    _replace(folder / f"{ticket.id}.json", msgspec.json.format(msgspec.json.encode(ticket), indent=1) + b"\n")


def _proposed(ticket: Ticket, proposer: Proposer | None) -> Ticket:
    if proposer is None or ticket.state is not State.OPEN:
        return ticket
    if not ticket.changes:
        return msgspec.structs.replace(ticket, proposal=None, problem="")
    try:
        return msgspec.structs.replace(ticket, proposal=proposer.propose(ticket.changes), problem="")
    except FleetError as problem:
        return msgspec.structs.replace(ticket, proposal=None, problem=problem.title)


def _replace(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as problem:
        raise FleetError(f"{path} cannot be written: {problem.strerror or problem}") from None
