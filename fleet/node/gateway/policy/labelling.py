"""What a request is: by its tags, and by what is in it."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.node.gateway.call import Call
from fleet.node.gateway.policy.desk import Desk
from fleet.node.gateway.policy.rules import Rules
from fleet.node.gateway.policy.sessions import session_in_ledger
from fleet.node.gateway.policy.treasury import Treasury
from fleet.traffic.gray.reasons import NotGray
from fleet.traffic.keyring import HashedKey
from fleet.traffic.sensitivity.labels import REPO_HEADER, SENSITIVITY_HEADER, Labelled, Said, Source
from fleet.traffic.sensitivity.taint import taint_note
from fleet.vocabulary.names import Sensitivity


def labelled(call: Call, holder: HashedKey, rules: Rules, treasury: Treasury) -> Labelled:
    """Its label by key, repository, header, route and session. Raises Refused for a label that is none."""
    repository, stated = call.headers.get(REPO_HEADER), call.headers.get(SENSITIVITY_HEADER)
    fleet = call.asked.original.get("fleet")
    if isinstance(fleet, Mapping):
        also, inner = fleet.get("sensitivity"), fleet.get("repo")
        if isinstance(also, str):
            stated = also if stated is None else f"{stated},{also}"  # the highest of both counts
        if repository is None and isinstance(inner, str):
            repository = inner
    session = _marked(call, treasury) if rules.policy.scanning.taint_days else None
    return rules.label(holder, call.route, repository, stated, session)


def looked_into(call: Call, found: Labelled, desk: Desk) -> tuple[Labelled, NotGray | None]:
    """Its label after what it says was looked at, and why that is not clean; None = all of it was seen, and is."""
    verdict = desk.scanner.scan(call.asked.request)
    if verdict.clean:
        return found, None
    if verdict.hits:
        rules = [hit.rule for hit in verdict.hits]
        found = found.raised([Said(Source.DETECTOR, hit.label, hit.rule) for hit in verdict.hits])
        _mark(call, found.label, rules, desk)
        return found, NotGray.NOT_CLEAN
    return found, NotGray.PARTS


def _marked(call: Call, treasury: Treasury) -> Sensitivity | None:
    subject = session_in_ledger(call)
    return treasury.taints.label(subject, treasury.now) if subject else None


def _mark(call: Call, label: Sensitivity, rules: list[str], desk: Desk) -> None:
    days = desk.rules.policy.scanning.taint_days
    subject = session_in_ledger(call) if days else ""
    if subject:
        now = desk.treasury.now
        desk.treasury.write(taint_note(subject, label=label, rules=rules, now_milliseconds=now, days=days))
