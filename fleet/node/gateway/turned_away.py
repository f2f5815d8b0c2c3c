"""What is said to those who are turned away: nobody can serve them, or the gateway is about to stop."""

from __future__ import annotations

from fleet.node.gateway.call import Call
from fleet.node.gateway.intent import draining
from fleet.node.gateway.models import STOPPING
from fleet.node.gateway.policy.refusals import no_route
from fleet.traffic.choice import Choice, Why
from fleet.traffic.openai_error import ApiError
from fleet.traffic.repeats import Repeat


def stopping() -> ApiError:
    """The gateway takes no new work."""
    return ApiError(status=503, message=STOPPING, type="upstream_error", code="draining", retry_after_seconds=5)


def repeated(found: Repeat) -> ApiError:
    """A request with the Idempotency-Key of another one is not asked."""
    if found is Repeat.OTHER:
        message = "this Idempotency-Key was sent with another request; every request needs its own"
        return ApiError(status=422, message=message, code="idempotency_key_reused")
    if found is Repeat.RUNNING:
        message = "the request with this Idempotency-Key is still being answered"
        return ApiError(status=409, message=message, code="in_flight", retry_after_seconds=2)
    message = "the request with this Idempotency-Key was answered; its answer is not kept"
    return ApiError(status=409, message=message, code="already_answered")


def nobody(call: Call, choice: Choice) -> ApiError:
    """Nobody may serve now: the request fits nowhere, or all are full, or all are out."""
    if choice.too_long is not None:
        return ApiError(
            status=400,
            message=f"the prompt has about {call.shape.prompt_tokens} tokens; {call.model} takes {choice.too_long}",
            code="context_length_exceeded",
            param="messages",
        )
    if choice.full:
        return ApiError(
            status=429,
            message=f"{call.route.name}: every upstream is full ({', '.join(choice.full)})",
            type="rate_limit_error",
            code="upstream_busy",
            retry_after_seconds=2,
        )
    if choice.why and all(why is Why.INTENT for why in choice.why.values()):
        return draining()
    if choice.unoffered:
        return ApiError(
            status=404,
            message=f"{call.model} does not offer {call.asked.work.value}",
            code="model_not_found",
            param="model",
        )
    withheld = call.dossier is not None and call.dossier.withheld
    reasons = "; ".join(f"{name}: {reason}" for name, reason in choice.refused.items())
    if call.dossier is not None and withheld:
        return no_route(call.dossier.label, call.route.name, why=reasons or "none is configured")
    return ApiError(
        status=503,
        message=f"{call.route.name}: no upstream can serve now ({reasons or 'none is configured'})",
        type="upstream_error",
        code="no_upstream",
        retry_after_seconds=5,
    )
