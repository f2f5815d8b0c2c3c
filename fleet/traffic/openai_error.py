"""Errors in OpenAI's shape: the body of an answer, and the last event of a stream that failed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, kw_only=True)
class ApiError:
    """What a client is told. `status` is the HTTP status, when there still is one to choose.

    `logged` is what logs say instead of `message`, where that holds the words of an upstream.
    """

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    retry_after_seconds: float | None = None
    logged: str = ""

    @property
    def body(self) -> dict[str, Any]:
        """`{"error": {...}}`."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    @property
    def json(self) -> bytes:
        """The body as it is sent."""
        return msgspec.json.encode(self.body)

    @property
    def headers(self) -> dict[str, str]:
        """`Retry-After`, in whole seconds, where it is known: clients obey nothing finer."""
        if self.retry_after_seconds is None:
            return {}
        return {"Retry-After": str(max(1, round(self.retry_after_seconds)))}


class Refused(Exception):
    """The client gets this error instead of an answer."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


def last_event(error: ApiError, *, stream_id: str, created: int, model: str) -> bytes:
    """The data of the event that ends a failed stream; no [DONE] follows (SPEC section 4.1).

    The top-level `error` raises in OpenAI's SDKs, and a strict client sees a terminal finish_reason.
    """
    return msgspec.json.encode(
        {
            "id": stream_id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}],
            "error": {
                "message": error.message,
                "type": "upstream_error" if error.status >= 500 else error.type,
                "param": error.param,
                "code": error.code,
            },
        }
    )
