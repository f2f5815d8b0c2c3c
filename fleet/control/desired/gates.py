"""Health checks -> the gates that a node proves itself by. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from fleet.control.desired.expand import NodePlaybook
from fleet.control.desired.roster import Roster
from fleet.control.desired.states import ServiceSpec
from fleet.control.inventory import Project
from fleet.control.inventory.nearest import did_you_mean
from fleet.control.playbook.health import GenerateCheck, Golden, HttpCheck, LaunchdCheck, PortCheck
from fleet.control.playbook.playbook import HealthCheck
from fleet.control.playbook.shapes import given, seconds, whole
from fleet.errors import PlaybookError
from fleet.vocabulary.contracts.desired import Gate, GenerateGate, GoldenAnswer, HttpGate, LaunchdGate, PortGate

_LONGEST_PROMPT = 400_000  # characters; a prompt is part of the state, which is one frame


def gates_of(
    book: NodePlaybook,
    own: Roster,
    services: Collection[ServiceSpec],
    elsewhere: Collection[str],
    project: Project,
) -> tuple[Gate, ...]:
    """The gates of a node, each once. Raises PlaybookError. Golden prompts are read from the project's files.

    A check of a daemon that `when` keeps off this node is left out; `elsewhere` are the daemons that the playbook
    names anywhere, and any other name is a mistake.
    """
    known = {service.name: service for service in services}
    asked = {sidecar.service: sidecar.asked for sidecar in own.sidecars}
    gates: dict[Gate, None] = {}
    for check in book.checks:
        name = book.fill_check(check).daemon
        if name in known:
            gates[_gate(book, check, known[name], asked, project)] = None
        elif name not in elsewhere:
            hint = did_you_mean(name, {*known, *elsewhere}) or f"there is: {', '.join(known)}"
            raise PlaybookError(f"health: no daemon is called {name!r}", place=check.place, hint=hint)
    return tuple(gates)


def _gate(
    book: NodePlaybook, checked: HealthCheck, service: ServiceSpec, asked: Mapping[str, str], project: Project
) -> Gate:
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
                golden=tuple(_golden(one, number, project, place) for number, one in enumerate(check.golden, 1))
                or None,
            )
        case PortCheck():
            port = given(check.port) or service.port
            if port is None:
                raise PlaybookError(f"health: {service.name} has no port of its own; name one", place=place)
            number = whole(port, place=place, what="port", low=1, high=65535)
            return PortGate(label=service.label, port=number, within_seconds=within)


def _golden(golden: Golden, number: int, project: Project, place: str) -> GoldenAnswer:
    name = given(golden.prompt_file)
    if name is None:
        return GoldenAnswer(
            name=f"golden prompt {number}",
            prompt=given(golden.prompt) or "",
            answer=golden.answer,
            max_tokens=golden.max_tokens,
        )
    inside = not Path(name).is_absolute() and ".." not in Path(name).parts
    path = project.file("templates", name) if inside else None
    if path is None:
        raise PlaybookError(
            f"health: prompt_file: no such file {name}", place=place, hint="it lies below templates/, of the project"
        )
    try:
        prompt = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise PlaybookError(f"health: prompt_file: {name} cannot be read as text: {error}", place=place) from None
    if len(prompt) > _LONGEST_PROMPT:
        raise PlaybookError(
            f"health: prompt_file: {name} has {len(prompt):,} characters, a node takes {_LONGEST_PROMPT:,}", place=place
        )
    return GoldenAnswer(name=name, prompt=prompt, answer=golden.answer, max_tokens=golden.max_tokens)


def _url(service: ServiceSpec, place: str) -> str:
    if service.url is None:
        raise PlaybookError(f"health: {service.name} has no port to ask", place=place, hint="`ports:` of its daemon")
    return service.url
