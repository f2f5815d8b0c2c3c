"""`fleet ps` and `fleet kill`: the requests in flight on all gateways, each shown once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fleet.control.actions.gateways import GatewayNode, Gateways, NodeRefusal, answered, problems
from fleet.errors import FleetError, NodeError, PartialFailure, Unreachable, UsageError
from fleet.vocabulary.contracts.gateway_admin import LiveRequest, LiveRequests
from fleet.vocabulary.names import Lane, NodeName

_LONGEST_LIST = 6


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request in flight. `gateway` is where it came in, `node` where it runs (empty: in the queue, or at an API).

    `edge_phase` is how far it is on that node's own gateway; None where no edge says so.
    """

    id: str
    gateway: NodeName
    key: str
    surface: str
    route: str
    model: str
    lane: Lane
    phase: str
    seconds: float
    upstream: str = ""
    node: str = ""
    edge_phase: str | None = None
    stream: bool = False
    attempts: int = 0
    prompt_tokens: int = 0
    max_output_tokens: int = 0
    output_chunks: int = 0
    first_token_seconds: float | None = None
    avoided: tuple[str, ...] = ()


class RequestTable(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, the oldest first. `errors` says which gateways could not be asked, and why."""

    requests: tuple[Request, ...] = ()
    errors: dict[NodeName, str] = {}
    schema: int = 1


def merged(reports: Mapping[NodeName, LiveRequests], fronts: frozenset[NodeName]) -> tuple[Request, ...]:
    """Each request once, under the gateway where it came in: the front's word, with the phase that its edge says. Pure.

    An edge shows a request of a front under the same id. One that no front claims came to the edge itself.
    """
    on_edges: dict[str, dict[NodeName, LiveRequest]] = {}
    claimed: set[str] = set()
    for name, report in reports.items():
        for one in report.requests:
            if name in fronts:
                claimed.add(one.id)
            else:
                on_edges.setdefault(one.id, {})[name] = one
    rows = []
    for name, report in reports.items():
        for one in report.requests:
            if name not in fronts and one.id in claimed:
                continue
            copies = on_edges.get(one.id, {}) if name in fronts else {}
            there = copies.get(NodeName(one.node))
            rows.append(_row(name, one, there))
    return tuple(sorted(rows, key=lambda row: (-row.seconds, row.id)))


def _row(gateway: NodeName, one: LiveRequest, there: LiveRequest | None) -> Request:
    said = {field: getattr(one, field) for field in LiveRequest.__struct_fields__}
    return Request(gateway=gateway, edge_phase=there.phase if there else None, **said)


def list_requests(found: Sequence[GatewayNode], doors: Gateways) -> tuple[RequestTable, dict[NodeName, FleetError]]:
    """What is in flight on these gateways, and the gateways that did not say."""
    answers = doors.each(found, lambda door: door.requests())
    errors = problems(answers)
    fronts = frozenset(gateway.name for gateway in found if gateway.is_front)
    rows = merged(answered(answers), fronts)
    return RequestTable(requests=rows, errors={name: error.title for name, error in errors.items()}), errors


def kill(
    request_id: str, found: Sequence[GatewayNode], doors: Gateways, *, reason: str = ""
) -> tuple[Request, dict[NodeName, FleetError]]:
    """End a request, by its id or the beginning of it, where it came in; the request as it was.

    Raises UsageError when several begin so, NodeError when none does, PartialFailure or Unreachable when none was found
    and some gateways could not be asked.
    """
    table, errors = list_requests(found, doors)
    request_id = request_id.rstrip("…")  # as the table cuts it
    matching = [one for one in table.requests if one.id == request_id] or [
        one for one in table.requests if request_id and one.id.startswith(request_id)
    ]
    if len({one.id for one in matching}) > 1:
        named = ", ".join(one.id for one in matching[:_LONGEST_LIST])
        raise UsageError(f"{len(matching)} requests begin with {request_id!r}", detail=named, hint="more of its id")
    if not matching:
        raise _not_found(request_id, errors, asked=len(found))
    one = matching[0]
    gateway = next(gateway for gateway in found if gateway.name == one.gateway)
    try:
        doors.one(gateway.node, lambda door: door.kill(one.id, reason=reason))
    except NodeRefusal as refusal:
        if refusal.status == 404:
            raise NodeError(f"request {one.id} has just ended by itself", node=one.gateway) from refusal
        raise
    return one, errors


def _not_found(request_id: str, errors: Mapping[NodeName, FleetError], *, asked: int) -> FleetError:
    if not errors:
        return NodeError(
            f"no request {request_id} is in flight", hint="fleet ps lists them; it may have ended meanwhile"
        )
    title = f"no request {request_id} was found, and not every gateway could be asked"
    detail = "\n".join(f"{name}: {error.title}" for name, error in errors.items())
    if len(errors) == asked and all(error.exit_code == Unreachable.exit_code for error in errors.values()):
        return Unreachable(title, detail=detail)
    return PartialFailure(title, detail=detail)
