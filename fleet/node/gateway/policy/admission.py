"""Policy at the points where the relay asks: who may, where to, at what cost (SPEC section 5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from fleet.node.gateway.call import Call
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.node.gateway.policy.desk import Desk
from fleet.node.gateway.policy.dossier import Dossier
from fleet.node.gateway.policy.dressing import dressed_for_api
from fleet.node.gateway.policy.labelling import labelled, looked_into
from fleet.node.gateway.policy.refusals import expired, no_route, over, too_much, wrong_track
from fleet.node.gateway.policy.rules import ANYBODY, Rules, may_reach
from fleet.node.gateway.policy.sizes import max_tokens_of, prompt_of
from fleet.node.gateway.policy.toolwatch import ToolWatch
from fleet.traffic.budget.admission import Decision, DollarAsk, Word, decide
from fleet.traffic.config import Route
from fleet.traffic.estimate import expected_output_tokens
from fleet.traffic.gray.reasons import NotGray
from fleet.traffic.keyring import HashedKey
from fleet.traffic.limits import TooMuch
from fleet.traffic.openai_error import ApiError, Refused
from fleet.traffic.sensitivity.labels import Labelled, Said, Source
from fleet.traffic.tools.offered import offered_of
from fleet.traffic.work import Work
from fleet.vocabulary.names import Sensitivity, Track

DOWNGRADED = "x-fleet-downgraded"
TICKET = "x-fleet-ticket"
INCIDENT = "x-fleet-incident"
OPENCLAW = "openclaw"
"""A client that asks for no usage, and then runs its context full (openclaw#49753): keys of this app get it anyway."""
_NO_PLACE = "policy keeps this request from there"


def _nobody(pool: str) -> None:
    """See PolicyAdmission."""


class PolicyAdmission:
    """See Admission. `desk` holds the rules of the moment and the books.

    `gone` hears of a gray pool whose model its provider has no more.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        gone: Callable[[str], None] = _nobody,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desk = desk
        self._gone = gone
        self._monotonic = monotonic

    # --- the hooks ----------------------------------------------------------------------------------------------------

    async def admit(self, call: Call) -> None:
        """See Admission."""
        desk, rules, route = self._desk, self._desk.rules, call.route
        holder = call.holder or ANYBODY
        dossier = call.dossier = Dossier(
            at_milliseconds=desk.treasury.now,
            owner=rules.owner(holder),
            asked=route.name,
            asked_track=route.track,
            label=rules.policy.untagged,
        )
        self._check_key(call, dossier, holder, rules)
        if holder.app == OPENCLAW and call.asked.stream and not call.asked.wants_usage:
            call.asked = msgspec.structs.replace(call.asked, wants_usage=True)
        found = labelled(call, holder, rules, desk.treasury)
        if rules.policy.scanning.scan == "all" or (rules.policy.scanning.scan == "paid" and rules.leaves(route)):
            found, _ = looked_into(call, found, desk)
        self._note_label(call, dossier, found)
        if route.track is Track.DOLLAR:
            route, found = self._dollar(call, dossier, found, holder, rules)
        self._send(call, dossier, found, route, rules)
        offered = offered_of(call.asked.request) if call.asked.work is Work.CHAT else None
        if offered is not None:
            dossier.tools = ToolWatch(offered)

    async def dispatch(self, call: Call, upstream: LiveUpstream) -> str | ApiError | None:
        """See Admission."""
        dossier, rules, spec = call.dossier, self._desk.rules, upstream.spec
        if dossier is None or not may_reach(spec, call.route.track, dossier.label):
            return _NO_PLACE
        gray = upstream.name in rules.gray_of
        if gray and (reason := self._may_not_go_gray(dossier, upstream, rules)) is not None:
            return reason.sentence
        if spec.kind != "api":
            if gray and (reason := self._take_credit(call, dossier)) is not None:
                return reason.sentence
            _show_track(call, dossier, gray=gray)
            return None
        till = self._desk.till
        offer = till.offer(call, dossier, upstream, gray=gray, rules=rules)
        if isinstance(offer, str):
            return offer
        refusal = till.promise(dossier, offer)
        if refusal is not None:
            return self._over(call, dossier, refusal, rules)
        if gray and (reason := self._take_credit(call, dossier)) is not None:
            till.take_back(dossier, offer)
            return reason.sentence
        _show_track(call, dossier, gray=gray)
        return await till.commit(dossier, offer)

    def dressed(self, call: Call, upstream: LiveUpstream, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """See Admission."""
        if upstream.spec.kind != "api" or call.dossier is None:
            return request
        attempt = call.dossier.last
        return dressed_for_api(
            request,
            engine=upstream.spec.engine,
            label=call.dossier.label,
            max_tokens=attempt.max_tokens if attempt is not None else None,
            max_price=attempt.max_price if attempt is not None else None,
            unsaid=max_tokens_of(call.asked) is None,
        )

    def answered(self, call: Call, upstream: LiveUpstream, headers: Mapping[str, str]) -> None:
        """See Admission."""
        dossier = call.dossier
        if dossier is None:
            return
        if dossier.turn is not None and upstream.name not in self._desk.rules.gray_of:
            dossier.turn.proven(self._desk.treasury.now)
        if upstream.spec.kind == "api":
            self._desk.till.answered(dossier, headers)

    def gave_up(
        self, call: Call, upstream: LiveUpstream, *, sent: bool, refused: bool = False, gone: bool = False
    ) -> None:
        """See Admission."""
        pool = self._desk.rules.gray_of.get(upstream.name)
        if gone and pool is not None:
            self._gone(pool)
        if call.dossier is not None and upstream.spec.kind == "api":
            self._desk.till.gave_up(call.dossier, sent=sent, refused=refused)

    # --- who may ------------------------------------------------------------------------------------------------------

    def _check_key(self, call: Call, dossier: Dossier, holder: HashedKey, rules: Rules) -> None:
        """Expiry, tracks, and the limits per minute and at once. Raises Refused."""
        ends = holder.expires_at_seconds
        if ends is not None and dossier.at_milliseconds >= ends * 1000:
            raise Refused(expired())
        if holder.tracks and call.route.track.value not in holder.tracks:
            raise Refused(wrong_track(holder.name, call.route.track.value, holder.tracks))
        limited = rules.metered(holder)
        if limited:
            tokens = call.shape.prompt_tokens + expected_output_tokens(call.shape)
            entered = self._desk.meters.enter(limited, tokens=tokens, now=self._monotonic())
            if isinstance(entered, TooMuch):
                raise Refused(too_much(entered))
            dossier.leave = entered

    # --- where to -----------------------------------------------------------------------------------------------------

    def _dollar(
        self, call: Call, dossier: Dossier, found: Labelled, holder: HashedKey, rules: Rules
    ) -> tuple[Route, Labelled]:
        """The dollar route itself, under its limits, or what it folds to. Raises Refused."""
        route, desk = call.route, self._desk
        if rules.dollar is None:
            raise Refused(no_terms(route))
        fold = rules.loaded.routes.get(route.folds_to or "")
        ask = DollarAsk(
            ticket=said(call, TICKET, "ticket") or call.suffix,
            incident=said(call, INCIDENT, "incident"),
            pico=desk.till.least(call, route, rules),
            may_incident="incident" in holder.scopes,
            folds=fold is not None,
        )
        decision = decide(ask, rules.dollar, desk.treasury.book, desk.treasury.incidents().keys(), desk.treasury.now)
        if decision.word is Word.REFUSE or (decision.word is Word.FOLD and fold is None):
            raise Refused(over(decision, desk.treasury.now))
        if decision.word is Word.FOLD and fold is not None:
            return fold, self._folded(call, dossier, found, fold, decision.why)
        dossier.ticket, dossier.incident, dossier.limits = ask.ticket, decision.incident, decision.limits
        return route, found

    def _over(self, call: Call, dossier: Dossier, refusal: Decision, rules: Rules) -> ApiError:
        """A limit stopped an attempt: who sits on the dollar track may go on elsewhere, with all checks again."""
        told = over(refusal, self._desk.treasury.now)
        route = rules.loaded.routes.get(call.route.name)
        dollar = rules.policy.dollar
        if route is None or route.track is not Track.DOLLAR or dollar is None or dollar.over_budget != "fold":
            return told
        fold = rules.loaded.routes.get(route.folds_to or "")
        if fold is not None and not dossier.folded:
            found = self._folded(call, dossier, dossier.labelled or _plainly(dossier.label), fold, "budget")
            self._send(call, dossier, found, fold, rules)
        return told

    def _folded(self, call: Call, dossier: Dossier, found: Labelled, fold: Route, why: str) -> Labelled:
        """It goes to `fold` instead. A label only rises on the way."""
        dossier.folded = call.notes[DOWNGRADED] = why
        dossier.ticket = dossier.incident = ""
        dossier.limits = ()
        if fold.sensitivity is not None:
            found = found.raised([Said(Source.ROUTE, fold.sensitivity)])
        self._note_label(call, dossier, found)
        return found

    def _send(self, call: Call, dossier: Dossier, found: Labelled, route: Route, rules: Rules) -> None:
        """Choose the upstreams that it may reach. Raises Refused when there is none."""
        pool = rules.pool_of(route)
        if pool:
            route = self._with_gray(call, dossier, found, route, rules, pool)
        kept = rules.kept(route, dossier.label)
        if kept is not route and dossier.label.rank >= Sensitivity.SENSITIVE.rank:
            dossier.withheld = True
            if not kept.upstreams:
                raise Refused(no_route(dossier.label, route.name, why="the route has none"))
        call.route = kept

    def _note_label(self, call: Call, dossier: Dossier, found: Labelled) -> None:
        dossier.label, dossier.repository = found.label, found.repository or dossier.repository
        dossier.labelled = found
        call.notes["x-fleet-sensitivity"] = found.label._value_  # an enum's `value` is a function

    # --- gray ---------------------------------------------------------------------------------------------------------

    def _with_gray(self, call: Call, dossier: Dossier, found: Labelled, route: Route, rules: Rules, pool: str) -> Route:
        """The proven route that feeds `pool`; before its upstreams those of the pool, when the request may go there."""
        gray = rules.gray_routes[pool]
        proven = rules.proven(route)
        by_name = route.track is Track.GRAY or not proven.upstreams
        if by_name:
            proven = rules.proven(rules.loaded.routes[gray.folds_to or ""])
            if proven.sensitivity is not None:
                found = found.raised([Said(Source.ROUTE, proven.sensitivity)])
                self._note_label(call, dossier, found)
        dossier.pool, dossier.turn = pool, self._desk.pools.turn(pool, proven.name)
        reason = self._not_gray(call, dossier, found, pool)
        if reason is None:
            return msgspec.structs.replace(proven, upstreams=(*gray.upstreams, *proven.upstreams))
        if by_name:
            dossier.folded = dossier.folded or f"gray-{reason.value}"
            call.notes.setdefault(DOWNGRADED, dossier.folded)
        return proven

    def _not_gray(self, call: Call, dossier: Dossier, found: Labelled, pool: str) -> NotGray | None:
        """Why it does not go gray now. What it is comes first, then what it says, then the pool, then the credit."""
        desk = self._desk
        key_gray = call.holder is not None and call.holder.gray
        reason = desk.pools.never(pool, label=found.label, key_gray=key_gray, tagged=bool(found.repository))
        if reason is None:
            found, reason = looked_into(call, found, desk)
            if found.label is not dossier.label:
                self._note_label(call, dossier, found)
        dossier.eligible = reason is None
        if reason is not None:
            dossier.not_eligible = reason.value
            return reason
        off = desk.treasury.standing(pool).reason
        if off is not None:
            return off
        turn = dossier.turn
        return NotGray.OFF if turn is None else turn.lacks(self._most_tokens(call, pool), desk.treasury.now)

    def _may_not_go_gray(self, dossier: Dossier, upstream: LiveUpstream, rules: Rules) -> NotGray | None:
        """The same once more, at the last moment: a route of another configuration leads nobody there."""
        pool = rules.gray_of[upstream.name]
        if not dossier.eligible or dossier.label is not Sensitivity.PUBLIC or pool != dossier.pool:
            return NotGray.LABEL
        return self._desk.treasury.standing(pool).reason

    def _take_credit(self, call: Call, dossier: Dossier) -> NotGray | None:
        turn = dossier.turn
        if turn is None:
            return NotGray.OFF
        reason = turn.take(self._most_tokens(call, dossier.pool), self._desk.treasury.now)
        if reason is None:
            dossier.gray = True
        return reason

    def _most_tokens(self, call: Call, pool: str) -> int:
        if self._desk.pools.terms(pool).token_share is None:
            return 0
        most = max_tokens_of(call.asked)
        answer = most if most is not None else self._desk.rules.loaded.config.limits.default_max_tokens
        return prompt_of(call.asked, call.size_bytes).most_tokens + answer


def said(call: Call, header: str, field: str) -> str:
    """What the client says in a header, else in the `fleet` object of the body; "" = nothing."""
    value = call.headers.get(header)
    if value is None:
        fleet = call.asked.original.get("fleet")
        value = fleet.get(field) if isinstance(fleet, Mapping) else None
    return value.strip() if isinstance(value, str) else ""


def _plainly(label: Sensitivity) -> Labelled:
    said = Said(Source.UNTAGGED, label)
    return Labelled(label, said, (said,))


def no_terms(route: Route) -> ApiError:
    """A dollar route of a gateway that has no budget for one."""
    message = f"{route.name} is on the dollar track, and this gateway has no terms for it"
    return ApiError(status=503, message=message, type="upstream_error", code="no_terms")


def _show_track(call: Call, dossier: Dossier, *, gray: bool) -> None:
    if gray:
        call.notes["x-fleet-track"], call.notes["x-fleet-gray"] = Track.GRAY.value, dossier.pool
    elif dossier.pool:
        call.notes.pop("x-fleet-track", None)
        call.notes.pop("x-fleet-gray", None)
