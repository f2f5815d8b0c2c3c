"""Failures on the way to an answer, and what a client is told of each."""

from __future__ import annotations

from dataclasses import replace

from fleet.engines import ErrorKind, RequestRefused, UpstreamError
from fleet.traffic.chat_stream import Fault
from fleet.traffic.openai_error import ApiError

_STATUS = {
    ErrorKind.BAD_REQUEST: 400,
    ErrorKind.BUSY: 429,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.MISCONFIGURED: 502,
    ErrorKind.BROKEN: 502,
    ErrorKind.TIMEOUT: 504,
}
_TYPE = {ErrorKind.BAD_REQUEST: "invalid_request_error", ErrorKind.BUSY: "rate_limit_error"}
_RETRY_AFTER_SECONDS = {ErrorKind.BUSY: 2.0, ErrorKind.UNAVAILABLE: 5.0}


class UpstreamFailure(Exception):
    """An upstream failed, or would not be asked: then `asked` is False, and nothing is said of it.

    `reached`: there was somebody to ask. `refused`: it answered, with an error and nothing else. `retryable` overrides
    what the error says of asking another one. `verdict` is what policy wants the client to be told.
    """

    def __init__(
        self,
        error: UpstreamError,
        *,
        retryable: bool | None = None,
        asked: bool = True,
        reached: bool = True,
        refused: bool = False,
        verdict: ApiError | None = None,
    ) -> None:
        super().__init__(error.message)
        self.asked = asked
        self.reached = reached
        self.refused = refused
        self.verdict = verdict
        self.error = error if retryable is None else replace(error, retryable=retryable)


class ClientGone(Exception):
    """The client closed its connection. There is nobody to tell."""


def broken(message: str, *, code: str = "upstream_error") -> UpstreamFailure:
    """An upstream that failed while it worked."""
    return UpstreamFailure(UpstreamError(kind=ErrorKind.BROKEN, message=message, retryable=True, code=code))


def faulted(fault: Fault, *, refused: bool = False) -> UpstreamFailure:
    """A stream that broke off, or that says itself that it failed."""
    theirs = fault.message if fault.code == "upstream_error" else ""
    error = UpstreamError(kind=ErrorKind.BROKEN, message=fault.message, retryable=True, code=fault.code, detail=theirs)
    return UpstreamFailure(error, refused=refused)


def unreachable(message: str) -> UpstreamFailure:
    """An upstream that no request reached: out until a probe succeeds."""
    error = UpstreamError(kind=ErrorKind.UNAVAILABLE, message=message, retryable=True, eject=True)
    return UpstreamFailure(error, reached=False)


def timed_out(message: str) -> UpstreamFailure:
    """An upstream that said nothing for too long."""
    return UpstreamFailure(UpstreamError(kind=ErrorKind.TIMEOUT, message=message, retryable=True))


def too_late(seconds: float) -> UpstreamFailure:
    """An upstream that did not begin to answer in time."""
    return timed_out(f"no answer had begun after {seconds:g} s")


def fell_silent(seconds: float) -> UpstreamFailure:
    """An upstream that stopped in the middle of its answer."""
    return timed_out(f"said nothing for {seconds:g} s")


def told(error: UpstreamError, *, upstream: str) -> ApiError:
    """An upstream's failure in our words and status: its 401 is never the client's."""
    retry_after = error.retry_after_seconds
    if retry_after is None:
        retry_after = _RETRY_AFTER_SECONDS.get(error.kind)
    client_fault = error.kind is ErrorKind.BAD_REQUEST
    discreet = error.discreet
    return ApiError(
        status=error.status or _STATUS[error.kind],
        message=error.message if client_fault else f"{upstream}: {error.message}",
        type=_TYPE.get(error.kind, "upstream_error"),
        code=error.code or (None if client_fault else f"upstream_{error.kind.value}"),
        param=error.param,
        retry_after_seconds=retry_after,
        logged="" if discreet == error.message else f"{upstream}: {discreet}",
    )


def not_for_it(refusal: RequestRefused) -> UpstreamFailure:
    """A request that this engine must not be asked. Another one may take it."""
    error = UpstreamError(
        kind=ErrorKind.BAD_REQUEST, message=str(refusal), retryable=True, param=refusal.param, code=refusal.code
    )
    return UpstreamFailure(error, asked=False)


def passed_over(reason: str | ApiError) -> UpstreamFailure:
    """An upstream that policy does not let this request go to."""
    verdict = reason if isinstance(reason, ApiError) else None
    message = reason.message if isinstance(reason, ApiError) else reason
    error = UpstreamError(kind=ErrorKind.UNAVAILABLE, message=message, retryable=True, code="passed_over")
    return UpstreamFailure(error, asked=False, verdict=verdict)
