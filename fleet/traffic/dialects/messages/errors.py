"""Errors in Anthropic's form. Pure."""

from __future__ import annotations

from typing import Any

from fleet.traffic.openai_error import ApiError

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def error_type(status: int) -> str:
    """Anthropic's word for a status."""
    return _TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def error_body(error: ApiError, *, request_id: str = "") -> dict[str, Any]:
    """`{"type": "error", "error": {...}, "request_id": ...}`."""
    return {
        "type": "error",
        "error": {"type": error_type(error.status), "message": error.message},
        "request_id": request_id or None,
    }
