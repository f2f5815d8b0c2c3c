"""Money and policy as families of metrics. Labels are names of the configuration and closed sets of words."""

from __future__ import annotations

from fleet.node.gateway.policy.desk import Desk
from fleet.node.gateway.policy.office import PolicyOffice
from fleet.traffic.budget.dollar import DollarWord, dollar_state
from fleet.traffic.budget.limits import Kind
from fleet.vocabulary.contracts.ledger import Note, Request
from fleet.vocabulary.exposition import Exposition, Labels
from fleet.vocabulary.money import usd

_MOST_SERIES = 2000


class PolicyCounts:
    """Hears every row; counts what no sum of the ledger tells at a glance."""

    def __init__(self, desk: Desk) -> None:
        self.tools: dict[tuple[str, ...], int] = {}
        self.labels: dict[tuple[str, ...], int] = {}
        self.folds: dict[tuple[str, ...], int] = {}
        desk.treasury.noticed.append(self._heard)

    def _heard(self, row: Request | Note) -> None:
        if not isinstance(row, Request):
            return
        if row.tool_verdict is not None:
            _add(self.tools, (row.upstream or "none", row.model or "none", row.tool_verdict.value))
        _add(self.labels, (row.track.value, row.sensitivity.value))
        if row.folded:
            _add(self.folds, (row.asked, row.folded))


def policy_families(office: PolicyOffice, counts: PolicyCounts) -> bytes:
    """What `/metrics` says of it."""
    text = Exposition()
    _budget(text, office.desk)
    _gray(text, office)
    text.family(
        "fleet_tool_calls_total",
        "counter",
        "Requests that offered tools, by what became of them (docs/tool-calls.md).",
        [
            ((("upstream", upstream), ("model", model), ("class", verdict)), count)
            for (upstream, model, verdict), count in sorted(counts.tools.items())
        ],
    )
    text.family(
        "fleet_labelled_requests_total",
        "counter",
        "Requests by the track that they went to and by their label.",
        [
            ((("track", track), ("sensitivity", label)), count)
            for (track, label), count in sorted(counts.labels.items())
        ],
    )
    text.family(
        "fleet_folded_requests_total",
        "counter",
        "Requests that went elsewhere than asked, by the route asked for and why.",
        [((("route", route), ("reason", why)), count) for (route, why), count in sorted(counts.folds.items())],
    )
    return text.encode()


def _budget(text: Exposition, desk: Desk) -> None:
    treasury, rules = desk.treasury, desk.rules
    book, now = treasury.book, treasury.now
    month = book.calendar.month(now)
    caps = {limit.scope: limit.pico for limit in rules.caps.all() if limit.pico is not None}
    state = None
    if rules.dollar is not None:
        state = dollar_state(book, rules.dollar.history, now).word
    samples: list[tuple[Labels, float]] = []
    for scope, total in sorted(book.scopes(month)):
        if scope.kind not in (Kind.FLEET, Kind.TRACK):
            continue
        known = (("scope", scope.name or "fleet"),)
        samples += [
            ((*known, ("kind", "spent")), float(usd(total.spent))),
            ((*known, ("kind", "reserved")), float(usd(total.reserved))),
        ]
    for scope, cap in sorted(caps.items()):
        if scope.kind in (Kind.FLEET, Kind.TRACK):
            samples.append(((("scope", scope.name or "fleet"), ("kind", "cap")), float(usd(cap))))
    if rules.dollar is not None:
        cap = rules.dollar.history.newest.cap_pico
        samples.append(((("scope", "dollar"), ("kind", "cap")), float(usd(cap))))
    text.family(
        "fleet_budget_usd",
        "gauge",
        "This month, by track and in all: what was spent, what is promised, and this front's part of the cap.",
        samples,
    )
    text.one("fleet_ledger_unsettled", "gauge", "Attempts whose cost nobody knows yet.", float(len(book.unsettled())))
    text.one(
        "fleet_ledger_open",
        "gauge",
        "Whether what costs money may go out: 0 while nothing can be written down.",
        float(not treasury.closed),
    )
    text.family(
        "fleet_dollar_state",
        "gauge",
        "1 for the state of the dollar track that holds: normal, capped, downgraded.",
        [] if state is None else [((("state", word.value),), float(word is state)) for word in DollarWord],
    )


def _gray(text: Exposition, office: PolicyOffice) -> None:
    reports = [office.keeper.report(pool) for pool in office.desk.rules.gray_routes]
    text.family(
        "fleet_gray_share",
        "gauge",
        "Gray of all that was committed this ISO week over the routes that feed it, by requests and by tokens.",
        [
            ((("route", one.route), ("unit", unit)), part / whole)
            for one in reports
            for unit, part, whole in (
                ("requests", one.gray, one.requests),
                ("tokens", one.gray_tokens, one.tokens),
            )
            if whole
        ],
    )
    text.family(
        "fleet_gray_eligible",
        "gauge",
        "How many requests of this ISO week could have gone gray.",
        [((("route", one.route),), float(one.eligible)) for one in reports],
    )
    text.family(
        "fleet_gray_on",
        "gauge",
        "Whether the gray route takes traffic: 0 when it is off, suspended, rolled back or without its model.",
        [((("route", one.route),), float(one.state == "on")) for one in reports],
    )
    pools = [(one.route, office.desk.pools.pool(one.route)) for one in reports]
    text.family(
        "fleet_gray_credit",
        "gauge",
        "What proven requests have earned, in parts: a gray one needs (and costs) the share's rest.",
        [((("route", name),), float(pool.purse().credits.credit)) for name, pool in pools if pool is not None],
    )


def _add(counts: dict[tuple[str, ...], int], key: tuple[str, ...]) -> None:
    if key in counts or len(counts) < _MOST_SERIES:
        counts[key] = counts.get(key, 0) + 1
