"""The errors of OpenRouter, in the two shapes that it has. Pure."""

from __future__ import annotations

from typing import Any

from fleet.sim.upstreams.faults import Faults
from fleet.sim.upstreams.openrouter.catalogue import Refusal

_WORDS = {
    400: ("Provider returned error", "invalid_request"),
    401: ("No auth credentials found", "authentication"),
    402: ("Insufficient credits. Add more using https://openrouter.ai/settings/credits", "payment_required"),
    403: ("Input was flagged", "content_policy_violation"),
    404: ("No endpoints found", "not_found"),
    408: ("Request timed out", "timeout"),
    413: ("Request is too large", "payload_too_large"),
    422: ("Request cannot be processed", "unprocessable"),
    429: ("Rate limit exceeded", "rate_limit_exceeded"),
    500: ("Internal Server Error", "server"),
    502: ("Provider returned error", "provider_unavailable"),
    503: ("No instances available", "provider_overloaded"),
    504: ("Provider timed out", "timeout"),
    524: ("Provider timed out", "timeout"),
    529: ("Provider is overloaded", "provider_overloaded"),
}
_COMES_BACK = ("capacity_exhausted", "temporarily_unavailable", "model_unavailable_upstream")


def error_body(
    status: int, *, message: str = "", error_type: str = "", code: int | str | None = None
) -> dict[str, Any]:
    """`{"error": {code, message, metadata}}`."""
    words, usual = _WORDS.get(status, (f"error {status}", "unmapped"))
    metadata = {"error_type": error_type or usual, "provider_code": None}
    return {
        "error": {"code": status if code is None else code, "message": message or words, "metadata": metadata},
        "user_id": "user_sim",
    }


def scripted_error(faults: Faults, *, status: int) -> dict[str, Any]:
    """The error that the switches ask for: `code` may be a number or a word."""
    if faults.avail is not None:
        return availability(faults.avail, faults=faults, status=status)
    code: int | str | None = faults.code
    if isinstance(code, str) and code.isdecimal() and len(code) < 6:
        code = int(code)
    return error_body(status, error_type=faults.type or "", code=code)


def availability(code: str, *, faults: Faults, status: int = 404) -> dict[str, Any]:
    """The newer shape, with the type directly under the error."""
    return {
        "error": {
            "code": status,
            "message": f"model unavailable: {code}",
            "error_type": "not_found" if status == 404 else "provider_unavailable",
            "http_status": status,
            "availability": {
                "code": code,
                "retryable": faults.retryable or code in _COMES_BACK,
                "retry_after": faults.retry_after,
                "requested_models": [],
                "excluded_by": [],
                "fallback_models": [],
            },
        },
        "user_id": "user_sim",
    }


def refused(refusal: Refusal) -> dict[str, Any]:
    """No provider may answer."""
    return {
        "error": {
            "code": 404,
            "message": refusal.message,
            "error_type": "not_found",
            "http_status": 404,
            "availability": {
                "code": refusal.code,
                "retryable": False,
                "retry_after": None,
                "requested_models": [refusal.model],
                "excluded_by": list(refusal.excluded_by),
                "fallback_models": [],
                "constraint": {"field": refusal.excluded_by[-1], "detail": refusal.detail}
                if refusal.excluded_by
                else None,
            },
        },
        "user_id": "user_sim",
    }
