"""What became of every request, written down: one row each, and what its attempts cost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from fleet.node.gateway.call import Outcome
from fleet.node.gateway.policy.desk import Desk
from fleet.node.gateway.policy.dossier import Dossier
from fleet.node.gateway.policy.sessions import session_in_ledger
from fleet.traffic.tools.score import Ended, score
from fleet.vocabulary.contracts.ledger import Request, ToolVerdict
from fleet.vocabulary.money import usd
from fleet.vocabulary.names import Track

_LOG = logging.getLogger(__name__)
_ENDED = {"ok": Ended.WHOLE, "cancelled": Ended.LEFT, "ended": Ended.STOPPED}


class PolicyAccounting:
    """See Accounting."""

    def __init__(self, desk: Desk, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._desk = desk
        self._monotonic = monotonic

    def ended(self, outcome: Outcome) -> None:
        """See Accounting. A bug here costs the row, not the answer."""
        dossier = outcome.call.dossier
        if dossier is None:
            return
        try:
            self._ended(outcome, dossier)
        except Exception:  # noqa: BLE001 (told; the answer goes out)
            _LOG.exception("a bug kept a request out of the ledger")

    def _ended(self, outcome: Outcome, dossier: Dossier) -> None:
        call, usage, desk = outcome.call, outcome.usage, self._desk
        prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
        used = None if prompt is None and completion is None else (prompt or 0) + (completion or 0)
        desk.till.ended(outcome, dossier)
        gray = dossier.gray and call.upstream in desk.rules.gray_of
        now = desk.treasury.now
        if dossier.turn is not None:
            dossier.turn.ended(now, gray_tokens=used if gray else None, proven_tokens=None if gray else used)
        dossier.leave(used, self._monotonic())
        cost = _known_cost(dossier)
        if cost is not None and outcome.word == "ok" and not call.asked.stream:
            call.notes["x-fleet-cost-usd"] = f"{usd(cost):f}"
        verdict, tools_at = self._tools(outcome, dossier)
        desk.treasury.write(
            Request(
                id=call.request_id,
                at_milliseconds=now,
                owner=dossier.owner,
                asked=dossier.asked,
                route=dossier.pool if gray else call.route.name,
                track=Track.GRAY if gray else call.route.track,
                upstream=call.upstream,
                node=call.node,
                model=call.served,
                outcome=outcome.word,
                status=outcome.status,
                surface=call.dialect.name,
                stream=call.asked.stream,
                sensitivity=dossier.label,
                eligible=dossier.eligible,
                gray=dossier.gray,
                folded=dossier.folded,
                ticket=dossier.ticket,
                incident=dossier.incident,
                attempts=len(call.tried),
                session=session_in_ledger(call),
                prompt_tokens=prompt,
                completion_tokens=completion,
                cached_tokens=_inner(usage, "prompt_tokens_details", "cached_tokens"),
                reasoning_tokens=_inner(usage, "completion_tokens_details", "reasoning_tokens"),
                seconds=outcome.seconds,
                queued_seconds=call.queued_seconds,
                first_token_seconds=outcome.first_token_seconds,
                tools_at_seconds=tools_at,
                tools_offered=len(dossier.tools.offered.schemas) if dossier.tools is not None else 0,
                tool_verdict=verdict,
                pico=cost,
            )
        )

    def _tools(self, outcome: Outcome, dossier: Dossier) -> tuple[ToolVerdict | None, float | None]:
        """The verdict on the offered tools, and when the first call was whole."""
        watch = dossier.tools
        if watch is None:
            return None, None
        heard = watch.heard()
        ended = _ENDED.get(outcome.word) or (Ended.CUT if outcome.first_token_seconds is not None else Ended.NOTHING)
        found = score(watch.offered, heard, ended=ended, schemas=self._desk.schemas)
        at = heard.first_call_at
        return found.verdict, None if at is None else max(0.0, at - outcome.call.started)


def _known_cost(dossier: Dossier) -> int | None:
    """What is known of the cost of all attempts; None while any of them is unknown. Own machines cost 0 here."""
    costs = [attempt.cost_pico for attempt in dossier.attempts]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _count(usage: Mapping[str, Any] | None, name: str) -> int | None:
    value = usage.get(name) if usage else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def _inner(usage: Mapping[str, Any] | None, outer: str, name: str) -> int | None:
    details = usage.get(outer) if usage else None
    return _count(details, name) if isinstance(details, Mapping) else None
