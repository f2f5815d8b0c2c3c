"""Money of single attempts at APIs: reserved before their first byte, settled by the best word on what they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from fleet.node.gateway.call import Call, Outcome
from fleet.node.gateway.ledger.recovery import OpenAttempt
from fleet.node.gateway.ledger.writer import LedgerClosed
from fleet.node.gateway.live_upstream import LiveUpstream
from fleet.node.gateway.policy.dossier import Attempt, Dossier
from fleet.node.gateway.policy.refusals import ledger_closed
from fleet.node.gateway.policy.rules import ANYBODY, Rules
from fleet.node.gateway.policy.sizes import choices_of, max_tokens_of, prompt_of
from fleet.node.gateway.policy.treasury import Treasury
from fleet.traffic.budget.admission import Decision, Word, refusal_of
from fleet.traffic.budget.limits import Limit
from fleet.traffic.budget.reserve import Bound, Rates, bound, clamped_max_tokens, cost_of_usage, reported_pico
from fleet.traffic.budget.tokens_per_byte import TokensPerByte
from fleet.traffic.config import Route
from fleet.traffic.openai_error import ApiError
from fleet.traffic.work import Work
from fleet.vocabulary.contracts.ledger import CostSource, Dispatch, Reservation
from fleet.vocabulary.money import NotMoney
from fleet.vocabulary.names import Track

GENERATION = "x-generation-id"
_UNPRICED = "nobody says what it costs, and there is a cap"
_UNBOUNDED = "nothing bounds what it costs, and there is a cap"


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt would be: the row to reserve by, its limits, the most tokens that it takes."""

    attempt: Attempt
    limits: tuple[Limit, ...]
    tokens: int


class Till:
    """Reserves and settles. One per process; what prompts were in tokens is remembered by upstream.

    `pursue` finds out later what an attempt cost whose provider did not say it. `stopped` are the limits that refused
    somebody since they were last looked at.
    """

    def __init__(self, treasury: Treasury) -> None:
        self._treasury = treasury
        self.pursue: Callable[[OpenAttempt], None] = _nobody
        self._seen: dict[str, TokensPerByte] = {}
        self.stopped: set[Limit] = set()

    # --- before -------------------------------------------------------------------------------------------------------

    def offer(self, call: Call, dossier: Dossier, upstream: LiveUpstream, *, gray: bool, rules: Rules) -> Offer | str:
        """What an attempt at `upstream` may cost at most, and under which limits; else why it may not be tried."""
        track = Track.GRAY if gray else call.route.track
        limits = (*dossier.limits, *rules.limits(call.holder or ANYBODY, track))
        capped = bool(dossier.limits) or any(limit.pico is not None for limit in limits)
        most = _max_tokens(call, track, rules)
        if upstream.spec.context_tokens is not None:
            most = min(most, upstream.spec.context_tokens)
        rates = rules.rates(upstream)
        found = None if rates is None else self._bound(call, upstream, rates, most, limits)
        if capped and found is None:
            return _UNPRICED if rates is None else _UNBOUNDED
        row = Reservation(
            id=f"{call.request_id}/{len(call.tried)}",
            request=call.request_id,
            at_milliseconds=self._treasury.now,
            owner=dossier.owner,
            route=dossier.asked,
            track=track,
            upstream=upstream.name,
            model=upstream.spec.serves,
            pico=found.pico if found is not None else 0,
            gray=gray,
            ticket=dossier.ticket,
            incident=dossier.incident,
        )
        attempt = Attempt(
            reservation=row,
            upstream=upstream.spec,
            rates=rates,
            max_tokens=most if capped and call.asked.work is not Work.EMBEDDINGS else None,
            max_price=rules.max_price(rates) if capped and rates is not None else None,
        )
        tokens = found.prompt_tokens + found.completion_tokens if found is not None else call.size_bytes + most
        return Offer(attempt=attempt, limits=limits, tokens=tokens)

    def least(self, call: Call, route: Route, rules: Rules) -> int:
        """What a request costs at least of what it may cost at most: at the cheapest upstream of a route."""
        most = _max_tokens(call, route.track, rules)
        prompt, found = prompt_of(call.asked, call.size_bytes), []
        for name in route.upstreams:
            rates = rules.rates_of(name)
            if rates is not None and (one := bound(prompt, rates, max_tokens=most, choices=choices_of(call.asked))):
                found.append(one.pico)
        return min(found, default=0)

    def promise(self, dossier: Dossier, offer: Offer) -> Decision | None:
        """Count an offer as promised; or how its client is told of the limit that stops it. Waits for nothing."""
        treasury, row = self._treasury, offer.attempt.reservation
        stopped = treasury.promise(row, offer.limits)
        if stopped is not None:
            self.stopped.add(stopped)
            return refusal_of(stopped, row.pico, treasury.book, row.at_milliseconds)
        if any(limit.tokens is not None for limit in offer.limits):
            limit = treasury.hold(row.request, row.owner, row.track, offer.tokens, offer.limits)
            if limit is not None:
                treasury.book.take_back(row.id)
                return self._no_tokens(limit, offer.tokens)
        dossier.attempts.append(offer.attempt)
        return None

    def take_back(self, dossier: Dossier, offer: Offer) -> None:
        """Nothing of it is on the disk, nothing went out: it was never promised."""
        self._treasury.book.take_back(offer.attempt.reservation.id)
        self._treasury.book.let_go(offer.attempt.reservation.request)
        dossier.attempts.remove(offer.attempt)

    async def commit(self, dossier: Dossier, offer: Offer) -> ApiError | None:
        """Have it on the disk, before anything goes out; or what the client is told when that cannot be."""
        try:
            await self._treasury.commit(offer.attempt.reservation)
        except LedgerClosed as closed:
            self.take_back(dossier, offer)
            return ledger_closed(str(closed))
        except BaseException:
            self.take_back(dossier, offer)
            raise
        return None

    # --- after --------------------------------------------------------------------------------------------------------

    def answered(self, dossier: Dossier, headers: Mapping[str, str]) -> None:
        """The provider began to answer, and may say how it calls this."""
        attempt = dossier.last
        if attempt is None:
            return
        attempt.answered, attempt.generation = True, headers.get(GENERATION, "")
        if attempt.generation:
            row = attempt.reservation
            self._treasury.write(Dispatch(id=row.id, generation=attempt.generation, at_milliseconds=self._treasury.now))

    def gave_up(self, dossier: Dossier, *, sent: bool, refused: bool) -> None:
        """It ended before a first token. What went out, and was not refused, may cost: that is left to be found out."""
        attempt = dossier.last
        if attempt is None or attempt.settled:
            return
        if not sent:
            self._settle(attempt, 0, CostSource.UNSENT)
        elif refused:  # an error instead of an answer is billed by no provider (SPEC section 4.2)
            told = attempt.upstream.engine == "openrouter"
            self._settle(attempt, 0, CostSource.PROVIDER if told else CostSource.ESTIMATED)
        elif _can_be_found_out(attempt):
            self.pursue(OpenAttempt(attempt.reservation, attempt.generation))
        else:
            self._settle(attempt, attempt.reservation.pico, CostSource.UNRESOLVED)

    def ended(self, outcome: Outcome, dossier: Dossier) -> None:
        """The request has ended: settle its last attempt, by what was said of its cost."""
        attempt = dossier.last
        if attempt is None or attempt.settled or not attempt.answered:
            return
        usage = outcome.usage
        if usage and outcome.call.asked.work is Work.EMBEDDINGS:
            usage = {"completion_tokens": 0, **usage}
        if usage:
            self._learn(outcome.call, attempt, usage)
            reported = reported_cost(usage)
            if reported is not None:
                self._settle(attempt, reported, CostSource.PROVIDER)
                return
        if _can_be_found_out(attempt):
            self.pursue(OpenAttempt(attempt.reservation, attempt.generation))
            return
        estimated = cost_of_usage(attempt.rates, usage) if usage and attempt.rates is not None else None
        if estimated is not None:
            self._settle(attempt, estimated, CostSource.ESTIMATED)
        else:
            self._settle(attempt, attempt.reservation.pico, CostSource.UNRESOLVED)

    def _settle(self, attempt: Attempt, pico: int, source: CostSource) -> None:
        attempt.settled, attempt.cost_pico = True, pico
        self._treasury.settle(attempt.reservation.id, pico, source)

    # --- sizes --------------------------------------------------------------------------------------------------------

    def _bound(
        self, call: Call, upstream: LiveUpstream, rates: Rates, most: int, limits: tuple[Limit, ...]
    ) -> Bound | None:
        seen = self._seen.get(upstream.name)
        guessed = seen.upper(call.size_bytes) if seen is not None and limits else None
        return bound(
            prompt_of(call.asked, call.size_bytes),
            rates,
            max_tokens=most,
            choices=choices_of(call.asked),
            guessed_tokens=guessed,
            headroom_pico=None if guessed is None else self._headroom(limits),
            context_tokens=upstream.spec.context_tokens,
        )

    def _headroom(self, limits: tuple[Limit, ...]) -> int | None:
        """What is left below the nearest cap."""
        book = self._treasury.book
        month = book.calendar.month(self._treasury.now)
        left = [limit.pico - book.bounded(limit, month).committed for limit in limits if limit.pico is not None]
        return min(left, default=None)

    def _learn(self, call: Call, attempt: Attempt, usage: Mapping[str, Any]) -> None:
        counted = usage.get("prompt_tokens")
        if isinstance(counted, int) and not isinstance(counted, bool):
            seen = self._seen.setdefault(attempt.upstream.name, TokensPerByte())
            seen.saw(call.size_bytes, counted)

    def _no_tokens(self, limit: Limit, tokens: int) -> Decision:
        book, now = self._treasury.book, self._treasury.now
        month = book.calendar.month(now)
        used, ends = book.bounded(limit, month), book.calendar.ends(month)
        message = (
            f"{limit.scope} may use {limit.tokens} tokens for {month}; {used.committed_tokens} are used or in flight, "
            f"and this request may use {tokens}; it opens again {book.calendar.shown(ends)}"
        )
        return Decision(Word.REFUSE, "", 429, "budget_exhausted", message, ends)


def _nobody(attempt: OpenAttempt) -> None:
    """See Till."""


def reported_cost(usage: Mapping[str, Any]) -> int | None:
    """What the provider says of the cost, in pico-dollars; None = nothing that is an amount.

    A JSON number was read as a double: its shortest text is what the provider wrote, up to 15 digits.
    """
    cost, details = usage.get("cost"), usage.get("cost_details")
    upstream = details.get("upstream_inference_cost") if isinstance(details, Mapping) else None
    own_key = usage.get("is_byok") is True
    try:
        return reported_pico(_text(cost), _text(upstream) if own_key else None)
    except NotMoney:
        return None


def _text(number: object) -> str | None:
    if isinstance(number, bool) or not isinstance(number, int | float | Decimal) or number < 0:
        return None
    return repr(number) if isinstance(number, float) else str(number)


def _can_be_found_out(attempt: Attempt) -> bool:
    """Whether the provider can be asked later what it cost."""
    return attempt.upstream.engine == "openrouter"


def _max_tokens(call: Call, track: Track, rules: Rules) -> int:
    """What its answer is told to stop at."""
    dollar = rules.policy.dollar
    default = rules.loaded.config.limits.default_max_tokens
    if track is Track.DOLLAR and dollar is not None:
        default = dollar.default_max_tokens
    asked = max_tokens_of(call.asked)
    return 0 if call.asked.work is Work.EMBEDDINGS else clamped_max_tokens(asked, default)
