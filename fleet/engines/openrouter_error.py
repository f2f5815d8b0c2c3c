"""What an error of OpenRouter means (gateway/SPEC section 4.2). Pure and total.

The body says more than the status, in three places: `availability` tells whether the model will be back, `error_type`
(of `metadata` or of the error itself) what was wrong, `code` the status that it had: an int before and within answers
of 200, in some a string.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet.engines.engine import ErrorKind, UpstreamError
from fleet.engines.error_text import CONTEXT_LENGTH_EXCEEDED, client_code, error_object, read_error

_LONGEST_WAIT_SECONDS = 86_400.0
_MODERATED = "content_policy_violation"


@dataclass(frozen=True)
class _Meaning:
    """`said` is what the client is told; empty = OpenRouter's own words. `status` as in UpstreamError."""

    kind: ErrorKind
    said: str = ""
    code: str | None = None
    eject: bool = False
    status: int | None = None


_KEY = _Meaning(ErrorKind.MISCONFIGURED, "OpenRouter refused the gateway's key", eject=True)
_DENIED = _Meaning(ErrorKind.MISCONFIGURED, "OpenRouter does not let the gateway's key do this")
_CREDITS = _Meaning(ErrorKind.MISCONFIGURED, "the gateway's OpenRouter account has no credit left for this")
_MODEL = _Meaning(ErrorKind.MISCONFIGURED, "OpenRouter does not offer its model")
_FILTERED = _Meaning(ErrorKind.MISCONFIGURED, "OpenRouter has no provider of its model that the request's limits allow")
_BUSY = _Meaning(ErrorKind.BUSY, "OpenRouter has too much to do for this model")
_AWAY = _Meaning(ErrorKind.UNAVAILABLE, "OpenRouter cannot serve its model now")
_SLOW = _Meaning(ErrorKind.TIMEOUT, "OpenRouter's provider took too long")
_FAILED = _Meaning(ErrorKind.BROKEN, "OpenRouter's provider failed")
_BAD = _Meaning(ErrorKind.BAD_REQUEST)
_UNFIT = _Meaning(ErrorKind.BAD_REQUEST, code=_MODERATED, status=403)
_LONG = _Meaning(ErrorKind.BAD_REQUEST, code=CONTEXT_LENGTH_EXCEEDED)

_BY_TYPE: Mapping[str, _Meaning] = {
    "context_length_exceeded": _LONG,
    "token_limit_exceeded": _BAD,
    "max_tokens_exceeded": _BAD,
    "string_too_long": _BAD,
    "authentication": _KEY,
    "permission_denied": _DENIED,
    "payment_required": _CREDITS,
    "rate_limit_exceeded": _BUSY,
    "provider_overloaded": _AWAY,
    "provider_unavailable": _AWAY,
    "invalid_request": _BAD,
    "invalid_prompt": _BAD,
    "not_found": _MODEL,
    "precondition_failed": _BAD,
    "payload_too_large": _Meaning(ErrorKind.BAD_REQUEST, status=413),
    "unprocessable": _Meaning(ErrorKind.BAD_REQUEST, status=422),
    "content_policy_violation": _UNFIT,
    "refusal": _UNFIT,
    "server": _FAILED,
    "timeout": _SLOW,
}
_BY_STATUS: Mapping[int, _Meaning] = {
    401: _KEY,
    402: _CREDITS,
    403: _UNFIT,
    404: _MODEL,
    408: _SLOW,
    413: _Meaning(ErrorKind.BAD_REQUEST, status=413),
    422: _Meaning(ErrorKind.BAD_REQUEST, status=422),
    429: _BUSY,
    503: _AWAY,
    504: _SLOW,
    524: _SLOW,
    529: _AWAY,
}
_FILTERS = frozenset({"privacy_restricted", "constraint_filtered", "region_restricted"})


def openrouter_error(status: int, body: bytes) -> UpstreamError:
    """The meaning of an answer of `status` with `body`: an error, or a 200 that carries one."""
    found = error_object(body)
    error: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    metadata = _mapping(error.get("metadata"))
    availability = _mapping(error.get("availability"))
    said = read_error(body)
    meaning = _by_availability(availability) or _by_type(error, metadata) or _by_code(status, error)
    theirs = meaning.kind is ErrorKind.BAD_REQUEST
    code = meaning.code or (None if (said.code or "").isdecimal() else said.code)
    if theirs:
        code = CONTEXT_LENGTH_EXCEEDED if client_code(said) == CONTEXT_LENGTH_EXCEEDED else code
    return UpstreamError(
        kind=meaning.kind,
        message=meaning.said or said.message or "OpenRouter refused the request",
        retryable=not theirs,
        eject=meaning.eject,
        detail=said.message,
        retry_after_seconds=_seconds(availability.get("retry_after")) or _seconds(metadata.get("retry_after")),
        param=said.param if theirs else None,
        code=code if theirs else None,
        status=meaning.status,
        gone=meaning is _MODEL,
    )


def _by_availability(availability: Mapping[str, Any]) -> _Meaning | None:
    """The model is not to be had. `retryable` is about the same request later; other upstreams may do in any case."""
    if not availability:
        return None
    code = availability.get("code")
    if availability.get("retryable") is True:
        return _BUSY if code == "capacity_exhausted" else _AWAY
    return _FILTERED if isinstance(code, str) and code in _FILTERS else _MODEL


def _by_type(error: Mapping[str, Any], metadata: Mapping[str, Any]) -> _Meaning | None:
    for said in (metadata.get("error_type"), error.get("error_type"), error.get("code"), error.get("type")):
        if isinstance(said, str):
            if said.startswith(("image_", "invalid_image")):
                return _BAD
            if said in _BY_TYPE:
                return _BY_TYPE[said]
    return None


def _by_code(status: int, error: Mapping[str, Any]) -> _Meaning:
    """By the status; an answer that began as 200, and one that is only said to have failed, by the code in it."""
    code = _status(error.get("code")) or _status(error.get("http_status"))
    number = code if code is not None and status in (200, 500) else status
    if number in _BY_STATUS:
        return _BY_STATUS[number]
    return _BAD if 400 <= number < 500 else _FAILED


def _status(value: Any) -> int | None:
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600 else None


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST_WAIT_SECONDS:
        return None
    return float(value) if math.isfinite(value) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
