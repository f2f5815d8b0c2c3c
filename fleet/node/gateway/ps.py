"""The requests in flight, as an operator sees them: who, where, how far, how much. Pure. No prompt, no answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from fleet.node.gateway.call import Call, Phase
from fleet.traffic.openai_error import ApiError
from fleet.vocabulary.contracts.gateway_admin import LiveRequest
from fleet.vocabulary.names import Lane

_LONGEST_REASON = 200


def live_request(call: Call, *, now: float) -> LiveRequest:
    """One request. `now` is in monotonic seconds, as the call's own times are."""
    prompt = call.usage.get("prompt_tokens") if call.usage else None
    return LiveRequest(
        id=call.request_id,
        key=call.key,
        surface=call.dialect.name,
        route=call.route.name,
        model=call.model,
        lane=call.shape.lane,
        phase=call.phase.value,
        seconds=max(0.0, now - call.started),
        upstream=call.upstream,
        node=call.node,
        stream=call.asked.stream,
        attempts=len(call.tried),
        prompt_tokens=prompt if type(prompt) is int else call.shape.prompt_tokens,
        max_output_tokens=call.shape.output_tokens,
        output_chunks=call.chunks,
        first_token_seconds=None if call.first_token_at is None else call.first_token_at - call.started,
        avoided=tuple(one.text for one in call.avoided),
    )


def live_requests(calls: Iterable[Call], *, now: float) -> tuple[LiveRequest, ...]:
    """All of them, the oldest first."""
    return tuple(live_request(call, now=now) for call in sorted(calls, key=lambda call: call.started))


def phases(calls: Iterable[Call]) -> Mapping[Phase, int]:
    """How many are how far."""
    return Counter(call.phase for call in calls)


def waiting(calls: Iterable[Call]) -> Mapping[Lane, int]:
    """How many have no place yet, by lane."""
    return Counter(call.shape.lane for call in calls if call.phase is Phase.QUEUED)


def killed(reason: str) -> ApiError:
    """What the client of a killed request is told.

    410, because clients ask again by themselves after 408, 409, 429 and everything from 500, and a front after an
    edge's 503; what the operator ended must stay ended.
    """
    said = " ".join(reason.split())[:_LONGEST_REASON]
    return ApiError(
        status=410,
        message=f"the operator ended this request{f': {said}' if said else ''}",
        type="request_ended",
        code="killed_by_operator",
    )
