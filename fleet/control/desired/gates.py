"""Health checks -> the gates that a node proves itself by. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fleet.control.desired.expand import NodePlaybook
from fleet.control.desired.roster import Roster
from fleet.control.desired.states import ServiceSpec
from fleet.control.inventory.nearest import did_you_mean
from fleet.control.playbook.health import GenerateCheck, HttpCheck, LaunchdCheck, PortCheck
from fleet.control.playbook.playbook import HealthCheck
from fleet.control.playbook.shapes import given, seconds, whole
from fleet.errors import PlaybookError
from fleet.vocabulary.contracts.desired import Gate, GenerateGate, HttpGate, LaunchdGate, PortGate


def gates_of(
    book: NodePlaybook, own: Roster, services: Collection[ServiceSpec], elsewhere: Collection[str]
) -> tuple[Gate, ...]:
    """The gates of a node, each once. Raises PlaybookError.

    A check of a daemon that `when` keeps off this node is left out; `elsewhere` are the daemons that the playbook
    names anywhere, and any other name is a mistake.
    """
    known = {service.name: service for service in services}
    asked = {sidecar.service: sidecar.asked for sidecar in own.sidecars}
    gates: dict[Gate, None] = {}
    for check in book.checks:
        name = book.fill_check(check).daemon
        if name in known:
            gates[_gate(book, check, known[name], asked)] = None
        elif name not in elsewhere:
            hint = did_you_mean(name, {*known, *elsewhere}) or f"there is: {', '.join(known)}"
            raise PlaybookError(f"health: no daemon is called {name!r}", place=check.place, hint=hint)
    return tuple(gates)


def _gate(book: NodePlaybook, checked: HealthCheck, service: ServiceSpec, asked: Mapping[str, str]) -> Gate:
    place = checked.place
    check = book.fill_check(checked)
    within = seconds(check.within, place=place, what="within")
    match check:
        case LaunchdCheck():
            return LaunchdGate(
                label=service.label,
                stable_seconds=seconds(check.stable_for, place=place, what="stable_for"),
                max_restarts=whole(check.max_restarts, place=place, what="max_restarts"),
                within_seconds=within,
            )
        case HttpCheck():
            url = _url(service, place) + check.path
            return HttpGate(label=service.label, url=url, status=check.status, within_seconds=within)
        case GenerateCheck():
            if service.name not in asked:
                raise PlaybookError(f"health: {service.name} is no sidecar, it generates nothing", place=place)
            return GenerateGate(
                label=service.label,
                url=_url(service, place) + "/v1/chat/completions",
                model=asked[service.name],
                max_tokens=check.max_tokens,
                within_seconds=within,
            )
        case PortCheck():
            port = given(check.port) or service.port
            if port is None:
                raise PlaybookError(f"health: {service.name} has no port of its own; name one", place=place)
            number = whole(port, place=place, what="port", low=1, high=65535)
            return PortGate(label=service.label, port=number, within_seconds=within)


def _url(service: ServiceSpec, place: str) -> str:
    if service.url is None:
        raise PlaybookError(f"health: {service.name} has no port to ask", place=place, hint="`ports:` of its daemon")
    return service.url
