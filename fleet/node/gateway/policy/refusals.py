"""How a client is told what policy does not let it do."""

from __future__ import annotations

from fleet.traffic.budget.admission import Decision
from fleet.traffic.limits import TooMuch
from fleet.traffic.openai_error import ApiError
from fleet.vocabulary.names import Sensitivity

_LONGEST_RETRY_SECONDS = 31 * 24 * 3600.0


def expired() -> ApiError:
    """As if nobody knew the key."""
    return ApiError(status=401, message="the key has expired", code="invalid_api_key")


def wrong_track(key: str, track: str, tracks: tuple[str, ...]) -> ApiError:
    """The key is for other tracks."""
    message = f"the key {key!r} is for {', '.join(tracks)} routes, and this one is on the {track} track"
    return ApiError(status=403, message=message, type="permission_error", code="track_not_allowed", param="model")


def too_much(found: TooMuch) -> ApiError:
    """A limit per minute or at once."""
    retry = found.retry_after_seconds
    return ApiError(
        status=429,
        message=found.sentence,
        type="rate_limit_error",
        code="rate_limit_exceeded",
        retry_after_seconds=retry,
    )


def no_route(label: Sensitivity, route: str, *, why: str) -> ApiError:
    """Nobody that it may reach can serve it."""
    kept = "runs on own machines only" if label is Sensitivity.RESTRICTED else "goes to no provider that may keep it"
    return ApiError(
        status=503,
        message=f"{route}: what is {label.value} {kept}, and none can serve now ({why})",
        type="upstream_error",
        code="sensitivity_no_route",
        retry_after_seconds=5,
    )


def over(decision: Decision, now_milliseconds: int) -> ApiError:
    """What the budget does not let through: with the time at which the same request could be."""
    retry = None
    if decision.reset is not None:
        retry = min(max((decision.reset - now_milliseconds) / 1000, 1.0), _LONGEST_RETRY_SECONDS)
    kind = {402: "insufficient_quota", 403: "permission_error", 429: "rate_limit_error"}.get(decision.status)
    return ApiError(
        status=decision.status,
        message=decision.message,
        type=kind or "invalid_request_error",
        code=decision.code,
        retry_after_seconds=retry,
    )


def ledger_closed(why: str) -> ApiError:
    """Nothing that costs money goes out while it cannot be written down."""
    return ApiError(
        status=503,
        message=f"what costs money waits: {why}",
        type="upstream_error",
        code="ledger_unavailable",
        retry_after_seconds=5,
    )
