"""`fleet client config`: what a client on this machine is told of a front: its address, its routes, its certificate."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from fleet.control.actions.ask import Door, through
from fleet.control.actions.edge_certificates import gathered
from fleet.control.actions.gateways import GatewayNode
from fleet.control.inventory.project import Project
from fleet.control.link.protocol import Link
from fleet.errors import FleetError, NodeError, UsageError

_SECONDS = 10.0
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, kw_only=True)
class Routes:
    """What a front offers to a key, in its order, the default first. `context_tokens` of those that say so."""

    names: tuple[str, ...] = ()
    context_tokens: Mapping[str, int] = field(default_factory=dict)


def routes_of(door: Door, *, link: Link, project: Project) -> Routes:
    """What the front lists. Raises Unreachable, HostKeyError, NodeError."""
    headers = {"Authorization": f"Bearer {door.key.reveal()}"}
    with through(door, "/v1/models", headers=headers, link=link, project=project, timeout=_SECONDS) as answer:
        body = answer.read()
    if answer.status != 200:
        refused = "it does not know this key: fleet deploy brings gateway_key there" if answer.status == 401 else ""
        raise NodeError(f"it does not list its routes: HTTP {answer.status}", node=door.node.name, hint=refused)
    return parse_routes(body)


def parse_routes(body: bytes) -> Routes:
    """What a list of models says; of odd text nothing."""
    try:
        entries = json.loads(body)["data"]
    except (ValueError, KeyError, TypeError):
        return Routes()
    found: dict[str, int | None] = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            context = entry.get("context_length")
            known = isinstance(context, int) and not isinstance(context, bool) and context > 0
            found[entry["id"]] = context if known else None
    return Routes(
        names=tuple(found), context_tokens={name: tokens for name, tokens in found.items() if tokens is not None}
    )


def chosen(routes: Routes, wanted: str | None) -> str:
    """The route that is asked for: `wanted`, else the front's default. Raises UsageError."""
    if wanted is None:
        if not routes.names:
            raise UsageError("the front lists no route", hint="name one: --model ROUTE")
        return routes.names[0]
    if routes.names and wanted not in routes.names:
        raise UsageError(f"the front has no route {wanted!r}", hint=f"routes: {', '.join(routes.names)}")
    return wanted


def write_certificate(file: Path, gateway: GatewayNode, *, link: Link, project: Project, now: datetime) -> Path:
    """The front's own certificate, as programs take it (PEM). The same again writes nothing. Raises FleetError."""
    found = gathered([gateway], link=link, base=project.root, now=now).get(gateway.name)
    if isinstance(found, FleetError):
        raise found
    if found is None:
        raise UsageError("it speaks no TLS, so it has no certificate", hint="leave --certificate out")
    write_pem(file, ssl.DER_cert_to_PEM_cert(found))
    return file.resolve()


def write_pem(file: Path, pem: str) -> None:
    """Write a certificate, unless it is there. Raises FleetError; UsageError where something else is: maybe a key."""
    try:
        there = file.read_text(errors="replace") if file.exists() else ""
        if there.strip() and not there.lstrip().startswith(_CERTIFICATE):
            raise UsageError(
                f"{file} holds something else than a certificate", hint="name a file that is not there yet"
            )
        if there != pem:
            file.write_text(pem)
    except OSError as error:
        raise FleetError(f"{file} cannot be written", detail=error.strerror or str(error)) from None
