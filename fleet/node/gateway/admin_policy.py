"""Money and policy at the admin door (contracts/policy_admin.py): what was spent, gray pools, incidents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec
from aiohttp import web

from fleet.node.gateway.policy.budgetreport import budget_report
from fleet.node.gateway.policy.graykeeper import NotArmed
from fleet.node.gateway.policy.office import PolicyOffice
from fleet.traffic.budget.incidents import CLOSED, OPENED
from fleet.traffic.budget.limits import Kind, Scope
from fleet.traffic.openai_error import ApiError, Refused
from fleet.vocabulary.contracts.ledger import Note
from fleet.vocabulary.contracts.policy_admin import (
    GrayReports,
    GrayRequest,
    Incident,
    IncidentRequest,
    Incidents,
)

T = TypeVar("T")
_SHOWN_MILLISECONDS = 90 * 24 * 3600 * 1000
_LONGEST_NAME = 128
_LONGEST_OPEN_SECONDS = 366 * 24 * 3600.0


class PolicyDoors:
    """Opens its doors on the admin application. `office` is None where the gateway has no policy."""

    def __init__(self, office: PolicyOffice | None) -> None:
        self._office = office

    def open(self, app: web.Application) -> None:
        """Add the doors."""
        app.router.add_get("/admin/budget", self._budget)
        app.router.add_get("/admin/gray", self._gray)
        app.router.add_post("/admin/gray", self._turn_gray)
        app.router.add_get("/admin/incidents", self._incidents)
        app.router.add_post("/admin/incidents", self._turn_incident)

    async def _budget(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp's signature)
        return _json(budget_report(self._known().desk))

    async def _gray(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp's signature)
        return _json(self._pools())

    async def _turn_gray(self, request: web.Request) -> web.Response:
        asked, office = await _read(request, GrayRequest), self._known()
        if asked.route not in office.desk.rules.gray_routes:
            known = ", ".join(office.desk.rules.gray_routes) or "none"
            raise _refused(404, f"there is no gray route {asked.route!r} here: {known}", code="route_not_found")
        try:
            office.keeper.turn(asked)
        except NotArmed as problem:
            raise _refused(409, str(problem), code="not_armed") from None
        return _json(self._pools())

    async def _incidents(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp's signature)
        return _json(self._told())

    async def _turn_incident(self, request: web.Request) -> web.Response:
        asked, office = await _read(request, IncidentRequest), self._known()
        treasury, now = office.treasury, office.treasury.now
        if not 0 < len(asked.name) <= _LONGEST_NAME or not asked.name.isprintable():
            raise _refused(400, "an incident has a name of at most 128 printable characters")
        until = None if asked.until_seconds is None else round(asked.until_seconds * 1000)
        if asked.open and (until is None or not now < until <= now + _LONGEST_OPEN_SECONDS * 1000):
            raise _refused(400, "an incident is opened until a moment that is to come, a year away at most")
        kind = OPENED if asked.open else CLOSED
        treasury.write(
            Note(
                id=f"{kind}/{asked.name}/{now}",
                kind=kind,
                subject=asked.name,
                at_milliseconds=now,
                by=asked.by,
                until_milliseconds=until if asked.open else None,
            )
        )
        return _json(self._told())

    def _pools(self) -> GrayReports:
        office = self._known()
        reports = tuple(office.keeper.report(pool) for pool in office.desk.rules.gray_routes)
        return GrayReports(node=self._node, at_seconds=office.treasury.now / 1000, routes=reports)

    def _told(self) -> Incidents:
        office = self._known()
        treasury, now = office.treasury, office.treasury.now
        found = incidents_told(treasury.notes, now)
        month = treasury.book.calendar.month(now)
        spent = [
            msgspec.structs.replace(one, spent_pico=treasury.book.sum(Scope(Kind.INCIDENT, one.name), month).spent)
            for one in found
        ]
        return Incidents(node=self._node, at_seconds=now / 1000, incidents=tuple(spent))

    def _known(self) -> PolicyOffice:
        if self._office is None:
            raise _refused(404, "this gateway has no policy", code="no_policy")
        return self._office

    @property
    def _node(self) -> str:
        return self._known().desk.rules.loaded.config.node


def incidents_told(notes: Iterable[Note], now: int) -> list[Incident]:
    """The incidents of the last 90 days, the newest first, from notes in any order. Pure."""
    found: dict[str, Incident] = {}
    known = sorted(
        (note for note in notes if note.kind in (OPENED, CLOSED)),
        key=lambda note: (note.at_milliseconds, note.kind == CLOSED, note.id),
    )
    for note in known:
        at, before = note.at_milliseconds / 1000, found.get(note.subject)
        if note.kind == CLOSED:
            if before is not None and before.closed_seconds is None:
                found[note.subject] = msgspec.structs.replace(before, closed_seconds=at)
            continue
        goes_on = before is not None and before.closed_seconds is None and before.until_seconds > at
        found[note.subject] = Incident(
            name=note.subject,
            opened_seconds=before.opened_seconds if before is not None and goes_on else at,
            until_seconds=(note.until_milliseconds if note.until_milliseconds is not None else 2**53) / 1000,
            by=note.by,
        )
    recent = [one for one in found.values() if one.opened_seconds * 1000 >= now - _SHOWN_MILLISECONDS]
    return sorted(recent, key=lambda one: -one.opened_seconds)


async def _read(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(400, f"the request cannot be read: {error}", code="invalid_request") from None


def _refused(status: int, message: str, *, code: str = "invalid_request") -> Refused:
    return Refused(ApiError(status=status, message=message, code=code))


def _json(data: object) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(data), content_type="application/json", headers={"Cache-Control": "no-store"}
    )
