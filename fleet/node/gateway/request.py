"""From an HTTP body to a chat call: bounded reading, total parsing, errors in the caller's terms."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Any

import msgspec
from aiohttp import web

from fleet.node.gateway.call import ChatCall
from fleet.node.gateway.config import Loaded
from fleet.node.gateway.failures import ClientGone
from fleet.node.gateway.models import model_not_found
from fleet.traffic.openai_error import ApiError, Refused

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def request_id(request: web.Request) -> str:
    """The id that a front gave the request, else a new one: one id in the logs of every gateway on the way."""
    given = request.headers.get("x-fleet-request-id", "")
    return given if _ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"


async def read_body(request: web.Request, *, longest_bytes: int, seconds: float) -> bytes:
    """The whole body. Raises Refused (413, 408) and ClientGone."""
    too_long = Refused(
        ApiError(status=413, message=f"the request is longer than {longest_bytes} bytes", code="request_too_large")
    )
    if (request.content_length or 0) > longest_bytes:
        raise too_long
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while part := await request.content.readany():
                size += len(part)
                if size > longest_bytes:
                    raise too_long
                parts.append(part)
    except TimeoutError:
        raise Refused(ApiError(status=408, message="the request did not arrive in time", code="timeout")) from None
    except (web.PayloadAccessError, ConnectionError, OSError):
        raise ClientGone from None
    return b"".join(parts)


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises Refused."""
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(ApiError(status=400, message=f"the request is not JSON: {error}", code="invalid_json")) from None
    if not isinstance(data, dict):
        raise Refused(ApiError(status=400, message="the request must be a JSON object", code="invalid_json"))
    return data


def chat_call(data: dict[str, Any], loaded: Loaded, *, key: str, named: str) -> ChatCall:
    """What the client wants, on which route. Raises Refused."""
    model = data.get("model")
    if model is not None and not isinstance(model, str):
        raise Refused(ApiError(status=400, message="'model' must be a string", param="model", code="invalid_type"))
    route = loaded.route(model)
    if route is None:
        raise Refused(model_not_found(loaded, model or "default"))
    stream = data.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise Refused(
            ApiError(status=400, message="'stream' must be true or false", param="stream", code="invalid_type")
        )
    options = data.get("stream_options")
    return ChatCall(
        request_id=named,
        key=key,
        request=data,
        route=route,
        model=model or route.name,
        stream=bool(stream),
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )
